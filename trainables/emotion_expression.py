"""Stage: what emotion healthy and depressed subjects express, as an emotion model hears it (Climate and Weather, section 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import model_validator

from trainables.divided import DividedStage
from trainables.emotion_features import EmotionFeatures
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.protocols.catalogue import DAIC_OFFICIAL
from trainables.stage import Context
from trainables.tasks import TASKS

if TYPE_CHECKING:
    from trainables.units import Units


class EmotionExpression(DividedStage):
    """One output of an emotion model, averaged over each session's turns, of healthy and of depressed subjects (Figures 2 and 3).

    From the paper: 'DAIC training set was fed into the trained emotion model ... Outputs were averaged across all input samples.'
    Here they are averaged within each session first (decision): who talks much then counts no more than others, and what is tested
    is sessions, whose turns are not independent.

    Nothing is learnt: the participants who are measured, of the protocol the training set as in the paper, are the scored set of
    this stage and the only one. ``seed`` controls nothing where the protocol is not drawn by it.

    Result: ``predictions.parquet`` (``unit, speaker, truth`` (1 depressed, 0 healthy) and ``value``, the session's mean),
    ``metrics.json`` (``healthy`` and ``depressed``, means over sessions, and ``difference``, depressed less healthy).
    """

    label: ClassVar[str] = "emotion expression"
    accelerated: ClassVar[bool] = False

    features: EmotionFeatures
    output: str
    """A class of the model ('angry', ..., 'negative', ...), whose probability is measured, or an attribute ('valence', ...)."""
    protocol: Protocol = DAIC_OFFICIAL

    @model_validator(mode="after")
    def _has_output(self) -> EmotionExpression:
        if self.features.unit != "session":
            raise ValueError("expression is measured by session; give emotion features with unit='session'")
        if self.output not in self.features.outputs:
            raise ValueError(f"output {self.output!r}: the emotion model has {', '.join(self.features.outputs)}; choose one")
        if self.shuffled_labels:
            raise ValueError("shuffled_labels is a control of what is trained, and nothing is trained here; leave it out")
        if self.protocol.folds > 1:
            # no ValueError: a user asks for it by --protocol
            raise UserError(f"nothing is trained here, so the folds of {self.protocol.name!r} mean nothing; leave it out")
        return self

    def exposure(self) -> Exposure:
        """Nothing is learnt: diagnoses only say whose values are averaged."""
        return Exposure(features=self.features, task="depression")

    def sets(self, units: Units) -> dict[str, Units]:
        """The participants who are measured, as the scored set; there is no other.

        Raises:
            UserError: The corpus does not have what the protocol needs.
        """
        return {self.scored_on: super().sets(units)["train"]}

    def run(self, context: Context) -> None:
        """Average, and compare.

        Raises:
            UserError: As :meth:`sets`; nobody of one diagnosis is in the training set, for one.
        """
        import pandas as pd

        from trainables.units import read_units

        described = context.result(self.features)
        measured = self.sets(read_units(described, TASKS["depression"]))[self.scored_on]
        values = pd.read_parquet(described / "outputs.parquet")[self.features.outputs[self.output]].to_numpy()
        table = measured.table[["unit", "speaker"]].assign(truth=measured.truth)
        table["value"] = [values[turns].mean() for turns in measured.segments]
        means = table.groupby("truth")["value"].mean()  # both diagnoses are in every training set, or the division is refused
        table.to_parquet(context.directory / "predictions.parquet", index=False)
        metrics = {"healthy": means[0], "depressed": means[1], "difference": means[1] - means[0]}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))
