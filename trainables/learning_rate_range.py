"""Stage: the learning-rate range test, a short training whose rate grows until the loss does (steps 2 and 6 of the paper)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables.errors import UserError
from trainables.head_training import HeadTraining
from trainables.leakage.exposure import Exposure
from trainables.resnet_training import ResnetTraining
from trainables.stage import Context

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from trainables.models.attention_resnet import AttentionResnet
    from trainables.resnet_training import Step
    from trainables.training import Stateful
    from trainables.units import Units

_SPAN = 0.1
"""Share of the steps whose losses the exponential mean is of: each weighs 1 - 1 / (_SPAN * steps) as much as the next one."""
_FEWEST = 20
"""Steps: a mean of two losses."""
_DIVERGED = 4.0
"""The test ends where the smoothed loss exceeds so many times its least."""
_BELOW_THE_LEAST = 0.1
"""What is suggested, as a share of the rate at the least smoothed loss."""


class LearningRateRange(ResnetTraining):
    """Train for some steps with a rate that grows from step to step, and suggest one at which the loss is still falling.

    The paper: 'Find the best learning rate value, at this time the loss function value is still falling' (section 3.5, step 2; step
    6 says the same once more), and no more. The range test is Smith's ('Cyclical learning rates for training neural networks', WACV
    2017, section 3.3). The paper's list of steps is the usual one of fastai, whose ``lr_find`` is followed where Smith leaves it
    open: the rate grows exponentially, batch by batch, 100 times; the loss is smoothed by a bias-corrected exponential mean; the
    test ends where that exceeds four times its least. The suggestion is a tenth of the rate at the least smoothed loss, where the
    loss is no longer about to turn. Decisions:

    - A loss weighs 0.9 as much as the next one, where ``lr_find`` has 0.98: a mean of 50 steps out of 100 would lag two and a half
      decades behind the rate, one of 10 lags half a decade. Of other numbers of steps the mean is of a tenth, so that it lags by as
      much; the fewer they are, the noisier it is.
    - The least is looked for from that tenth on. Before, the mean is of fewer losses, and one lucky batch would suggest a rate.
    - 1e-5 to 1: Table 4's rate and both of Algorithm 1's, 1e-4 and 1e-3, lie in between with a tenth left below.
    - The list has the test before the freezing, but a rate is found for what is trained with it: without ``head`` the body is
      frozen in the test too.
    - Nothing is kept but the rate: the training that follows begins where the test began.

    With a ``head`` the settings that are not given are that head's, and it gets those that are: both train one network on the same
    segments.

    ``seed`` controls the division where the protocol leaves it to the seed, the first weights and the batch order.

    Result: ``rates.parquet``, one row per step: ``step, rate, loss`` (nat), ``smoothed``; ``metrics.json``: ``learning_rate``, the
    suggestion, ``least_rate``, the rate at the least smoothed loss, and ``least_loss``, that loss; ``figures/range-test.png``.
    """

    label: ClassVar[str] = "learning-rate range test"
    draws: ClassVar[bool] = True

    head: HeadTraining | None = None
    """Step 6, the whole network after its last layer was trained; None: step 2, the last layer of a random network."""
    steps: int = Field(default=100, ge=_FEWEST)
    lowest: float = Field(default=1e-5, gt=0)
    highest: float = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _as_the_head(cls, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("head")
        return head.shared() | given if isinstance(head, HeadTraining) else given

    @field_validator("head")
    @classmethod
    def _of_one_network(cls, head: HeadTraining | None, info: ValidationInfo) -> HeadTraining | None:
        own = {name: info.data[name] for name in ResnetTraining.model_fields if name in info.data}
        if head is None or len(own) < len(ResnetTraining.model_fields):  # a setting has a fault, which is told
            return head
        return head.with_upstream({}, **own)

    @model_validator(mode="after")
    def _rates_grow(self) -> LearningRateRange:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest={self.lowest} is not below highest={self.highest}; give a lower one")
        return self

    def exposure(self) -> Exposure:
        """Training segments, their labels and their statistics; the rate is chosen on their loss."""
        return super().exposure()._replace(selected="train")

    def run(self, context: Context) -> None:
        """Raise the rate and write what came of it.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs; the loss is not finite at the lowest rate.
        """
        from trainables.metrics import add_metrics
        from trainables.pictures import save_picture

        training = self.sets(self.units(context))["train"]
        network = self._network(context, training).to(context.device)
        optimizer = self.optimizer(network, self.lowest)
        step, _ = self.training_step(context, network, optimizer, training)
        curve = RateCurve(self.lowest, self.highest, self.steps)
        raise_rates(context, curve, seed=self.seed, step=step, optimizer=optimizer, parts={"network": network})
        table = curve.table()
        table.to_parquet(context.directory / "rates.parquet", index=False)
        least = table.iloc[curve.least]
        found = {"learning_rate": curve.suggestion, "least_rate": float(least["rate"]), "least_loss": float(least["smoothed"])}
        add_metrics(context.directory, found)
        save_picture(context.directory, "range-test", _figure(table, curve, self._title()))

    def _network(self, context: Context, training: Units) -> AttentionResnet:
        """What is trained, as it is before that."""
        if self.head is None:
            network = self.untrained(context, training)
            network.freeze_body()
            return network
        from trainables.models.attention_resnet import AttentionResnet

        network = AttentionResnet.load(context.result(self.head))
        network.unfreeze()
        return network

    def _title(self) -> str:
        what = "last layer" if self.head is None else "whole network"
        return f"learning-rate range test: {what}, {self.depth} layers, {self.task} in {self.features.corpus}"


class RateCurve:
    """The losses of a range test so far, and what they suggest.

    Args:
        lowest: Rate of the first step.
        highest: Rate of the last step.
        steps: At least 20; each rate is the one before times the same factor.

    Attributes:
        rates: Of all steps.
        losses: Of the steps that were done, all finite.
    """

    def __init__(self, lowest: float, highest: float, steps: int) -> None:
        import numpy as np

        self.rates: list[float] = np.geomspace(lowest, highest, steps).tolist()
        self.losses: list[float] = []
        self._span = round(_SPAN * steps)

    @property
    def smoothed(self) -> np.ndarray:
        """Bias-corrected exponential mean of the losses up to each step, float64 ``[steps done]``."""
        import pandas as pd

        return pd.Series(self.losses, dtype="float64").ewm(alpha=1 / self._span).mean().to_numpy()

    @property
    def diverged(self) -> bool:
        """Whether the smoothed loss exceeds four times its least."""
        smoothed = self.smoothed
        return len(smoothed) > 0 and bool(smoothed[-1] > _DIVERGED * smoothed.min())

    @property
    def least(self) -> int:
        """The step with the least smoothed loss, the first ones left out; if there are no others, the last step."""
        first = min(self._span, len(self.losses)) - 1
        return first + int(self.smoothed[first:].argmin())

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at the least smoothed loss, or the lowest rate if that is higher."""
        return max(self.rates[0], _BELOW_THE_LEAST * self.rates[self.least])

    def table(self) -> pd.DataFrame:
        """One row per step that was done: ``step``, ``rate``, ``loss``, ``smoothed``."""
        import pandas as pd

        count = len(self.losses)
        return pd.DataFrame({"step": range(count), "rate": self.rates[:count], "loss": self.losses, "smoothed": self.smoothed})

    def state_dict(self) -> dict[str, Any]:
        """The losses."""
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of :meth:`state_dict`."""
        self.losses = list(state["losses"])


class _Ended(Exception):
    """Raised at the first step that is not to be done any more."""


def raise_rates(
    context: Context,
    curve: RateCurve,
    *,
    seed: int,
    step: Step,
    optimizer: torch.optim.Optimizer,
    parts: Mapping[str, Stateful],
) -> None:
    """Do the steps of a range test, each at its rate, until the last one or until the loss diverges; resumable at each.

    Args:
        context: The stage's context; loss, smoothed loss and rate are its curves, step by step.
        curve: Gets the losses.
        seed: As :func:`trainables.training.train` has it.
        step: Does one optimizer step; returns the ``loss``, which is finite at the lowest rate and need not be afterwards.
        optimizer: What the rate is set of.
        parts: What a checkpoint must hold; optimizer and curve are added.

    Raises:
        UserError: The first loss is not finite.
        StopRequested: The sweep is being stopped; the checkpoint is written.
    """
    from trainables.training import train

    def at_its_rate(index: int) -> dict[str, torch.Tensor]:
        if curve.diverged:
            raise _Ended
        for group in optimizer.param_groups:
            group["lr"] = curve.rates[index]
        told = step(index)
        if math.isfinite(loss := float(told["loss"])):
            curve.losses.append(loss)
        elif curve.losses:
            raise _Ended
        else:
            raise UserError(f"the loss is {loss} before the first step; expected a finite one: raise precision to 'float32'")
        return told

    def after_step(index: int) -> dict[str, float]:
        return {"smoothed": float(curve.smoothed[-1]), "learning_rate": curve.rates[index]}

    with contextlib.suppress(_Ended):
        train(
            context,
            seed=seed,
            steps=len(curve.rates),
            steps_per_epoch=1,
            step=at_its_rate,
            parts={**parts, "optimizer": optimizer, "curve": curve},
            after_epoch=after_step,
        )


def _figure(table: pd.DataFrame, curve: RateCurve, title: str) -> Figure:
    """Losses over the rate, which is on a logarithmic axis, with the suggestion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="learning rate", ylabel="training loss of a batch (nat)", xscale="log")
    axes.title.set_fontsize("medium")
    axes.plot(table["rate"], table["loss"], color="#bbbbbb", linewidth=1, label="each batch")
    axes.plot(table["rate"], table["smoothed"], color="#0072b2", label="smoothed")
    least = table.iloc[curve.least]
    axes.plot(least["rate"], least["smoothed"], "o", color="#0072b2", label=f"least: {least['rate']:.2g}")
    axes.axvline(curve.suggestion, color="#d55e00", linestyle="--", label=f"suggested: {curve.suggestion:.2g}")
    axes.set_ylim(0, 1.2 * table["smoothed"].max())  # a batch that exploded would leave nothing of the others to see
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False)
    return figure
