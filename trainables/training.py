"""The one training loop: resumable at every step, the same bytes whether or not it was interrupted.

Whatever is random in a step is drawn from ``(seed, purpose, step)`` (:func:`trainables.numerics.seeded`), so a checkpoint holds the
step and the parts' states and no generator state at all.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from trainables.errors import UserError
from trainables.numerics import seeded
from trainables.stage import Context


class Stateful(Protocol):
    """A part of the training that a checkpoint must hold: a module, an optimizer, the best epoch so far."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Go on from there."""


class BestEpoch:
    """Keeps the weights of the epoch with the highest score; of equal scores the earliest counts.

    Args:
        module: Whose weights are kept.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.score = float("-inf")
        self.epoch = -1
        self.weights: dict[str, torch.Tensor] = {}

    def offer(self, score: float, epoch: int) -> None:
        """Keep the module's present weights if this epoch is better than any before."""
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.weights = {name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()}

    def restore(self) -> None:
        """Put the best epoch's weights back into the module."""
        self.module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Score, epoch and weights."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of :meth:`state_dict`."""
        self.score, self.epoch, self.weights = state["score"], state["epoch"], state["weights"]


def train(
    context: Context,
    *,
    seed: int,
    steps: int,
    steps_per_epoch: int,
    step: Callable[[int], Mapping[str, torch.Tensor]],
    parts: Mapping[str, Stateful],
    after_epoch: Callable[[int], Mapping[str, float]] | None = None,
    begin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run ``step(0) ... step(steps - 1)``, going on from the newest checkpoint.

    Args:
        context: The stage's context.
        seed: Seeds torch's global generators anew at every step (and differently on every rank), for dropout.
        steps: Optimizer steps in all, those before ``begin`` included.
        steps_per_epoch: After so many steps the means of what ``step`` returned are reported, with the epoch as step number.
        step: Does one optimizer step; returns 0-d tensors, detached, on any device (no synchronisation is forced between reports).
        parts: What a checkpoint must hold besides the step.
        after_epoch: Called with the epoch (from 0) on every rank; what it returns is reported too.
        begin: What ``train`` returned when the same training was stopped earlier, to go on from where there is no checkpoint.

    Returns:
        The state after the last step: what a checkpoint there would hold.

    Raises:
        StopRequested: The sweep is being stopped; the checkpoint is written.
    """
    sums: dict[str, torch.Tensor] = {}
    first = begin["step"] if begin else 0
    start = first
    if (saved := context.load_checkpoint() or begin) is not None:
        start, sums = saved["step"], {name: value.to(context.device) for name, value in saved["sums"].items()}
        for name, part in parts.items():
            part.load_state_dict(saved["parts"][name])
    for index in range(start, steps):
        torch.manual_seed(seeded(seed, "noise", index, context.rank))
        for name, value in step(index).items():
            sums[name] = sums[name] + value if name in sums else value
        done = index + 1
        if done % steps_per_epoch == 0:
            epoch = index // steps_per_epoch
            metrics = {name: float(value) / steps_per_epoch for name, value in sums.items()}
            metrics.update(after_epoch(epoch) if after_epoch else {})
            context.report(metrics, epoch)
            sums = {}
        context.tick((done - first) / (steps - first))
        if done < steps and context.checkpoint_due():
            context.save_checkpoint(_state(done, sums, parts))
    return _state(steps, sums, parts)


def train_watched(
    context: Context,
    *,
    seed: int,
    steps: int,
    steps_per_epoch: int,
    step: Callable[[int], Mapping[str, torch.Tensor]],
    parts: Mapping[str, Stateful],
    optimizer: torch.optim.Optimizer,
    mend: str,
    begin: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """:func:`train` of a loss, which ends where that is no longer finite; the learning rate is reported besides.

    Args:
        context: As the others that are not named here, as :func:`train` has it.
        seed: See there.
        steps: See there.
        steps_per_epoch: See there.
        step: Returns the ``loss`` among others.
        parts: What a checkpoint must hold; 'optimizer' is added.
        optimizer: Whose first learning rate is reported.
        mend: What to do about a loss that is not finite.
        begin: See there.

    Returns:
        The state after the last step, and what that step returned.

    Raises:
        UserError: The loss is not finite at the end of an epoch.
        StopRequested: The sweep is being stopped; the checkpoint is written.
    """
    last: dict[str, torch.Tensor] = {}

    def remembering_step(index: int) -> dict[str, torch.Tensor]:
        last.update(step(index))
        return last

    def after_epoch(epoch: int) -> dict[str, float]:
        if not math.isfinite(loss := float(last["loss"])):
            raise UserError(f"the loss is {loss} in epoch {epoch + 1}; {mend}")
        return {"learning_rate": optimizer.param_groups[0]["lr"]}

    state = train(
        context,
        seed=seed,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        step=remembering_step,
        parts={**parts, "optimizer": optimizer},
        after_epoch=after_epoch,
        begin=begin,
    )
    return state, {name: float(value) for name, value in last.items()}


def train_epochs(
    context: Context,
    *,
    seed: int,
    epochs: int,
    steps_per_epoch: int,
    step: Callable[[int], Mapping[str, torch.Tensor]],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    validate: Callable[[], Mapping[str, float]] | None,
    score: str = "f1_macro",
) -> BestEpoch | None:
    """Train a model by :func:`train`; with a development set the epoch with its best score there counts, without one the last.

    Args:
        context: The stage's context.
        seed: As :func:`train` has it.
        epochs: How many.
        steps_per_epoch: Optimizer steps of each.
        step: As :func:`train` has it.
        model: Holds the weights that count afterwards.
        optimizer: Its optimizer.
        validate: Scores on the development set, which are reported as ``dev_...``; None without one.
        score: Which of them chooses the epoch; higher is better.

    Returns:
        The best epoch, if there was a choice.
    """
    best = BestEpoch(model) if validate else None

    def offer(epoch: int) -> dict[str, float]:
        scores = validate()
        best.offer(scores[score], epoch)
        return {f"dev_{name}": value for name, value in scores.items()}

    train(
        context,
        seed=seed,
        steps=epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        step=step,
        parts={"model": model, "optimizer": optimizer} | ({"best": best} if best else {}),
        after_epoch=offer if best else None,
    )
    if best:
        best.restore()
    return best


def _state(step: int, sums: Mapping[str, torch.Tensor], parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Everything needed to go on after ``step`` steps."""
    return {"step": step, "sums": dict(sums), "parts": {name: part.state_dict() for name, part in parts.items()}}


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Autocast for ``precision`` 'bfloat16'; nothing for 'float32'."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


class EpochOrder:
    """Batches of distinct items from an endless sequence of seeded permutations; depends on (seed, step) alone.

    What is left of a permutation after its last whole batch is passed over: the next permutation puts other items there.

    Args:
        size: Number of items.
        batch_size: Items per batch; fewer only if there are not so many items.
        seed: Seeds the permutations ("batch order").

    Attributes:
        steps_per_epoch: Batches per permutation.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self.batch_size = min(batch_size, size)
        self.steps_per_epoch = size // self.batch_size
        self._size, self._seed = size, seed
        self._newest: tuple[int, torch.Tensor] = (-1, torch.empty(0))

    def __getitem__(self, step: int) -> torch.Tensor:
        """Indices of the batch of this step, LongTensor ``[batch_size]``."""
        number, place = divmod(step, self.steps_per_epoch)
        if self._newest[0] != number:
            generator = torch.Generator().manual_seed(seeded(self._seed, "batch order", number))
            self._newest = number, torch.randperm(self._size, generator=generator)
        return self._newest[1][place * self.batch_size : (place + 1) * self.batch_size]
