"""InfoNCE, the loss of contrastive predictive coding (van den Oord et al. 2018), of all prediction steps at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.errors import UserError

if TYPE_CHECKING:
    from trainables.cpc_pretraining import NegativeSource


class InfoNce(NamedTuple):
    """One worker's part of what a batch gives; the *sum* over the workers is the batch's. Float32 (or float64), on its device.

    Attributes:
        loss: In nat, 0-d; the only one with a gradient.
        accuracy: Share of queries whose positive scores higher than each of its negatives, mean over steps, 0-d.
        per_step_loss: ``[K]``, of the frame 1, 2, ... K ahead; 0 of a step that no chunk is long enough for.
        per_step_accuracy: ``[K]``; likewise.
    """

    loss: Tensor
    accuracy: Tensor
    per_step_loss: Tensor
    per_step_accuracy: Tensor


def draw_negatives(lengths: Tensor, count: int, source: NegativeSource, generator: torch.Generator) -> Tensor:
    """Draw the frames that predictions are contrasted with; never padding.

    Decisions: the slides say of the N - 1 negatives only that they are frames z_i, the issue that they are from the same batch,
    'within and across utterances by option'. They are drawn evenly and with replacement, as in the code of Rivière et al. (2020).
    All queries of a pool share them, so that their scores are one matrix product; each query is contrasted with as many as if it
    had its own, and in the next step all are others.

    Args:
        lengths: Frames of each chunk of the whole batch, int64 ``[B]``, each at least 1.
        count: N, negatives of a query.
        source: 'batch': one pool of all frames. 'others': a pool for each chunk, of all the other chunks' frames. 'utterance': a
            pool for each chunk, of its own frames.
        generator: On the CPU. What is drawn depends on nothing else, not on the number of workers.

    Returns:
        Numbers of frames, int64 ``[G, count]``: ``chunk * T + frame`` where T is the longest chunk's length; G is 1 for 'batch'
        and B for the others.

    Raises:
        UserError: 'others' of a batch of one chunk.
        ValueError: A chunk is empty.
    """
    if len(lengths) == 0 or int(lengths.min()) < 1:
        raise ValueError(f"expected chunks of at least one frame, found lengths {lengths.tolist()}")
    if source == "others" and len(lengths) == 1:
        raise UserError(
            "negatives_from='others' draws negatives from the other chunks of a batch, but the batch has one chunk; "
            "give a batch_size of at least 2, or draw from 'batch' or 'utterance'"
        )
    ends = lengths.cumsum(0)
    starts, total = (ends - lengths)[:, None], ends[-1:, None]
    sizes = {"batch": total, "others": total - lengths[:, None], "utterance": lengths[:, None]}[source]
    # float64: of any number of frames that fits into memory each is drawn, and equally often.
    drawn = (torch.rand(len(sizes), count, dtype=torch.float64, generator=generator) * sizes).long()
    if source == "others":
        drawn += (drawn >= starts) * lengths[:, None]
    if source == "utterance":
        drawn += starts
    chunks = torch.searchsorted(ends, drawn, right=True)
    return chunks * lengths.max() + drawn - starts[:, 0][chunks]


def info_nce(predicted: Tensor, embeddings: Tensor, lengths: Tensor, negatives: Tensor, first: int = 0) -> InfoNce:
    """InfoNCE of one worker's queries: each frame that has a frame k ahead in its chunk, for k = 1 to K.

    The slide's equation: ``-log(exp(zhat . z+) / (exp(zhat . z+) + sum over the negatives of exp(zhat . z)))`` with
    ``zhat = h_k(c_i)`` and ``z+ = z_(i+k)``; dot products, without a temperature. Decisions:

    - The slide sums over the steps and leaves open how frames are reduced. The loss is the mean over the steps of the mean over
      each step's queries: so neither the learning rate nor the weight beside another loss depends on K, on the chunks' lengths or
      on their number. Steps that no chunk of the batch is long enough for do not count.
    - A negative that happens to be the very frame to be predicted is left out of its query's sum, for no predictor could tell
      the two apart.
    - Padding neither asks nor is an answer: it has no query and is no positive; negatives are none where :func:`draw_negatives`
      drew them.

    Finite, with a finite gradient, also where a query has no negative left or the batch has no query at all (loss 0).

    Args:
        predicted: h_k(c_i) of this worker's b chunks, ``[b, T, K, D]``.
        embeddings: z of the whole batch's chunks, ``[B, T, D]``, of all workers alike.
        lengths: Frames of each chunk of the whole batch, int64 ``[B]``; the longest is T.
        negatives: As :func:`draw_negatives` gives them, ``[G, N]``, G 1 or B.
        first: Place in the batch of this worker's first chunk.

    Returns:
        This worker's part, computed in float32 (float64, where the inputs are) whatever autocast says.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    _require_fitting(predicted, embeddings, lengths, negatives, first)
    dtype = torch.promote_types(predicted.dtype, torch.float32)
    with torch.autocast(predicted.device.type, enabled=False):
        predicted, embeddings = predicted.to(dtype), embeddings.to(dtype)
        lengths, negatives = lengths.to(predicted.device), negatives.to(predicted.device)
        own, table = slice(first, first + len(predicted)), embeddings.flatten(0, 1)
        asked = _asked(predicted, first)
        positive = (predicted * F.embedding(asked.clamp_max(len(table) - 1), table)).sum(dim=-1)
        negative = _negative_scores(predicted, table, negatives if len(negatives) == 1 else negatives[own], asked)
        losses = -F.logsigmoid(positive - negative.logsumexp(dim=-1))  # -log(e^p / (e^p + e^n)), e^n the negatives' sum
        with torch.no_grad():
            hardest = negative.amax(dim=-1)
            right = ((positive > hardest) & (hardest > torch.finfo(dtype).min)).to(dtype)  # nothing is told from no negative
        return _means(losses, right, lengths, own)


