"""Stage: detection from the sequence of a unit's turns (Climate and Weather, sections 2.3 and 3.3, Tables 2 and 3)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.protocols.catalogue import DAIC_OFFICIAL
from trainables.seed_batch import SeedBatch, SequenceSettings
from trainables.stage import Context, Stage
from trainables.tasks import TASKS


class SequenceClassifier(SequenceSettings, DividedStage):
    """A bi-LSTM or bi-GRU over the features of a session's turns: one seed of a :class:`~trainables.seed_batch.SeedBatch`.

    From the paper: 20 seeds 'to reduce the impact of initialization', scored on the development set (section 3.3); settings and
    decisions are those of :class:`~trainables.seed_batch.SequenceSettings`. The last epoch counts: nothing is selected, so one
    training serves the paper's rule, which reports the development set, and the clean one, which reports the test set.

    The seeds are trained together in a stage that is derived from this one's settings; this one picks what the model of its own
    seed says of its own units and scores it.

    ``seed`` controls the division where the protocol leaves that to the seed, the initialisation and the batch order.

    Result: ``predictions.parquet`` (one row per scored unit); where the division has a development set beside them,
    ``predictions_dev.parquet``; ``metrics.json`` (those of the development set as ``dev_...``). Its curve is the
    training loss of its seed.
    """

    label: ClassVar[str] = "sequence classifier"
    accelerated: ClassVar[bool] = False

    protocol: Protocol = DAIC_OFFICIAL
    together: int = Field(default=20, gt=0)
    """Seeds that are trained as one job: those from the last multiple of it up to the next."""

    def upstream(self) -> dict[str, Stage]:
        """The features, and 'training': the block of seeds that this one belongs to."""
        return super().upstream() | {"training": self.training()}

    def training(self) -> SeedBatch:
        """The block of seeds; the same for each of them, and for whichever set is scored unless that decides who trains."""
        shared = {name: getattr(self, name) for name in SeedBatch.model_fields if name in type(self).model_fields}
        if self.protocol.scheme != "drawn":
            shared["scored_on"] = "test"
        return SeedBatch(**shared, first_seed=self.seed // self.together * self.together, seeds=self.together)

    def exposure(self) -> Exposure:
        """Training units, their labels and their statistics; the last epoch counts."""
        return Exposure(features=self.features[0], fitted="training", task=self.task, normalised="training")

    def run(self, context: Context) -> None:
        """Score what the model of this seed says.

        Raises:
            UserError: Its training diverged.
        """
        import pandas as pd

        from trainables.metrics import scored_sets, write_predictions
        from trainables.units import read_units

        trained = context.result(self.training())
        mine = [("seed", "==", self.seed)]
        losses = pd.read_parquet(trained / "losses.parquet", filters=mine)
        for epoch, loss in zip(losses["epoch"].tolist(), losses["loss"].tolist(), strict=True):
            context.report({"loss": loss}, epoch)
        said = pd.read_parquet(trained / "predictions.parquet", filters=mine).drop(columns=["seed", "set"]).set_index("unit")
        units = read_units(context.result(self.features[0]), TASKS[self.task])
        for name, scored in scored_sets(self, units).items():
            write_predictions(context.directory, scored, said.loc[scored.table["unit"]].to_numpy(), name=name)
