"""How columns that are no plain means, means that are tested against a value, and rows with a baseline of their own are shown."""

from __future__ import annotations

import csv
import io

import pytest

from orchestrator.tables.caption import caption
from orchestrator.tables.cells import make_table
from orchestrator.tables.files import table_files
from orchestrator.tables.render import Format, render
from search_spaces.table import Column, TableSpec
from tests.orchestrator.tables.recorded import COMPARED, TABLE, VALUES, recorded, trial, trials
from tests.orchestrator.tables.recorded_columns import (
    EXPRESSED,
    RULES,
    RULES_VALUES,
    STARRED,
    expressed_values,
    recorded_columns,
)
from trainables.errors import UserError

SHOWN = [Format.markdown, Format.latex, Format.html, Format.terminal]
STAR = {form: r"$\star$" if form is Format.latex else "★" for form in SHOWN}


@pytest.mark.parametrize("form", SHOWN)
def test_maximum_value_at_the_best_seed_and_gap_are_in_every_format(form: Format) -> None:
    text = render(make_table(recorded_columns(RULES, RULES_VALUES)), form)
    minus = "$-$" if form is Format.latex else "-"
    for number in ("90.00 (3)", "72.70", "60.00 (3)", "[55.00, 65.00]", "+30.00 (3)", "85.00 (3)", f"{minus}5.00 (3)"):
        assert number in text
    assert "gap (points)" in text
    assert "max dev (%)" in text.replace("\\%", "%")


def test_tidy_lines_are_told_apart_by_the_columns_key() -> None:
    lines = list(csv.DictReader(io.StringIO(render(make_table(recorded_columns(RULES, RULES_VALUES)), Format.csv))))
    told = {line["metric"]: line for line in lines if line["row"] == "text"}
    assert list(told) == ["dev_f1", "dev_f1_max", "f1_at_best", "dev_f1_max_minus_f1_at_best"]
    assert [float(line["mean"]) for line in told.values()] == pytest.approx([70, 90, 60, 30])
    assert [line["published_mean"] for line in told.values()] == ["60.0", "72.7", "", ""]
    assert (told["dev_f1_max"]["ci_low"], told["dev_f1_max"]["std"], told["dev_f1_max"]["n"]) == ("", "", "3")
    assert "p_null" not in told["dev_f1"]


def test_the_caption_says_what_they_are_and_that_a_maximum_grows_with_the_number_of_seeds() -> None:
    text = caption(make_table(recorded_columns(RULES, RULES_VALUES)))
    assert "F1 dev: each number is the mean ± sample standard deviation" in text
    assert "max dev: the maximum of F1 dev over the n seeds, which grows with n" in text
    assert "it has no interval." in text
    assert "best on dev: f1 at the one of n seeds that is best by F1 dev, the mean where several tie; the 95 % interval is" in text
    assert "gap: the maximum of F1 dev over the n seeds less best on dev, in percentage points; the 95 % interval is" in text


def test_a_maximum_has_no_column_of_intervals_and_a_column_without_published_numbers_none_of_these() -> None:
    (head, *_) = render(make_table(recorded_columns(RULES, RULES_VALUES)), Format.markdown).splitlines()
    assert "| max dev (%) | published | best on dev (%) | 95 % interval | gap (points) | 95 % interval |" in head


def test_columns_that_do_not_fit_into_a_page_stand_in_a_tabular_of_their_own_below() -> None:
    """After the rows' labels once more; no column is lost, and none is there twice."""
    columns = [*RULES.columns, *(Column(metric=f"mae_{n}", title=f"MAE {n}", percent=False, higher_is_better=False) for n in "vad")]
    values = {row: {**of, **{f"mae_{name}": (0.5, 0.625, 0.75) for name in "vad"}} for row, of in RULES_VALUES.items()}
    narrow = render(make_table(recorded_columns(RULES, RULES_VALUES)), Format.latex)
    wide = render(make_table(recorded_columns(RULES.model_copy(update={"columns": tuple(columns)}), values)), Format.latex)
    assert (narrow.count("begin{tabular}"), wide.count("begin{tabular}")) == (1, 2)
    assert wide.count("\\toprule") == wide.count("Modality &") == 2
    for column in columns:
        assert wide.count(f"c}}{{{column.title}") == 1


