"""Recorded sweeps with columns like those of Climate and Weather, with statistics that the tests choose."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev

from orchestrator.records import CellStatistics, RecordedSweep, TrialResult, statistics_digest
from orchestrator.statistics.over_seeds import complete, shown_value
from search_spaces.table import Bars, Column, Panel, Published, Row, TableSpec
from tests.orchestrator.tables.recorded import sweep

HIGHEST = Column(metric="dev_f1", over_seeds="max", title="max dev", percent=True, higher_is_better=True)
RULES = TableSpec(
    study="rules",
    title="Two rules",
    source="A Paper, Table 2",
    row_titles=("Modality",),
    rows=(
        Row(key="text", label=("text",), published={"dev_f1": Published(mean=60, std=7), "dev_f1_max": Published(mean=72.7)}),
        Row(key="audio", label=("audio",)),
    ),
    columns=(
        Column(metric="dev_f1", title="F1 dev", percent=True, higher_is_better=True),
        HIGHEST,
        Column(metric="f1", over_seeds="at_best", best_by="dev_f1", title="best on dev", percent=True, higher_is_better=True),
        HIGHEST.model_copy(update={"title": "gap", "minus": "f1_at_best", "higher_is_better": None}),
    ),
    headline="dev_f1",
    baseline="text",
)
RULES_VALUES = {
    "text": {"dev_f1": (0.6, 0.9, 0.6), "f1": (0.5, 0.6, 0.7)},
    "audio": {"dev_f1": (0.5, 0.5, 0.8), "f1": (0.4, 0.45, 0.85)},
}

SCALES = (Panel(value="probability", title="probability (%)", percent=True), Panel(value="1 to 5", title="1 to 5", low=1, high=5))
EMOTIONS = {"angry": "probability", "sad": "probability", "valence": "1 to 5"}
EXPRESSED = TableSpec(
    study="expressed",
    title="Expressed emotion",
    source="A Paper, Figure 2",
    row_titles=("Model", "Mod.", "Output"),
    rows=tuple(
        Row(
            key=f"{model}_{modality}_{output}".lower(),
            label=(model, modality, output),
            params={"model": model, "modality": modality, "output": output, "scale": scale},
            compared=False,
        )
        for model in ("IEMOCAP", "Other one")
        for modality in ("A", "T")
        for output, scale in EMOTIONS.items()
        if model == "IEMOCAP" or output == "sad"
    ),
    columns=(
        Column(metric="healthy", title="healthy", percent=False, higher_is_better=None, decimals=3),
        Column(metric="depressed", title="depressed", percent=False, higher_is_better=None, decimals=3),
        Column(metric="difference", title="difference", percent=False, higher_is_better=None, decimals=3, null=0.0),
    ),
    headline="difference",
    bars=Bars(
        picture="model",
        group="modality",
        bar="output",
        panel="scale",
        panels=SCALES,
        columns=("healthy", "depressed"),
        test="difference",
    ),
)
STARRED = "iemocap_a_sad"


def expressed_values() -> dict[str, dict[str, tuple[float, ...]]]:
    """Probabilities around a quarter, attributes around 3; the depressed a little higher."""
    values = {}
    for number, row in enumerate(EXPRESSED.rows):
        healthy = 2.8 + number / 20 if row.params["scale"] == "1 to 5" else 0.2 + number / 50
        means = {"healthy": healthy, "depressed": healthy * 1.1, "difference": healthy * 0.1}
        values[row.key] = {name: (value, value * 1.01) for name, value in means.items()}
    return values


def recorded_columns(table: TableSpec, values: Mapping[str, Mapping[str, tuple[float, ...]]], half: float = 0.05) -> RecordedSweep:
    """A sweep of these values by row, metric and seed; means, values at the best seed and gaps have an interval ``half`` wide each
    way; the difference of one row differs from 0.
    """
    seeds = tuple(range(max(len(of) for metrics in values.values() for of in metrics.values())))
    trials = tuple(
        TrialResult(
            row=row,
            seed=seed,
            fingerprint=f"{row}-{seed}",
            status="FINISHED",
            metrics={name: of[seed] for name, of in metrics.items()},
            **{"scale": "demo", "protocol": "70/30", "code": {}, "corpora": {"mdd": "d1"}},
        )
        for row, metrics in values.items()
        for seed in seeds
    )
    cells = {row: _cells(table, row, {name: dict(enumerate(of)) for name, of in of.items()}, half) for row, of in values.items()}
    return RecordedSweep(sweep=sweep(table, seeds=seeds), trials=trials, cells=cells, told_by=statistics_digest(trials))


def _cells(table: TableSpec, row: str, values: Mapping[str, Mapping[int, float]], half: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for column in table.columns:
        if not complete(table, column, values.__contains__):
            continue
        mean, own = shown_value(table, column, values), list(values[column.metric].values())
        known = {"n": len(own), "mean": mean, "speakers": 35}
        if column.over_seeds != "max" or column.minus:
            known |= {"ci_low": mean - half, "ci_high": mean + half}
        if not column.suffix:
            known |= {"mean": fmean(own), "std": stdev(own)}
        if column.null is not None:
            known["p_null"] = 0.012 if row == STARRED else 0.5
        found |= CellStatistics(**known).as_metrics(column.key)
    return found
