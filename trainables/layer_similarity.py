"""Stage: one layer of an encoder's similarities, as the last stage of a row."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import Field, model_validator

from trainables.divided import DividedStage
from trainables.encoder_similarity import EncoderSimilarity
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context


class LayerSimilarity(DividedStage):
    """The mean cosine of positive and of negative pairs at one layer: one point of Figure 4.

    All layers of an encoder are measured in one stage, :class:`~trainables.encoder_similarity.EncoderSimilarity`; this one picks a
    layer of it. Its division is that of the similarity's first source, and is not given.

    Result: ``metrics.json`` (``positive``, ``negative`` and ``gap``, positive less negative). No predictions: a pair belongs to no
    speaker, so the intervals of these means are over seeds.
    """

    label: ClassVar[str] = "layer similarity"
    accelerated: ClassVar[bool] = False

    similarity: EncoderSimilarity
    layer: int = Field(ge=0)
    """0 is what the first Transformer layer reads; k is what the k-th gives."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_first_source(cls, given: dict[str, Any]) -> dict[str, Any]:
        similarity = given.get("similarity")
        if not isinstance(similarity, EncoderSimilarity):
            return given  # it has a fault, which is told
        return {name: getattr(similarity.sources[0], name) for name in DividedStage.model_fields} | given

    @model_validator(mode="after")
    def _no_other_division(self) -> LayerSimilarity:
        first = self.similarity.sources[0]
        if other := [name for name in DividedStage.model_fields if getattr(self, name) != getattr(first, name)]:
            # no ValueError: a user asks for it by --protocol
            raise UserError(
                f"the pairs are of utterances that fold {first.fold} of {first.protocol.name!r} scores, seed {first.seed}, and "
                f"cannot be had with another {', '.join(other)}; leave it out"
            )
        return self

    def exposure(self) -> Exposure:
        """Nothing is learnt."""
        first = self.similarity.sources[0]
        return Exposure(features=first.utterances, task=first.task)

    def run(self, context: Context) -> None:
        """Pick the layer.

        Raises:
            UserError: The encoder has no such layer.
        """
        import pandas as pd

        table = pd.read_parquet(context.result(self.similarity) / "similarity.parquet")
        means = table[table["layer"] == self.layer].set_index("kind")["mean"]
        if means.empty:
            raise UserError(f"layer {self.layer}: the encoder has layers 0 to {table['layer'].max()}; choose one of them")
        metrics = {"positive": means["positive"], "negative": means["negative"], "gap": means["positive"] - means["negative"]}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))