@pytest.mark.parametrize("form", [Format.latex, Format.terminal])
def test_columns_that_stand_by_themselves_leave_out_rows_that_have_numbers_in_others_alone(form: Format) -> None:
    columns = [*RULES.columns, *(Column(metric=f"mae_{n}", title=f"MAE {n}", percent=False, higher_is_better=False) for n in "vad")]
    values = {row: dict(of) for row, of in RULES_VALUES.items()}
    values["text"] |= {f"mae_{name}": (0.5, 0.625, 0.75) for name in "vad"}
    told = render(make_table(recorded_columns(RULES.model_copy(update={"columns": tuple(columns)}), values)), form)
    rows = [line.split()[0] for line in told.splitlines() if line.startswith(("text ", "audio "))]
    assert rows.count("text") > rows.count("audio") >= 1


def test_only_plain_means_can_be_best_and_only_the_headline_has_differences() -> None:
    table = make_table(recorded_columns(RULES, RULES_VALUES))
    assert [place for place, cell in table.cells.items() if cell.best] == [("text", "dev_f1")]
    assert render(table, Format.markdown).count("Δ vs text |") == 1


def test_a_gap_is_not_clipped_to_the_range_of_the_metric() -> None:
    assert make_table(recorded_columns(RULES, RULES_VALUES)).cells["audio", RULES.columns[3].key].interval[0] == pytest.approx(-10)


def test_a_partial_table_without_statistics_has_these_numbers_from_the_trials() -> None:
    told = recorded_columns(RULES, RULES_VALUES).model_copy(update={"told_by": "", "cells": {}})
    table = make_table(told, partial=True)
    means = [table.cells["text", column.key].statistics.mean for column in RULES.columns]
    assert means == pytest.approx([70, 90, 60, 30])
    assert not any(cell.interval for cell in table.cells.values())


@pytest.mark.parametrize("form", SHOWN)
def test_a_mean_that_differs_from_its_null_is_starred_and_its_p_stands_beside_it(form: Format) -> None:
    text = render(make_table(recorded_columns(EXPRESSED, expressed_values())), form)
    assert text.count(STAR[form]) == 2  # beside the number and in the caption
    assert text.count("0.012") == 1
    assert text.count("0.500") == len(EXPRESSED.rows) - 1
    assert "published" not in text.lower()
    assert "Bold" not in text


def test_the_caption_says_what_was_tested_and_over_how_many_rows_it_was_corrected() -> None:
    told = recorded_columns(EXPRESSED, expressed_values())
    sentence = "p of difference: that its mean is 0; two-level (speakers × seeds) t; corrected by Holm over 8 rows"
    assert f"{sentence}; ★ p < 0.05." in caption(make_table(told))
    cells = {row: {**numbers, "difference_p_null": 0.9, "difference_n": 1.0} for row, numbers in told.cells.items()}
    text = caption(make_table(told.model_copy(update={"cells": cells})))
    assert "Student's t over speakers; corrected by Holm over 8 rows; nowhere is p < 0.05." in text
    assert "★" not in text


def test_p_of_the_null_is_in_the_csv_where_a_column_has_one() -> None:
    lines = list(csv.DictReader(io.StringIO(render(make_table(recorded_columns(EXPRESSED, expressed_values())), Format.csv))))
    assert {line["p_null"] for line in lines if line["metric"] != "difference"} == {""}
    assert [line["p_null"] for line in lines if line["row"] == STARRED] == ["", "", "0.012"]


def test_the_files_of_such_tables_have_the_same_bytes_when_made_again() -> None:
    for spec, values in ((RULES, RULES_VALUES), (EXPRESSED, expressed_values())):
        first, second = (table_files(make_table(recorded_columns(spec, values))) for _ in range(2))
        assert first == second


def without_loss(row: str) -> list:
    """The trials, none of this row with a loss."""
    return [t.model_copy(update={"metrics": {"f1": t.metrics["f1"]}}) if t.row == row else t for t in trials()]


