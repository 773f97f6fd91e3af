"""Models that read a session: an LSTM over segment vectors, and the CRNN that makes the vectors itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from trainables.models.cnn10 import Cnn10
from trainables.models.lstm import Lstm, masked_mean


def pad(sequences: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences ``[T_i, D]`` into ``[B, max T, D]``, zeros at the end; also their lengths ``[B]``."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), lengths


class SessionLstm(nn.Module):
    """LSTM, masked mean over time, linear layer.

    Args:
        input_size: Dimension of a segment's vector.
        hidden_size: LSTM units (each way).
        bidirectional: Whether to read the session in both directions.
        classes: Number of classes.
    """

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool, classes: int) -> None:
        super().__init__()
        self.lstm = Lstm(input_size, hidden_size, bidirectional)
        self.output = nn.Linear(hidden_size * (2 if bidirectional else 1), classes)

    def forward(self, segments: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits ``[B, classes]`` from segment vectors ``[B, T, D]`` of which the first ``lengths`` ``[B]`` count."""
        return self.output(masked_mean(self.lstm(segments, lengths), lengths))


class Crnn(nn.Module):
    """Cnn10 and :class:`SessionLstm` trained together (ReCLR, section 3.3, Table 1 'tuning').

    Between the two, batch normalisation over segments stands in for the standardisation of fixed embeddings.

    Args:
        encoder: The segment encoder.
        hidden_size: LSTM units (each way).
        bidirectional: Whether to read the session in both directions.
        classes: Number of classes.
    """

    def __init__(self, encoder: Cnn10, hidden_size: int, bidirectional: bool, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(encoder.embedding_dim)
        self.session = SessionLstm(encoder.embedding_dim, hidden_size, bidirectional, classes)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Segment vectors ``[segments, D]`` from log-mel ``[segments, frames, mels]``."""
        return self.norm(self.encoder(log_mel).float())

    def forward(self, log_mel: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits ``[B, classes]``.

        Args:
            log_mel: The segments of all sessions of the batch one after the other, ``[sum of lengths, frames, mels]``.
            lengths: Segments per session, ``[B]``.
        """
        segments, sizes = pad(self.embed(log_mel).split(lengths.tolist()))
        return self.session(segments, sizes.to(segments.device))
