"""The mark of a row that is no better than the best control: when it is set, where it is shown, and what the caption says of it."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise

import matplotlib.axes
import pytest

from orchestrator.records import RecordedSweep, TrialResult
from orchestrator.statistics.controls import held_rows
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.details import details
from orchestrator.tables.faults import statistics_fault
from orchestrator.tables.figure import headline_figure
from orchestrator.tables.files import table_files
from orchestrator.tables.render import Format, render
from search_spaces.controls import with_controls
from search_spaces.study import load_study
from search_spaces.table import Row, TableSpec
from tests.orchestrator.tables.recorded import COMPARED, TABLE, recorded, trial, trials

CONTROLS = {"control_gender": (0.6, 0.7, 0.65), "control_voice": (0.7, 0.7, 0.76)}
ADDED = tuple(
    Row(key=f"control_{name}", label=("control", title), compared=False, control=True)
    for name, title in (("gender", "gender only"), ("voice", "nearest voice"))
)
CONTROLLED = TABLE.model_copy(update={"rows": (*TABLE.rows, *ADDED)})
BETTER = {"control_difference": 0.08, "control_low": 0.01, "control_high": 0.15}
HELD = {
    "simclr": {"control_difference": 0.03, "control_low": -0.04, "control_high": 0.1},
    "reclr": COMPARED["reclr"] | BETTER,
    "crnn": COMPARED["crnn"] | {"control_difference": -0.12, "control_low": -0.2, "control_high": -0.04},
}
SHOWN = [Format.markdown, Format.latex, Format.html, Format.terminal]
SIGN = {form: r"\S{}" if form is Format.latex else "§" for form in SHOWN}


def other(row: str, seed: int, metrics: dict[str, float]) -> TrialResult:
    """A trial of a row that the toy table has not."""
    return trial("chance", seed, fingerprint=f"{row}-{seed}", metrics=metrics).model_copy(update={"row": row})


def all_trials() -> list[TrialResult]:
    added = [other(row, seed, {"f1": values[seed], "loss": 9.0}) for row, values in CONTROLS.items() for seed in (0, 1, 2)]
    return [*trials(), *added]


def controlled(table: TableSpec = CONTROLLED, of: list[TrialResult] | None = None, **changes: dict[str, float]) -> RecordedSweep:
    return recorded(all_trials() if of is None else of, table, HELD | changes)


def marked(table: Table) -> list[str]:
    return [row.key for row in table.spec.rows if table.no_better(row)]


@pytest.mark.parametrize(
    ("low", "high", "higher", "mark"),
    [
        (0.001, 0.2, True, False),
        (0.0, 0.2, True, True),
        (-0.1, 0.2, True, True),
        (-0.2, -0.1, True, True),
        (-0.2, -0.001, False, False),
        (-0.2, 0.0, False, True),
        (0.001, 0.2, False, True),
        (float("nan"), float("nan"), True, True),
    ],
)
def test_a_row_is_marked_unless_the_whole_interval_is_on_the_better_side_of_0(low, high, higher, mark) -> None:
    first = TABLE.columns[0].model_copy(update={"higher_is_better": higher})
    spec = CONTROLLED.model_copy(update={"columns": (first, TABLE.columns[1])})
    known = {} if low != low else {"control_low": low, "control_high": high}
    table = make_table(controlled(spec, reclr=COMPARED["reclr"] | {"control_difference": 0.0} | known))
    assert ("reclr" in marked(table)) == mark


def test_compared_rows_and_the_baseline_can_be_marked_and_chance_and_controls_cannot() -> None:
    assert marked(make_table(controlled())) == ["simclr", "crnn"]
    assert [row.key for row in held_rows(CONTROLLED)] == ["simclr", "reclr", "crnn"]


@pytest.mark.parametrize("form", SHOWN)
def test_the_mark_is_beside_each_such_number_and_in_the_caption(form: Format) -> None:
    text = render(make_table(controlled()), form)
    assert text.count(SIGN[form]) == 3
    both = render(make_table(controlled(reclr=COMPARED["reclr"] | BETTER | {"control_low": -0.01})), form)
    assert both.count(SIGN[form]) == 4
    assert re.search(r"\$\\dagger\$\\S\{\}" if form is Format.latex else "†§", both)


def test_the_mark_is_in_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    original = matplotlib.axes.Axes.set_yticks
    monkeypatch.setattr(
        matplotlib.axes.Axes, "set_yticks", lambda self, at, names: (named.extend(names), original(self, at, names))
    )
    headline_figure(make_table(controlled()))
    assert [name.endswith("§") for name in named] == [False, True, False, True, False, False]


def test_the_csv_has_the_differences_in_the_unit_of_the_line_the_best_control_and_the_verdict() -> None:
    lines = list(csv.DictReader(io.StringIO(render(make_table(controlled()), Format.csv))))
    told = {line["row"]: line for line in lines if line["metric"] == "f1"}
    shown = {row: (line["best_control"], line["control_verdict"]) for row, line in told.items()}
    assert shown == {
        **dict.fromkeys(["chance", "control_gender", "control_voice"], ("", "")),
        **dict.fromkeys(["simclr", "crnn"], ("control_voice", "no better")),
        "reclr": ("control_voice", "better"),
    }
    numbers = [float(told["reclr"][name]) for name in BETTER]
    assert numbers == pytest.approx([8.0, 1.0, 15.0])
    assert {line["best_control"] + line["control_verdict"] + line["control_low"] for line in lines if line["metric"] == "loss"} == {
        ""
    }


def test_the_page_has_the_differences_among_its_statistics() -> None:
    shown = {detail.title: detail.texts for detail in details(make_table(controlled()))}
    assert shown["Δ vs best control"]["reclr"] == "+8.00"
    assert shown["its 95 % interval"]["reclr"] == "[1.00, 15.00]"
    assert [shown["control verdict"][row] for row in ("simclr", "reclr", "control_voice")] == ["no better", "better", "–"]


def test_the_caption_says_what_controls_are_which_is_the_best_what_the_mark_means_and_how_many_have_it() -> None:
    text = caption(make_table(controlled()))
    for part in (
        "Controls (gender only, nearest voice) hear nothing but a shortcut, or learn from shuffled labels; they are no hypotheses.",
        "§ (2 of 3 rows) no better than the best control, nearest voice (F1 72.00 %): the 95 % interval of the paired difference "
        "from it does not lie above 0; two-level (speakers × seeds), not corrected for the number of rows.",
    ):
        assert part in text
    assert "no interval of the difference" not in text


def test_where_all_rows_are_better_the_caption_says_so_and_there_is_no_mark() -> None:
    better = {row: HELD[row] | BETTER for row in HELD}
    text = caption(make_table(controlled(**better)))
    assert "All 3 rows are better than the best control, nearest voice (F1 72.00 %): the 95 % interval of the paired" in text
    assert "§" not in text


def test_where_lower_is_better_the_bar_is_the_least_control_and_the_side_the_other() -> None:
    first = TABLE.columns[0].model_copy(update={"higher_is_better": False})
    text = caption(make_table(controlled(CONTROLLED.model_copy(update={"columns": (first, TABLE.columns[1])}))))
    assert "§ (2 of 3 rows) no better than the best control, gender only (F1 65.00 %)" in text
    assert "does not lie below 0" in text


def without_interval(row: str) -> dict[str, float]:
    return {name: value for name, value in HELD[row].items() if name not in ("control_low", "control_high")}


def test_where_nothing_could_be_shown_the_caption_says_why() -> None:
    needed = "test sets of at least two speakers, seeds in common, and a score that can be computed for other speakers are needed."
    some = make_table(controlled(simclr=without_interval("simclr")))
    assert marked(some) == ["simclr", "crnn"]
    assert f"Of 1 row there is no interval of the difference from the best control, so nothing could be shown: {needed}" in caption(
        some
    )
    none = make_table(controlled(**{row: without_interval(row) for row in HELD}))
    assert marked(none) == ["simclr", "reclr", "crnn"]
    assert "§ not shown to be better than the best control, nearest voice (F1 72.00 %). Of 3 rows there is no" in caption(none)
    assert "paired difference from it" not in caption(none)


def test_with_one_seed_the_interval_is_said_to_cover_speakers_alone() -> None:
    one = controlled(of=[t for t in all_trials() if t.seed == 0])
    table = make_table(one.model_copy(update={"sweep": one.sweep.model_copy(update={"seeds": (0,)})}))
    assert "does not lie above 0; over speakers alone, not over seeds, of which there is one, not corrected" in caption(table)


@pytest.mark.parametrize("form", list(Format))
def test_a_table_without_controls_has_not_a_word_of_them(form: Format) -> None:
    text = render(make_table(recorded()), form)
    assert not any(word in text for word in ("§", r"\S{}", "ontrol"))


def test_without_a_number_of_any_control_no_row_is_held_and_the_caption_says_so() -> None:
    table = make_table(recorded(trials(), CONTROLLED, COMPARED), partial=True)
    assert marked(table) == []
    assert "No row could be held against a control." in caption(table)
    assert "§" not in caption(table)


def test_without_statistics_nothing_is_marked() -> None:
    whole = controlled()
    sweep = whole.sweep.model_copy(update={"study": f"{whole.sweep.study}--controls"})
    untold = whole.model_copy(update={"told_by": "", "sweep": sweep})
    table = make_table(untold, partial=True)
    assert marked(table) == []
    assert "§" not in render(table, Format.terminal)
    assert "again, which computes nothing and records them" in statistics_fault(untold, untold.trials)
    assert "--controls` again" in statistics_fault(untold, untold.trials)
    assert "--controls" not in statistics_fault(recorded().model_copy(update={"told_by": ""}), trials())


def test_controls_stand_in_a_group_of_their_own_also_in_a_table_whose_rows_have_one_label() -> None:
    rows = tuple(row.model_copy(update={"label": row.label[-1:]}) for row in CONTROLLED.rows)
    majority = Row(key="majority", label=("majority",), compared=False, control=True)
    spec = CONTROLLED.model_copy(update={"rows": (rows[0], majority, *rows[1:]), "row_titles": ("Method",)})
    table = make_table(controlled(spec), partial=True)  # the majority row has no trial
    lines = render(table, Format.terminal).splitlines()
    ruled = [below for rule, below in pairwise(lines) if rule.startswith("───")]
    assert [line.split()[0] for line in ruled] == ["chance", "gender"]
    assert render(table, Format.html).count('<tr class="group"><th scope="row">gender only') == 2  # results and statistics
    assert render(table, Format.html).count('<tr class="group">') == 2
    body = render(table, Format.latex).split(r"\midrule")
    assert [part.split("&")[0].strip() for part in body[1:]] == ["chance", "gender only"]


@pytest.mark.parametrize("name", ["reclr_lambda", "reclr_temperature"])
def test_a_real_table_with_controls_and_both_marks_is_within_120_columns_of_the_terminal(name: str) -> None:
    spec = with_controls(load_study(name), {}).table
    many = [other(row.key, seed, {"f1_macro": 0.75, "f1_micro": 0.7}) for row in spec.rows for seed in (0, 1, 2)]
    told = recorded(many, spec)
    numbers = {f"f1_macro_{key}": value for key, value in (COMPARED["reclr"] | HELD["simclr"]).items()}
    cells = {row.key: told.cells[row.key] | (numbers if row in held_rows(spec) else {}) for row in spec.rows}
    table = make_table(told.model_copy(update={"cells": cells}))
    lines = render(table, Format.terminal).splitlines()
    assert max(map(len, lines)) <= 120
    assert sum("†§ 75.00 ± 0.00 (3)" in line.replace("  ", " ") for line in lines) == len(held_rows(spec))
    assert render(table, Format.latex).isascii()


def test_a_table_with_controls_made_again_has_the_same_bytes() -> None:
    files = [table_files(make_table(controlled(of=order))) for order in (all_trials(), all_trials()[::-1])]
    assert files[0] == files[1]
