"""The numbers of a table: those that were recorded, in the unit that is shown; verdicts; and a caption that explains them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.records import CellStatistics
from orchestrator.tables.caption import caption, least_seeds
from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.render import Format, render
from orchestrator.tables.text import probability
from search_spaces.table import Column, TableSpec
from tests.orchestrator.tables.recorded import COMPARED, TABLE, VALUES, recorded, trial, trials

SHOWN = [Format.markdown, Format.latex, Format.html, Format.terminal]
MARK = {"†": r"$\dagger$", "‡": r"$\ddagger$", "≈": r"$\approx$"}


def compared(**changes: float) -> dict[str, dict[str, float]]:
    """The comparisons, with another one for ReCLR."""
    return COMPARED | {"reclr": COMPARED["reclr"] | changes}


def verdicts(table: Table) -> dict[str, str | None]:
    return {row.key: table.verdict(row) for row in table.spec.rows}


def test_statistics_are_those_that_were_recorded_in_the_unit_that_is_shown() -> None:
    found = make_table(recorded()).cells["reclr", "f1"].statistics
    raw = CellStatistics.from_metrics("f1", recorded().cells["reclr"])
    for name in ("mean", "std", "ci_low", "ci_high", "difference", "difference_low", "difference_high"):
        assert getattr(found, name) == getattr(raw, name) * 100
    for name in ("n", "p_uncorrected", "p_vs_baseline", "p_floor", "effect_size", "p_superior", "p_equivalence"):
        assert getattr(found, name) == getattr(raw, name)
    loss = make_table(recorded()).cells["reclr", "loss"].statistics
    assert loss == CellStatistics.from_metrics("loss", recorded().cells["reclr"])


@pytest.mark.parametrize(
    ("changes", "higher_is_better", "verdict"),
    [
        ({"p_vs_baseline": 0.0499}, True, "better"),
        ({"p_vs_baseline": 0.0499}, False, "worse"),
        ({"p_vs_baseline": 0.0499, "difference": -0.05}, True, "worse"),
        ({"p_vs_baseline": 0.0499, "difference": -0.05}, False, "better"),
        ({"p_vs_baseline": 0.05}, True, None),
        ({"p_vs_baseline": float("nan")}, True, None),
    ],
)
def test_a_row_is_better_or_worse_by_its_corrected_p_and_the_direction_of_the_metric(changes, higher_is_better, verdict) -> None:
    first = TABLE.columns[0].model_copy(update={"higher_is_better": higher_is_better})
    spec = TABLE.model_copy(update={"columns": (first, TABLE.columns[1])})
    values = {name: None if value != value else value for name, value in changes.items()}
    table = make_table(recorded(table=spec, compared=compared(**values)))
    assert verdicts(table) == {"chance": None, "simclr": None, "reclr": verdict, "crnn": None}


@pytest.mark.parametrize("form", SHOWN)
@pytest.mark.parametrize(("difference", "mark", "other"), [(0.05, "†", "‡"), (-0.05, "‡", "†")])
def test_a_verdict_is_marked_in_every_format_and_explained_only_where_it_occurs(form, difference, mark, other) -> None:
    text = render(make_table(recorded(compared=compared(difference=difference))), form)
    written = {sign: MARK[sign] if form is Format.latex else sign for sign in (mark, other)}
    assert text.count(written[mark]) == 2  # beside the number and in the caption
    assert written[other] not in text
    unmarked = render(make_table(recorded(compared=compared(p_vs_baseline=0.2))), form)
    assert written[mark] not in unmarked


def test_a_verdict_is_a_word_in_the_csv() -> None:
    lines = render(make_table(recorded()), Format.csv).splitlines()
    assert [line.split(",")[0] for line in lines if ",better," in line] == ["reclr"]
    assert not any(",worse," in line for line in lines)


@pytest.mark.parametrize("form", SHOWN)
def test_equivalence_to_the_published_number_is_marked_and_explained_only_where_it_occurs(form) -> None:
    sign = MARK["≈"] if form is Format.latex else "≈"
    assert render(make_table(recorded(compared=compared(p_equivalence=0.04))), form).count(sign) == 2
    assert sign not in render(make_table(recorded(compared=compared(p_equivalence=0.06))), form)


def test_best_follows_the_direction_of_its_column_and_ties_at_the_shown_precision() -> None:
    better = [trial("simclr", seed, metrics={"f1": 0.800001, "loss": 0.5}) for seed in (0, 1, 2)]
    table = make_table(recorded([*better, *(t for t in trials() if t.row != "simclr")]))
    best = {place for place, cell in table.cells.items() if cell.best}
    assert best == {("simclr", "f1"), ("reclr", "f1"), ("simclr", "loss")}


def test_the_shown_interval_of_a_bounded_percentage_is_clipped_and_the_caption_says_so() -> None:
    high = [trial("reclr", t.seed, metrics={"f1": 0.95, "loss": 1.0}) if t.row == "reclr" else t for t in trials()]
    table = make_table(recorded(high))
    assert table.cells["reclr", "f1"].interval == (pytest.approx(85.0), 100.0)
    assert "[85.00, 100.00]" in render(table, Format.markdown)
    assert repr(table.cells["reclr", "f1"].statistics.ci_high) in render(table, Format.csv)
    assert "clipped to the possible range" in caption(table)
    assert "clipped" not in caption(make_table(recorded()))


def test_a_percentage_that_is_not_bounded_is_not_clipped() -> None:
    gain = Column(metric="f1", title="gain", percent=True, higher_is_better=True, bounded=False)
    high = [trial("reclr", t.seed, metrics={"f1": 0.95}) if t.row == "reclr" else t for t in trials()]
    table = make_table(recorded(high, TABLE.model_copy(update={"columns": (gain,)})))
    assert table.cells["reclr", "f1"].interval == pytest.approx((85.0, 105.0))
    assert "clipped" not in caption(table)


def test_the_caption_says_what_the_numbers_are_how_they_were_compared_and_on_what() -> None:
    text = caption(make_table(recorded()))
    for part in (
        "Toy & table, after A Paper, Table 1.",
        "mean ± sample standard deviation over n seeds (n in parentheses, 3 in a full row)",
        "with the 95 % interval of the mean: for F1 two-level (speakers × seeds); for loss Student's t over seeds alone, not over "
        "speakers.",
        "Δ: mean difference from SimCLR in F1, with the same seeds and test units, in percentage points, with its 95 % interval: "
        "two-level (speakers × seeds).",
        "paired by seed and test unit; exact sign-flip over seeds and two-level t, the larger of the two",
        "corrected by Holm over 2 rows",
        "† better than SimCLR (p < 0.05).",
        "Scale: demo; seeds 0-2. Protocol: 70/30.",
        "Corpora: mdd = twin-mdd (synthetic twin): such numbers are never comparable to the paper's.",
    ):
        assert part in text
    assert not any(word in text for word in ("PARTIAL", "can be called", "‡", "≈"))


def of_seeds(seeds: dict[str, int], columns: int = 1, speakers: bool = True) -> str:
    """The caption of a table whose rows have so many seeds each, else 3; with statistics of them in the first columns."""
    spec = TABLE.model_copy(update={"columns": TABLE.columns[:columns]})
    many = [(row, seed) for row in VALUES for seed in range(seeds.get(row, 3))]
    of = [trial(row, seed % 3, fingerprint=f"{row}-{seed}").model_copy(update={"seed": seed}) for row, seed in many]
    told = recorded(of, spec, COMPARED if speakers else {})
    unknown = {"f1_speakers": float("nan")} if not speakers else {}
    sweep = told.sweep.model_copy(update={"seeds": tuple(range(max(seed for _, seed in many) + 1))})
    cells = {row: of_row | unknown for row, of_row in told.cells.items()}
    return caption(make_table(told.model_copy(update={"sweep": sweep, "cells": cells}), partial=True))


def test_intervals_of_one_seed_are_said_to_cover_speakers_alone() -> None:
    text = of_seeds(dict.fromkeys(VALUES, 1))
    assert text.count("95 % interval: over speakers alone, not over seeds, of which there is one.") == 1  # of the difference
    assert "95 % interval of the mean: over speakers alone, not over seeds, of which there is one." in text
    assert "exact sign-flip over seeds and t over speakers, the larger" in text
    assert "two-level" not in text


def test_intervals_of_a_metric_without_predictions_are_said_to_cover_seeds_alone() -> None:
    text = of_seeds({}, speakers=False)
    assert "with the 95 % interval of the mean: Student's t over seeds alone, not over speakers." in text
    assert "two-level" not in text
    assert "Δ" not in text
    assert "No row could be tested against SimCLR." in text


def test_rows_with_one_seed_among_others_are_told_apart_from_them() -> None:
    text = of_seeds({"crnn": 1}, columns=2)
    kinds = "two-level (speakers × seeds), but over speakers alone where there is one seed"
    assert f"interval of the mean: for F1 {kinds}; for loss Student's t over seeds alone, not over speakers." in text
    assert f"with its 95 % interval: {kinds}." in text


def test_the_interval_of_a_difference_is_told_by_the_seeds_that_both_rows_have() -> None:
    text = of_seeds({"simclr": 1})
    assert "interval of the mean: two-level (speakers × seeds), but over speakers alone where there is one seed." in text
    assert "with its 95 % interval: over speakers alone, not over seeds, of which there is one." in text


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (dict.fromkeys(VALUES, 16), "exact sign-flip over seeds and"),
        (dict.fromkeys(VALUES, 17), "sign-flip over seeds by 100,000 random patterns and"),
        (
            dict.fromkeys(VALUES, 17) | {"crnn": 16},
            "sign-flip over seeds (exact up to 16 seeds, by 100,000 random patterns beyond)",
        ),
        (dict.fromkeys(VALUES, 17) | {"simclr": 16}, "exact sign-flip over seeds and"),
    ],
)
def test_the_sign_flip_test_is_called_exact_only_where_it_goes_through_all_patterns(seeds: dict[str, int], said: str) -> None:
    text = of_seeds(seeds)
    assert f"paired by seed and test unit; {said}" in text


def test_real_corpora_carry_no_twin_warning() -> None:
    text = caption(make_table(recorded(twin=False)))
    assert "Corpora: mdd = MDD." in text
    assert "never comparable" not in text


def test_too_few_seeds_for_any_verdict_are_told_with_the_number_that_would_do() -> None:
    floor = {row: {**numbers, "p_vs_baseline": 0.5, "p_floor": 0.5} for row, numbers in COMPARED.items()}
    text = caption(make_table(recorded(compared=floor)))
    assert "With 3 seeds no row can be called better or worse: the smallest possible corrected p is 0.500" in text
    assert "at least 7 seeds are needed." in text


@pytest.mark.parametrize(("rows", "seeds"), [(1, 6), (2, 7), (3, 7), (5, 8), (6, 8), (7, 9)])
def test_the_least_number_of_seeds_is_the_first_whose_best_sign_flip_survives_holm(rows: int, seeds: int) -> None:
    def best(n: int) -> float:
        """Both tails of all-equal signs, among all sign flips, times the number of tests."""
        return rows * sum(flips in (0, 2**n - 1) for flips in range(2**n)) / 2**n

    assert best(seeds) <= 0.05 < best(seeds - 1)
    assert least_seeds(rows) == seeds


def test_a_table_without_a_baseline_has_neither_differences_nor_a_test() -> None:
    table = make_table(recorded(table=TABLE.model_copy(update={"baseline": None}), compared={}))
    for form in Format:
        assert not any(word in render(table, form) for word in ("Δ", "Delta", "Holm", "| baseline"))
    assert verdicts(table) == dict.fromkeys(VALUES)


def test_what_could_not_be_computed_is_said() -> None:
    bare = [t for t in trials() if t.seed == 0]
    one = recorded(bare, compared={})
    cells = {row: {name: v for name, v in numbers.items() if "_ci_" not in name} for row, numbers in one.cells.items()}
    table = make_table(one.model_copy(update={"cells": cells, "sweep": one.sweep.model_copy(update={"seeds": (0,)})}))
    assert "no interval could be computed" in caption(table)
    assert "No row could be tested against SimCLR." in caption(table)
    assert "| 70.00 (1) |" in render(replace(table, links={}), Format.markdown)


def test_a_label_that_two_rows_share_is_told_apart_by_the_others() -> None:
    rows = [
        row.model_copy(update={"label": (row.label[0], "Random")}) if row.key in ("simclr", "crnn") else row for row in TABLE.rows
    ]
    spec: TableSpec = TABLE.model_copy(update={"rows": tuple(rows)})
    assert "Δ: mean difference from fixed · Random in F1" in caption(make_table(recorded(table=spec)))


def test_small_probabilities_are_bounded_not_rounded_to_zero() -> None:
    assert [probability(p) for p in (0.0124, 0.001, 0.0009999, 1.0, None)] == ["0.012", "0.001", "<0.001", "1.000", "–"]
