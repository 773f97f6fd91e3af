"""Stage: a picture of the vectors behind a cross-validated linear probe, and how well the same vectors tell the speakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field, model_validator

from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.linear_probe import LinearProbe, linear_classifier, unit_means
from trainables.numerics import seeded
from trainables.representation_figure import Probe, map_figure
from trainables.stage import Context, Stage
from trainables.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

MOST_UNITS = 2000
"""In a map, and for the probe of the speaker beside it."""
_FEWEST_UNITS = 10
_FOLDS = 5
"""Of the probe of the speaker, and so the fewest utterances of a speaker that it has."""


class _Drawn(NamedTuple):
    """The units of a map: their names, speakers and emotions, and their standardised vectors ``[units, dimensions]``."""

    table: pd.DataFrame
    vectors: np.ndarray


class RepresentationMap(CrossValidation):
    """A cross-validation of linear probes of emotion, with a t-SNE of the utterances' vectors and a probe of the speaker.

    Source: the t-SNE plot of the slides' 'Representation Visualization' (Li et al., ICASSP 2021), of which they say 'Data points
    are well separated, even though trained without emotion labels', and not by what. So the same points are coloured twice, by
    emotion and by speaker, and each colouring has a number: the unweighted average recall of a linear probe. Decisions:

    - A point is what the probes read: the mean vector of an utterance that they score, each dimension standardised by all of them.
    - t-SNE (van der Maaten and Hinton 2008) as scikit-learn has it: Barnes-Hut, begun at the first two principal components, so
      that what is far apart on the map is so for a reason; ``perplexity`` 30 is its default. Each unit of perplexity takes three
      neighbours, so that of n utterances it is lowered to (n - 1) / 3. The title says which it was.
    - Of more than 2,000 utterances 2,000 are drawn by the seed, for the map and for the probe of the speaker.
    - The speaker is probed by the same regression as emotion, in five folds stratified by speaker: every speaker is in training and
      in test, with other utterances. Speakers of fewer than five utterances are left out there. The score is of the pooled
      predictions, ``speaker_uar``; of a representation of emotion alone it would be at chance, 1 / speakers.

    ``seed`` controls the draw of utterances, the folds of the speakers and what is random in finding principal components; the
    probes of emotion have their own. All is computed in one thread: the same inputs give the same ``map.parquet`` to the byte, with
    the same libraries on the same kind of processor. On another kind the last bit of a product may differ, and t-SNE then ends in
    another picture; the numbers of the probes do not rest on it.

    Result: ``predictions.parquet`` and ``metrics.json`` as a cross-validation has them, with ``speaker_uar``; ``map.parquet``
    (unit, x, y, emotion, speaker); ``figures/map.png``.
    """

    draws: ClassVar[bool] = True
    label: ClassVar[str] = "representation map"

    folds: tuple[LinearProbe, ...] = Field(min_length=2)
    """The same probe of emotion for every fold of its protocol, in order."""
    seed: int = 0
    perplexity: float = Field(default=30.0, ge=1)

    @model_validator(mode="after")
    def _of_emotion(self) -> RepresentationMap:
        if TASKS[self.folds[0].task].column != "emotion":  # a picture is shown around, and a diagnosis must not be
            raise ValueError(f"a map is coloured by emotion, and the probes are of {self.folds[0].task!r}; give probes of emotion")
        return self

    def exposure(self) -> Exposure:
        """The map and the probe of the speaker have seen every unit, so nothing may be scored on any of them after that.

        The audit of a cross-validation asks its folds, whose predictions the map has no part in: they stay those of speakers who
        were not heard.
        """
        probe = self.folds[0]
        return Exposure(features=probe.features, fitted="all", task=probe.task, normalised="all")

    def run(self, context: Context) -> None:
        """Put the predictions together, probe the speaker and draw the map.

        Raises:
            UserError: A unit was scored in two folds; there are fewer than ten utterances, or fewer than two speakers with five; or
                the vectors are not finite, or all alike.
        """
        import pandas as pd
        from threadpoolctl import threadpool_limits

        from trainables.metrics import add_metrics
        from trainables.pictures import save_picture

        super().run(context)
        predictions = pd.read_parquet(context.directory / "predictions.parquet")
        drawn = self._drawn(context.result(self.folds[0].features), predictions["unit"])
        with threadpool_limits(1):  # the sums of several threads come in any order
            speaker = self._probe_speaker(drawn)
            x, y = self._places(drawn.vectors).T
        table = drawn.table.assign(x=x, y=y)[["unit", "x", "y", "emotion", "speaker"]]
        table.to_parquet(context.directory / "map.parquet", index=False)
        add_metrics(context.directory, {"speaker_uar": speaker.uar})
        emotions = TASKS[self.folds[0].task].classes
        figure = map_figure(table, self._title(len(table), len(predictions)), emotions, _emotion(predictions), speaker)
        save_picture(context.directory, "map", figure)

    def _drawn(self, features: Path, scored: pd.Series) -> _Drawn:
        """The units of the map, in the order of their names, with standardised vectors."""
        import numpy as np
        from sklearn.preprocessing import StandardScaler

        from trainables.units import read_units

        units = read_units(features, TASKS[self.folds[0].task])
        known = np.flatnonzero(units.table["unit"].isin(scored))
        if len(known) < _FEWEST_UNITS:
            raise UserError(f"{len(known)} utterances are scored; a map needs {_FEWEST_UNITS}: take a larger corpus")
        if len(known) > MOST_UNITS:
            known = np.random.default_rng(seeded(self.seed, "units of the map")).choice(known, MOST_UNITS, replace=False)
        units = units.where(np.isin(np.arange(len(units.truth)), known))
        means = unit_means(units, np.load(features / "embeddings.npy", mmap_mode="r"))
        if not np.isfinite(means).all() or (means == means[0]).all():
            raise UserError(f"{self.folds[0].features.label}: the vectors of the utterances are not finite, or all alike")
        table = units.table[["unit", "speaker"]].assign(emotion=np.array(units.task.classes)[units.truth])
        return _Drawn(table.reset_index(drop=True), StandardScaler().fit_transform(means))

    def _probe_speaker(self, drawn: _Drawn) -> Probe:
        """How well a linear probe tells the speakers from other utterances of theirs."""
        import numpy as np
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        from trainables.metrics import classification_scores

        _, speaker, each = np.unique(drawn.table["speaker"].to_numpy(str), return_inverse=True, return_counts=True)
        enough = int((each >= _FOLDS).sum())
        if enough < 2:
            raise UserError(
                f"{enough} of {len(each)} speakers have {_FOLDS} utterances or more among the {len(speaker):,} of the map; a probe "
                "of the speaker needs two: take a corpus with more of each"
            )
        kept = each[speaker] >= _FOLDS
        truth = np.unique(speaker[kept], return_inverse=True)[1]
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=self._random_state("folds of the speakers"))
        said = cross_val_predict(linear_classifier(), drawn.vectors[kept], truth, cv=folds)
        return Probe(classification_scores(truth, said, enough)["uar"], enough)

    def _places(self, vectors: np.ndarray) -> np.ndarray:
        """float32 ``[units, 2]``."""
        from sklearn.manifold import TSNE

        perplexity = self._perplexity(len(vectors))
        return TSNE(perplexity=perplexity, init="pca", random_state=self._random_state("t-SNE")).fit_transform(vectors)

    def _perplexity(self, units: int) -> float:
        return min(self.perplexity, (units - 1) / 3)

    def _random_state(self, purpose: str) -> int:
        """scikit-learn's seeds have 32 bits."""
        return seeded(self.seed, purpose) % 2**32

    def _title(self, shown: int, scored: int) -> str:
        features = self.folds[0].features
        count = f"{shown:,}" if shown == scored else f"{shown:,} of {scored:,}"
        kind = ", ".join(dict.fromkeys(map(_named, reversed([*features.chain()]))))
        return f"t-SNE of {count} utterances of {features.corpus}: {kind}, perplexity {self._perplexity(shown):.3g}"


def _named(stage: Stage) -> str:
    """A stage in words; one that was asked to train for no epoch says so."""
    return f"{stage.label} (untrained)" if getattr(stage, "epochs", None) == 0 else stage.label


def _emotion(predictions: pd.DataFrame) -> Probe:
    """The number of the probes of emotion, of all utterances that they score."""
    from trainables.metrics import prediction_scores

    return Probe(prediction_scores(predictions)["uar"], predictions["truth"].nunique())
