"""One step of CPC pretraining (chunks to embeddings, contexts, predictions, InfoNCE, backward, Adam) beside plainly written ones.

Same network, same weights, chunks and negatives (one pool for the batch), hence the same losses, which is checked at every step.
What differs is all that follows the contexts:

- plain: a Python loop over the prediction steps; in each the negatives are gathered for every query by index and multiplied, and
  positive and negatives are joined for a cross entropy. Of the ways to write the product (batched, einsum, elementwise) it has
  the fastest one.
- loop, one product a step: the same loop by someone who has seen that the queries share their pool, and gathers it once a step.
- ours: :class:`trainables.models.cpc.CpcNetwork`.

The goal is set beside plain. Beside the other loop there is little to gain on a CPU: both are bound by the same matrix products of
encoder, GRU and predictors.

Clock: CPU time of the process with one thread; on CUDA wall time. The setting is 16 chunks of 128 frames, 12 steps, 128 negatives,
256 values; plain needs 6 GB for it.

    python tests/benchmarks/cpc_step.py [--rounds N] [--device cuda] [--json PATH]
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from _ratio import Goal, Row, interleaved, one_thread, report, rows
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.losses.info_nce import draw_negatives
from trainables.models.cpc import CpcNetwork, FrameSettings
from trainables.numerics import keep_freed_memory, seeded

CHUNKS, FRAMES, STEPS, NEGATIVES = 16, 128, 12, 128
GOAL, TOLERANCE = 2.0, 1e-5
PLAIN, LOOP, OURS = "plain", "loop, one product a step", "ours"

Loss = Callable[[CpcNetwork, Tensor, Tensor, Tensor], Tensor]


def _looped(network: CpcNetwork, chunks: Tensor, lengths: Tensor, negatives: Tensor, gathered_per_query: bool) -> Tensor:
    """InfoNCE of chunks of one length, step by step."""
    embeddings = network.encode(chunks)
    contexts, _ = network.contexts(embeddings)
    table, losses = embeddings.flatten(0, 1), []
    for ahead, weight in enumerate(network.predictors.weight.chunk(STEPS), start=1):
        predicted = contexts[:, :-ahead] @ weight.T
        positive = (predicted * embeddings[:, ahead:]).sum(dim=-1, keepdim=True)
        if gathered_per_query:
            index = negatives.expand(*predicted.shape[:2], NEGATIVES)
            negative = (table[index] * predicted.unsqueeze(2)).sum(dim=-1)
        else:
            negative = predicted @ table[negatives[0]].T
        asked = torch.arange(CHUNKS * FRAMES, device=chunks.device).view(CHUNKS, FRAMES)[:, ahead:, None]
        logits = torch.cat([positive, negative.masked_fill(negatives[0] == asked, -torch.inf)], dim=-1).flatten(0, 1)
        losses.append(F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=chunks.device)))
    return torch.stack(losses).mean()


LOSSES: dict[str, Loss] = {
    PLAIN: lambda *given: _looped(*given, gathered_per_query=True),
    LOOP: lambda *given: _looped(*given, gathered_per_query=False),
    OURS: lambda network, *given: network(*given).loss,
}


def _batch(step: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seeded(0, "batch", step))
    # Neighbouring frames are alike, as in speech: so there is something to learn, and losses could part.
    chunks = torch.randn(CHUNKS, FRAMES, 40, generator=generator).cumsum(dim=1) / 4
    lengths = torch.full((CHUNKS,), FRAMES)
    return chunks.to(device), lengths, draw_negatives(lengths, NEGATIVES, "batch", generator).to(device)


def _stepper(network: nn.Module, loss_of: Loss, losses: list[float], batch: dict[str, tuple]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network, *batch["now"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())  # on a GPU this waits for the step's end, so that all of it is timed

    return step


def _compare(rounds: int, device: torch.device) -> list[Row]:
    torch.manual_seed(0)
    network = CpcNetwork(FrameSettings(16000, 400, 160, 40, False), prediction_steps=STEPS).to(device)
    losses: dict[str, list[float]] = {name: [] for name in LOSSES}
    batch: dict[str, tuple] = {}
    variants = {name: _stepper(copy.deepcopy(network), loss, losses[name], batch) for name, loss in LOSSES.items()}
    steps = iter(range(rounds + 1))

    def next_batch() -> None:
        batch["now"] = _batch(next(steps), device)

    clock = "cpu" if device.type == "cpu" else "wall"
    interleaved(variants, 1, clock, next_batch)  # the first step also allocates the optimizer's state
    seconds = interleaved(variants, rounds, clock, next_batch)
    figures = {name: {"first loss": own[0], "last loss": own[-1]} for name, own in losses.items()}
    for name, own in losses.items():
        figures[name]["largest loss difference"] = max(
            abs(mine / plain - 1) for mine, plain in zip(own, losses[PLAIN], strict=True)
        )
    return rows(seconds, figures)


def main() -> int:
    """Time whole steps, compare the losses step by step, print, and return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each variant that are timed (default 5)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    options = parser.parse_args()
    keep_freed_memory()
    one_thread()
    lines = _compare(options.rounds, torch.device(options.device))
    ours = next(line for line in lines if line.name == OURS)
    goals = [
        Goal(f"at least {GOAL} x plain", ours.ratio >= GOAL),
        Goal(f"losses within {TOLERANCE} of plain", max(line.figures["largest loss difference"] for line in lines) <= TOLERANCE),
    ]
    title = f"step of CPC pretraining, {CHUNKS} x {FRAMES} frames, {STEPS} steps, {NEGATIVES} negatives, {options.device}"
    return report(title, {"": lines}, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
