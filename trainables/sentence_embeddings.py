"""Stage: a sentence embedding of every turn's transcript under public pretrained weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, CorpusRole, PretrainedName, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainables.corpora.corpus import CorpusSource

_BATCH = 64
"""Pieces of text per forward pass; always the same ones together, so that padding rounds alike wherever the stage runs."""

_LONGEST = 512
"""Tokens of a piece at most: what BERT has positions for. Models that allow more would only take more memory for long turns."""


class SentenceEmbeddings(Stage):
    """One vector per turn from its transcript (Climate and Weather, section 2.1: 'the pretrained BERT-base model to encode the
    transcription of each single utterance into a 768-d vector').

    The paper says neither which of BERT's vectors nor which BERT-base. Decided:

    * The mean over the last layer's vectors of all tokens, [CLS] and [SEP] among them. Without fine-tuning [CLS] is no description
      of a sentence and the mean is a better one (Reimers and Gurevych, EMNLP 2019, section 4 and Table 1); it is also what
      all-MiniLM-L6-v2 was trained for.
    * Uncased, because transcripts are all lower (DAIC-WOZ) or all upper case (LibriSpeech), which says nothing.
    * A turn longer than the model takes (510 tokens and the two marks) is cut into pieces, and the mean is over the tokens of all:
      nothing that was said is lost.
    * A turn without words has the zero vector, which is none of the model's; how many have it is in the metrics.
    * Words are what the corpus' reader gives, marks included: DAIC-WOZ's ``<laughter>``, ``xxx`` (not understood) and
      ``people <peop>`` (a word cut off) are encoded like words, since laughter tells of emotion. Turns with ``scrubbed_entry``
      are not in the manifest (:mod:`trainables.corpora.readers.daic_transcripts`). A turn of marks alone is not without words.

    Equal texts are computed once. All is float32 with dropout off, so that the same machine gives the same bytes.

    Result (turn features): ``embeddings.npy``, float32 ``[turns, D]`` (D of BERT-base: 768), and ``segments.parquet``
    (:func:`~trainables.turns.turn_table`), rows in the same order. No text.
    """

    label: ClassVar[str] = "sentence embeddings"

    corpus: CorpusRole
    unit: Literal["session", "utterance"]
    model: PretrainedName = "google-bert/bert-base-uncased"

    def exposure(self) -> Exposure:
        """Nothing is learnt: the weights are fixed, and each turn is encoded by itself. The interviewer's turns are left out."""
        return Exposure(features=self)

    def corpus_fault(self, corpus: CorpusSource) -> str | None:
        """Why there is nothing to encode in a corpus, or None.

        Raises:
            UserError: Its manifest cannot be read.
        """
        return _silence(_words(subject_turns(corpus.manifest(), self.unit)), corpus)

    def run(self, context: Context) -> None:
        """Encode each distinct text once, shortest first, and put the turns together; resumes at the last batch that was saved.

        Raises:
            UserError: No turn has words; the corpus or the weights are no longer the planned ones; the weights encode no text.
        """
        import numpy as np
        import pandas as pd

        from trainables.turns import table_of

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        turns = subject_turns(corpus.manifest(), self.unit)
        words = _words(turns)
        if fault := _silence(words, corpus):
            raise UserError(fault)
        spoken = (words != "").to_numpy()
        codes, texts = pd.factorize(words[spoken])
        encoder = TextEncoder(context.pretrained(self.model), context.device)
        pieces = encoder.cut(texts)
        vectors = _encode(encoder, pieces, len(texts), context)
        embeddings = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
        embeddings[spoken] = vectors.numpy()[codes]
        np.save(context.directory / "embeddings.npy", embeddings)
        table_of(turns, corpus).to_parquet(context.directory / "segments.parquet", index=False)
        metrics = {
            "turns": len(words),
            "without_words": int((~spoken).sum()),
            "distinct_texts": len(texts),
            "cut_into_pieces": sum(piece.number == 1 for piece in pieces),
            "tokens": sum(len(piece.tokens) for piece in pieces),
            "dimensions": embeddings.shape[1],
        }
        (context.directory / "metrics.json").write_text(json.dumps(metrics))


class Piece(NamedTuple):
    """As much of a text as the model takes.

    Attributes:
        text: Number of the text.
        number: Which of the text's pieces it is, from 0.
        tokens: Their ids, with the marks that the model wants at begin and end.
    """

    text: int
    number: int
    tokens: list[int]


class TextEncoder:
    """A pretrained Transformer and its tokenizer.

    Args:
        directory: As ``transformers`` writes it.
        device: Where to compute.

    Raises:
        UserError: It is no model of text.
    """

    def __init__(self, directory: Path, device: torch.device) -> None:
        from trainables.pretrained import load_encoder

        self._tokenizer = _load_tokenizer(directory)
        self._model: PreTrainedModel = load_encoder(directory).to(device)
        self._device = device
        if self._model.config.is_encoder_decoder:
            raise UserError(f"{directory}: not an encoder of text; give one such as BERT")

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._model.config.hidden_size

    def cut(self, texts: Iterable[str]) -> list[Piece]:
        """The texts as pieces that the model takes, in order."""
        positions = getattr(self._model.config, "max_position_embeddings", _LONGEST)
        longest = min(_LONGEST, positions, self._tokenizer.model_max_length)
        encoded = self._tokenizer(list(texts), truncation=True, max_length=longest, return_overflowing_tokens=True)
        pieces: list[Piece] = []
        for text, tokens in zip(encoded["overflow_to_sample_mapping"], encoded["input_ids"], strict=True):
            number = pieces[-1].number + 1 if pieces and pieces[-1].text == text else 0
            pieces.append(Piece(text, number, tokens))
        return pieces

    def sums(self, pieces: list[Piece]) -> torch.Tensor:
        """The sum of the last layer's vectors over the tokens of each piece, float32 ``[pieces, D]``, on the CPU."""
        import torch

        padded = self._tokenizer.pad({"input_ids": [piece.tokens for piece in pieces]}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            hidden = self._model(**padded).last_hidden_state
            return (hidden * padded["attention_mask"].unsqueeze(-1)).sum(dim=1).cpu()


def _encode(encoder: TextEncoder, pieces: list[Piece], texts: int, context: Context) -> torch.Tensor:
    """The mean over the tokens of each text, float32 ``[texts, D]``; what is done of it is kept in checkpoints."""
    import torch

    counts = torch.zeros(texts)
    for piece in pieces:
        counts[piece.text] += len(piece.tokens)
    ordered = sorted(pieces, key=lambda piece: len(piece.tokens))  # alike in length, so that hardly any padding is computed
    state = context.load_checkpoint() or {"done": 0, "sums": torch.zeros(texts, encoder.dimensions)}
    done, sums = state["done"], state["sums"]
    tokens, seen = int(counts.sum()), sum(len(piece.tokens) for piece in ordered[:done])
    while done < len(ordered):
        batch = ordered[done : done + _BATCH]
        sums.index_add_(0, torch.tensor([piece.text for piece in batch]), encoder.sums(batch))
        done, seen = done + len(batch), seen + sum(len(piece.tokens) for piece in batch)
        context.tick(seen / tokens)
        if context.checkpoint_due():
            context.save_checkpoint({"done": done, "sums": sums})
    return sums / counts.unsqueeze(1)


def _load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:  # of whichever file is missing
        raise UserError(
            f"{directory}: has no tokenizer that can be loaded ({error}); give a model of text, all its files"
        ) from error
    if not tokenizer.is_fast or tokenizer.pad_token is None:
        raise UserError(f"{directory}: its tokenizer cannot cut or pad texts; give a model with a tokenizer.json, such as BERT")
    return tokenizer


def _words(turns: pd.DataFrame) -> pd.Series:
    return turns["text"].str.strip()


def _silence(words: pd.Series, corpus: CorpusSource) -> str | None:
    if (words != "").any():
        return None
    return (
        f"{corpus.role}: none of the {len(words)} turns of corpus {corpus.name!r} has a transcript, which sentence embeddings "
        'need; give its manifest a column text (or name the one it has: columns = { text = "..." }), or leave the text modality out'
    )