def _require_fitting(predicted: Tensor, embeddings: Tensor, lengths: Tensor, negatives: Tensor, first: int) -> None:
    batch, longest, size = embeddings.shape
    own, frames, _, width = predicted.shape
    if (frames, width) != (longest, size) or not 0 <= first <= first + own <= batch:
        raise ValueError(
            f"expected predictions of chunks among the batch's, found {list(predicted.shape)} from chunk {first} on "
            f"for embeddings {list(embeddings.shape)}"
        )
    if lengths.shape != (batch,) or int(lengths.max()) != longest:
        raise ValueError(f"expected {batch} lengths, the longest {longest}, found {lengths.tolist()}")
    if negatives.dim() != 2 or len(negatives) not in (1, batch):
        raise ValueError(f"expected negatives [1, N] or [{batch}, N], found {list(negatives.shape)}")


def _asked(predicted: Tensor, first: int) -> Tensor:
    """Number of the frame that each frame and step predicts, ``[b, T, K]``; that of another one where it is not in the chunk."""
    own, frames, steps, _ = predicted.shape
    places = torch.arange(first * frames, (first + own) * frames, device=predicted.device).view(own, frames, 1)
    return places + torch.arange(1, steps + 1, device=predicted.device)


def _negative_scores(predicted: Tensor, table: Tensor, negatives: Tensor, asked: Tensor) -> Tensor:
    """zhat of each frame and step times each of its negatives, ``[b, T, K, N]``; lowest where that is the frame to be predicted."""
    pools = table[negatives.squeeze(0)]  # one pool is one matrix product, several are a batch of them
    scores = (predicted.flatten(1, 2) @ pools.mT).view(*asked.shape, -1)
    # Not -inf: the logarithm of a sum over none but such has no gradient.
    return scores.masked_fill(negatives[:, None, None] == asked[..., None], torch.finfo(scores.dtype).min)


def _means(losses: Tensor, right: Tensor, lengths: Tensor, own: slice) -> InfoNce:
    """Reduce ``[b, T, K]`` to this worker's part of the means over all workers' queries."""
    steps = torch.arange(1, losses.shape[2] + 1, device=losses.device)
    places = torch.arange(losses.shape[1], device=losses.device)
    within = places[:, None] + steps < lengths[own, None, None]
    queries = (lengths[:, None] - steps).clamp_min(0).sum(dim=0)
    shares = within.to(losses.dtype) / queries.clamp_min(1)
    asked = (queries > 0).sum().clamp_min(1)
    per_step_loss, per_step_right = ((values * shares).sum(dim=(0, 1)) for values in (losses, right))
    return InfoNce(per_step_loss.sum() / asked, per_step_right.sum() / asked, per_step_loss.detach(), per_step_right)
