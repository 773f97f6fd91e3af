"""One step of contrastive pretraining (Cnn10 of width 64, 5 s segments, ReCLR) beside a plainly written one.

Plain: float32, contiguous weights, the allocator as it comes, a Python loop over parameters for the momentum update. Ours:
the stage's own step with channels_last weights, freed memory kept and `_foreach_lerp_`, in float32 and in bfloat16. Every
variant of every round is a fresh process, as the allocator's settings are a process' own; its first step is not timed.

The goals were set on a CPU with AVX-512, on which contiguous convolutions reach half the speed of channels_last ones; on AVX2
both run at 0.65 to 0.85 of the matrix product's, so there the allocator is all that is left to gain.

Clock: CPU time of the process with one thread, unless --threads says otherwise; on CUDA, wall time.

    python tests/benchmarks/pretraining_step.py [--batch N] [--rounds N] [--device cuda] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from _ratio import Goal, Row, report, rows

from trainables.contrastive import ContrastiveBatch, MomentumContrast
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.losses.reclr import contrastive_loss
from trainables.numerics import keep_freed_memory
from trainables.segment_embeddings import SegmentEmbeddings

STEPS = 3
PLAIN, FLOAT32, BFLOAT16 = "plain", "ours, float32", "ours, bfloat16"
GOALS = {FLOAT32: 1.9, BFLOAT16: 3.3}
TOLERANCES = {FLOAT32: 1e-3, BFLOAT16: 2.5e-2}  # relative, of the loss at each of the first steps
SHARE_GOAL = 0.01
PARTS = "part of loss, optimizer, momentum"
RATE = "x float32 matmul's FLOP/s"
STEP_FLOP = 51.94e9  # per segment of 500 x 64: query forward and backward, key forward (torch.utils.flop_counter)
MATMUL = 2048


def _stage(precision: str, batch: int) -> ContrastivePretraining:
    features = LogMelFeatures(corpus="mdd", unit="session")
    reference = SegmentEmbeddings(encoder=EmotionReference(features=features), features=features)
    settings = {"objective": "reclr", "batch_size": batch, "precision": precision}
    return ContrastivePretraining(features=features, reference=reference, **settings)


def _batch(size: int, device: torch.device) -> ContrastiveBatch:
    generator = torch.Generator().manual_seed(0)
    keep_query, keep_key = (torch.rand(size, 500, 64, generator=generator) > 0.15 for _ in range(2))
    log_mel = torch.randn(size, 500, 64, generator=generator) * 15 - 50
    reference = torch.randn(size, 512, generator=generator)
    speaker = torch.randint(max(size // 4, 1), (size,), generator=generator)
    return ContrastiveBatch(*(part.to(device) for part in (log_mel, keep_query, keep_key, reference, speaker)))


def _plain_step(
    stage: ContrastivePretraining, learner: MomentumContrast, batch: ContrastiveBatch
) -> Callable[[int], dict[str, torch.Tensor]]:
    learner.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.SGD(
        learner.query.parameters(), lr=stage.learning_rate, momentum=stage.sgd_momentum, weight_decay=stage.weight_decay
    )

    def step(index: int) -> dict[str, torch.Tensor]:
        loss = learner(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for key, query in zip(learner.key.parameters(), learner.query.parameters(), strict=True):
            key.data = key.data * stage.momentum + query.data * (1 - stage.momentum)
        return {"loss": loss.detach()}

    return step


class _Clock:
    """CPU time of this process; on CUDA wall time, once the device has done what it was given."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def seconds(self, function: Callable[[], object], repeats: int) -> float:
        """Median over repeats."""
        taken = []
        for _ in range(repeats):
            start = self()
            function()
            taken.append(self() - start)
        return statistics.median(taken)


def _matmul_rate(clock: _Clock) -> float:
    """FLOP/s of a float32 matrix product: what this machine can do, against which a step's FLOP/s are to be read."""
    left, right = (torch.randn(MATMUL, MATMUL, device=clock.device) for _ in range(2))
    return 2 * MATMUL**3 / clock.seconds(lambda: left @ right, 5)