@pytest.mark.parametrize("form", SHOWN)
def test_a_row_of_another_task_shows_a_dash_and_is_no_fault(form: Format) -> None:
    table = make_table(recorded(without_loss("crnn")))
    assert table.cells["crnn", "loss"].statistics is None
    assert table.cells["chance", "loss"].statistics.n == 3
    assert render(table, form)


def test_a_metric_that_a_part_of_a_rows_trials_lack_or_that_no_row_has_is_a_fault() -> None:
    some = [
        trial("crnn", t.seed, metrics={"f1": VALUES["crnn"][t.seed]}) if (t.row, t.seed) == ("crnn", 1) else t for t in trials()
    ]
    with pytest.raises(UserError, match="row 'crnn', seed 1 has no metric 'loss'"):
        make_table(recorded(some))
    bare = [t.model_copy(update={"metrics": {"f1": t.metrics["f1"]}}) for t in trials()]
    with pytest.raises(UserError, match="row 'chance', seed 0 has no metric 'loss'"):
        make_table(recorded(bare))


def two_corpora() -> TableSpec:
    """The toy table as two: SimCLR is the baseline of ReCLR, and the CRNN that of chance."""
    against = {"reclr": "simclr", "chance": "crnn"}
    rows = [row.model_copy(update={"against": against.get(row.key), "compared": True}) for row in TABLE.rows]
    return TABLE.model_copy(update={"baseline": None, "rows": tuple(rows)})


def test_rows_with_a_baseline_of_their_own_say_so_and_are_best_among_their_own() -> None:
    compared = {"reclr": COMPARED["reclr"], "chance": {**COMPARED["crnn"], "p_vs_baseline": 0.02}}
    table = make_table(recorded(table=two_corpora(), compared=compared))
    assert [row.key for row in table.baselines] == ["simclr", "crnn"]
    text = caption(table)
    assert "Baselines: SimCLR of ReCLR (λ = 0.4); 50 % | <CRNN_x> of chance." in text
    assert "Δ: mean difference from its baseline in F1" in text
    assert "† better than its baseline, ‡ worse than its baseline" in text
    assert "among the rows that stand with one baseline" in text
    assert [row for (row, column), cell in table.cells.items() if column == "f1" and cell.best] == ["reclr", "crnn"]
    for form in SHOWN:
        shown = render(table, form)
        assert shown.count("baseline") >= 3
    assert [table.verdict(row) for row in table.spec.rows] == ["worse", None, "better", None]


def test_of_an_error_the_lowest_is_best() -> None:
    best = [row for (row, column), cell in make_table(recorded()).cells.items() if column == "loss" and cell.best]
    assert best == list(VALUES)  # all have the same
    lower = [t.model_copy(update={"metrics": {**t.metrics, "loss": 0.5}}) if t.row == "crnn" else t for t in trials()]
    assert [row for (row, column), cell in make_table(recorded(lower)).cells.items() if column == "loss" and cell.best] == ["crnn"]


def test_columns_that_do_not_fit_into_a_terminal_stand_below_the_others_with_the_rows_labels_and_no_number_is_broken() -> None:
    columns = [*RULES.columns, Column(metric="f1", title="F1 test", percent=True, higher_is_better=True)]
    columns += [Column(metric=f"mae_{name}", title=f"MAE {name}", percent=False, higher_is_better=False) for name in "vad"]
    spec = RULES.model_copy(update={"columns": tuple(columns)})
    values = {row: {**of, **{f"mae_{name}": (0.5, 0.625, 0.75) for name in "vad"}} for row, of in RULES_VALUES.items()}
    text = render(make_table(recorded_columns(spec, values)), Format.terminal)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    blocks = sum(line.startswith("Modality") for line in lines)
    assert blocks > 1
    assert [line.split()[0] for line in lines if line.startswith(("text  ", "audio  "))] == ["text", "audio"] * blocks
    assert text.count("0.62 ± 0.12 (3)") == 6
    assert text.count(RULES.title) == 1
    assert text.count("Scale: demo") == 1
    assert max(map(len, lines[lines.index(next(line for line in lines if "Each number" in line or "each number" in line)) :])) > 80
