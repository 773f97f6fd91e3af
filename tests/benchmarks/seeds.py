"""Twenty seeds of a bi-LSTM as one job, against twenty packed nn.LSTM trained one after the other; same batches and first weights.

Sequences of 100 to 300 vectors of 512 dimensions, mean over time, cross entropy, Adam. Wall time on two cores: the job as its
stage runs it there, groups of seeds in two processes of one thread, beside one process with PyTorch's default threads and with one
thread. The goals are over the faster of the two: on a machine that is busy otherwise, threads that wait for each other take many
times as long. Then CPU time of one thread, one group of seeds beside the same seeds one by one.

    python tests/benchmarks/seeds.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from _ratio import Goal, Row, arguments, interleaved, one_thread, report, rows
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from trainables.log_mel_features import LogMelFeatures
from trainables.models.lstm import masked_mean
from trainables.numerics import keep_freed_memory, seeded
from trainables.seed_batch import SequenceSettings, seeds_in_a_group
from trainables.seed_training import SeedData, Sequences, StackedTraining
from trainables.sequence_classifier import SequenceClassifier
from trainables.training import EpochOrder

SEEDS, CORES, DIMENSIONS, UNITS = 20, 2, 512, 64
GOALS = {(128, 16): 4.5, (32, 4): 12.0}


def _settings(hidden: int, batch: int) -> SequenceSettings:
    features = (LogMelFeatures(corpus="mdd", unit="session"),)  # never computed: the benchmark makes its sequences up
    return SequenceClassifier(features=features, hidden_size=hidden, batch_size=batch, balanced=False)


def _data() -> tuple[Sequences, Tensor]:
    """Sequences of which the first half can be told from the second, standardised, and their labels."""
    generator = torch.Generator().manual_seed(seeded(0, "sequences"))
    lengths = torch.randint(100, 301, (UNITS,), generator=generator)
    labels = (torch.arange(UNITS) >= UNITS // 2).long()
    table = torch.randn(int(lengths.sum()), DIMENSIONS, generator=generator)
    table[:, :32] += 0.2 * (2 * labels - 1).repeat_interleave(lengths).unsqueeze(1)
    return Sequences((table - table.mean(dim=0)) / table.std(dim=0), lengths), labels


class _Packed:
    """One seed, as anyone would write it."""

    def __init__(self, settings: SequenceSettings, sequences: Sequences, labels: Tensor, seed: int) -> None:
        torch.manual_seed(seeded(seed, "initialisation"))
        self._lstm = nn.LSTM(DIMENSIONS, settings.hidden_size, batch_first=True, bidirectional=True)
        self._head = nn.Linear(2 * settings.hidden_size, 2)
        parameters = [*self._lstm.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
        self._order = EpochOrder(UNITS, settings.batch_size, seed)
        self._labels, self._units = labels, sequences.table.split(sequences.lengths.tolist())

    def step(self, index: int) -> float:
        batch = self._order[index]
        packed = pack_sequence([self._units[unit] for unit in batch.tolist()], enforce_sorted=False)
        pooled = masked_mean(*pad_packed_sequence(self._lstm(packed)[0], batch_first=True))
        loss = nn.functional.cross_entropy(self._head(pooled), self._labels[batch])
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item()


def _stacked(settings: SequenceSettings, sequences: Sequences, labels: Tensor, seeds: list[int]) -> StackedTraining:
    everything = torch.arange(UNITS)
    data = [SeedData(seed, everything, labels, everything) for seed in seeds]
    return StackedTraining(settings, sequences, data, classes=2, device=torch.device("cpu"))


def _work(orders: Connection, settings: SequenceSettings, groups: list[list[int]]) -> None:
    """A process with its groups of seeds: told the number of a step, it takes that step of all of them and answers the losses."""
    keep_freed_memory()
    one_thread()
    trainings = [_stacked(settings, *_data(), seeds) for seeds in groups]
    orders.send("ready")
    while (index := orders.recv()) is not None:
        orders.send([loss for training in trainings for loss in training.step(index).tolist()])


class _Job:
    """The groups of seeds, shared out among processes of one thread."""

    def __init__(self, settings: SequenceSettings) -> None:
        size, context = seeds_in_a_group(settings.hidden_size), multiprocessing.get_context("spawn")
        groups = [list(range(begin, min(begin + size, SEEDS))) for begin in range(0, SEEDS, size)]
        self._seeds, self._ends, self._processes = [], [], []
        for number in range(CORES):
            mine, theirs = context.Pipe()
            self._seeds.append([seed for group in groups[number::CORES] for seed in group])
            self._ends.append(mine)
            self._processes.append(context.Process(target=_work, args=(theirs, settings, groups[number::CORES])))
            self._processes[-1].start()
        for end in self._ends:
            end.recv()

    def step(self, index: int) -> list[float]:
        for end in self._ends:
            end.send(index)
        losses = {}
        for end, seeds in zip(self._ends, self._seeds, strict=True):
            losses |= dict(zip(seeds, end.recv(), strict=True))
        return [losses[seed] for seed in range(SEEDS)]

    def close(self) -> None:
        for end, process in zip(self._ends, self._processes, strict=True):
            end.send(None)
            process.join()


def _compare(variants: dict[str, Callable[[int], list[float]]], rounds: int, clock: str) -> list[Row]:
    """Time a step of all seeds a round; the losses of the variants are compared at every step."""
    losses: dict[str, list[list[float]]] = {name: [] for name in variants}
    index = {"now": -1}

    def next_step() -> None:
        index["now"] += 1

    timed = {name: lambda name=name, step=step: losses[name].append(step(index["now"])) for name, step in variants.items()}
    interleaved(timed, 1, clock, next_step)  # the first step also allocates
    seconds = interleaved(timed, rounds, clock, next_step)
    steps = {name: torch.tensor(own) for name, own in losses.items()}
    figures = {name: {"first loss": own[0].mean().item(), "last loss": own[-1].mean().item()} for name, own in steps.items()}
    first, ours = next(iter(steps)), list(steps)[-1]
    figures[ours]["max loss difference"] = (steps[first] - steps[ours]).abs().max().item()
    return rows(seconds, figures)


def _one_by_one(settings: SequenceSettings, seeds: list[int], threads: int) -> Callable[[int], list[float]]:
    data = _data()
    packed = [_Packed(settings, *data, seed) for seed in seeds]

    def step(index: int) -> list[float]:
        torch.set_num_threads(threads)
        return [own.step(index) for own in packed]

    return step


def _wall(settings: SequenceSettings, rounds: int) -> list[Row]:
    seeds, job = list(range(SEEDS)), _Job(settings)
    variants = {f"packed nn.LSTM, threads: {number}": _one_by_one(settings, seeds, number) for number in (CORES, 1)}
    try:
        return _compare(variants | {f"one job, processes: {CORES}": job.step}, rounds, "wall")
    finally:
        job.close()


def _cpu(settings: SequenceSettings, rounds: int) -> list[Row]:
    seeds = list(range(seeds_in_a_group(settings.hidden_size)))
    group = _stacked(settings, *_data(), seeds)
    variants = {"packed nn.LSTM": _one_by_one(settings, seeds, 1)}
    return _compare(variants | {f"{len(seeds)} seeds side by side": lambda index: group.step(index).tolist()}, rounds, "cpu")


def main() -> int:
    """Time both sizes by both clocks, compare the losses step by step, report."""
    options = arguments(__doc__, rounds=5)
    keep_freed_memory()
    if hasattr(os, "sched_setaffinity"):  # the goals are of two cores, wherever there are more
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    tables, goals = {}, []
    for (hidden, batch), goal in GOALS.items():
        table = _wall(_settings(hidden, batch), options.rounds)
        tables[f"{SEEDS} seeds, H {hidden}, batch {batch}, wall time on {CORES} cores"] = table
        _, one_threaded, ours = table
        reached = ours.ratio / max(1.0, one_threaded.ratio)
        goals.append(Goal(f"H {hidden}: at least {goal} x packed nn.LSTM; {reached:.1f} x", reached >= goal))
        goals.append(Goal(f"H {hidden}: losses within 1e-5", ours.figures["max loss difference"] <= 1e-5))
    one_thread()
    for hidden, batch in GOALS:
        tables[f"H {hidden}, batch {batch}, CPU time of 1 thread"] = _cpu(_settings(hidden, batch), options.rounds)
    return report("training step", tables, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