def _parts(stage: ContrastivePretraining, learner: MomentumContrast, optimizer: torch.optim.Optimizer, clock: _Clock) -> float:
    """Seconds of a step's loss (forward and backward), optimizer and momentum update."""
    batch = _batch(stage.batch_size, clock.device)
    query = torch.randn(stage.batch_size, learner.query.embedding_dim, device=clock.device, requires_grad=True)
    key, own = torch.randn_like(query), torch.arange(stage.batch_size, device=clock.device)
    settings = {name: getattr(stage, name) for name in ("lambda_", "top_k", "temperature", "same_speaker_positives")}

    def loss() -> None:
        contrastive_loss(query, key.detach(), batch.reference, batch.speaker, own=own, **settings).loss.backward()

    return sum(clock.seconds(part, 11) for part in (loss, optimizer.step, learner.update_key))


def _measure(variant: str, size: int, threads: int, device: torch.device) -> dict:
    """Run the variant in this process: its first losses, the median seconds of a step, those of its small parts, its rate."""
    torch.set_num_threads(threads)
    if variant != PLAIN:
        keep_freed_memory()
    stage = _stage("bfloat16" if variant == BFLOAT16 else "float32", size)
    context = SimpleNamespace(rank=0, world_size=1, device=device)
    learner, batch, clock = stage._learner(context), _batch(size, device), _Clock(device)
    optimizer = torch.optim.SGD(
        learner.query.parameters(), lr=stage.learning_rate, momentum=stage.sgd_momentum, weight_decay=stage.weight_decay
    )
    if variant == PLAIN:
        step = _plain_step(stage, learner, batch)
    else:
        step = stage._training_step(context, learner, optimizer, lambda index: batch)
    losses = [step(0)["loss"]]
    seconds = clock.seconds(lambda: losses.append(step(len(losses))["loss"]), STEPS - 1 if device.type == "cpu" else 20)
    parts = _parts(stage, learner, optimizer, clock) if variant != PLAIN else 0.0
    rate = STEP_FLOP * size / seconds / _matmul_rate(clock)
    return {"seconds": seconds, "losses": [float(loss) for loss in losses[:STEPS]], "parts": parts, "rate": rate}


def _fresh_process(variant: str, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--variant", variant, "--batch", str(options.batch), "--device", options.device]
    command += ["--threads", str(options.threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _variants(device: str) -> list[str]:
    if device == "cpu" and not torch.cpu.get_capabilities().get("avx512_bf16"):
        print("bfloat16 is left out: this CPU has no AVX512_BF16 and would emulate it, many times slower", file=sys.stderr)
        return [PLAIN, FLOAT32]
    return [PLAIN, FLOAT32, BFLOAT16]


def _summary(measured: dict[str, list[dict]]) -> tuple[list[Row], list[Goal]]:
    figures = {}
    for name, runs in measured.items():
        pairs = [zip(run["losses"], plain["losses"], strict=True) for run, plain in zip(runs, measured[PLAIN], strict=True)]
        figures[name] = {RATE: statistics.median(run["rate"] for run in runs)}
        if name != PLAIN:
            figures[name]["largest loss difference"] = max(abs(ours / plain - 1) for pair in pairs for ours, plain in pair)
            figures[name][PARTS] = statistics.median(run["parts"] / run["seconds"] for run in runs)
    lines = rows({name: [run["seconds"] for run in runs] for name, runs in measured.items()}, figures)
    goals = []
    for line in lines[1:]:
        goal, tolerance = GOALS[line.name], TOLERANCES[line.name]
        goals += [
            Goal(f"{line.name}: at least {goal} x", line.ratio >= goal),
            Goal(f"{line.name}: losses within {tolerance} of plain", line.figures["largest loss difference"] <= tolerance),
            Goal(f"{line.name}: loss + optimizer + momentum update at most 1 %", line.figures[PARTS] <= SHARE_GOAL),
        ]
    return lines, goals


def main() -> int:
    """Measure, print, and return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="segments per step (default 32)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each variant is started (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(_measure(options.variant, options.batch, options.threads, torch.device(options.device))))
        return 0
    measured: dict[str, list[dict]] = {name: [] for name in _variants(options.device)}
    for number in range(options.rounds):
        for name in list(measured)[:: 1 if number % 2 == 0 else -1]:
            measured[name].append(_fresh_process(name, options))
    lines, goals = _summary(measured)
    title = f"pretraining step, batch {options.batch}, {options.threads} thread(s), {options.device}"
    return report(title, {"": lines}, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
