"""What a table is not made from, and what it says where it is made all the same."""

from __future__ import annotations

import pytest

from orchestrator.records import RecordedSweep, TrialResult
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import make_table
from orchestrator.tables.render import Format, render
from orchestrator.tables.tidy import tidy_csv
from tests.orchestrator.tables.recorded import TABLE, cells, recorded, trial, trials
from trainables.errors import UserError


def refusal(of: RecordedSweep, partial: bool = False) -> str:
    with pytest.raises(UserError) as raised:
        make_table(of, partial)
    return str(raised.value)


def changed(row: str, **changes: object) -> list[TrialResult]:
    return [t.model_copy(update=changes) if t.row == row else t for t in trials()]


def test_every_fault_of_the_trials_is_told_at_once() -> None:
    faulty = [t for t in trials() if (t.row, t.seed) not in {("simclr", 1), ("simclr", 2), ("crnn", 0)}]
    faulty.append(trial("crnn", 0, status="FAILED"))
    faulty[0] = faulty[0].model_copy(update={"corpora": {"mdd": "d2"}, "protocol": "80/20", "scale": "paper", "dirty": ("a.py",)})
    message = refusal(recorded(faulty))
    for part in ("'simclr' lacks seeds 1, 2 of 3", "'crnn' lacks seed 0 of 3", "--partial", "1 trial computed by code", "(a.py)"):
        assert part in message
    for part in ("mixed corpus mdd: 'd1'", "mixed protocol: '70/30'", "mixed scale: 'demo'"):
        assert part in message
    made = caption(make_table(recorded(faulty), partial=True))
    assert made.startswith("PARTIAL TABLE, not to be quoted: ")
    assert all(part in made for part in ("'simclr' lacks seeds 1, 2 of 3", "mixed scale: 'demo'", "1 trial computed by code"))


def test_one_class_of_stage_computed_by_two_codes_is_refused_with_the_way_out() -> None:
    message = refusal(recorded(changed("crnn", code={"LogMel": "l1", "Classifier": "c2"})))
    assert (
        "mixed code of Classifier: 'c1' in 9 trials, 'c2' in 3 trials; run the sweep again with --redo force to compute all with "
        "the present code, or --partial"
    ) in message
    assert "LogMel" not in message


def test_two_codes_of_one_class_within_a_chain_are_refused() -> None:
    mixed = [t.model_copy(update={"code": {"LogMel": "l1+l2"}}) for t in trials()]
    assert "mixed code of LogMel: 'l1' in 12 trials, 'l2' in 12 trials" in refusal(recorded(mixed))


def test_different_classes_may_have_different_code() -> None:
    assert not make_table(recorded(changed("crnn", code={"LogMel": "l1", "Crnn": "r9"}))).problems


def test_results_of_code_that_no_commit_holds_are_refused_with_the_files_and_the_way_out() -> None:
    message = refusal(recorded(changed("crnn", dirty=("trainables/crnn.py", "trainables/units.py"))))
    assert (
        "3 trials computed by code that no commit holds (trainables/crnn.py, trainables/units.py); commit them and run again with "
        "--redo force, or --partial"
    ) in message


def other_mean(of: dict[str, float]) -> dict[str, float]:
    return of | {"loss_mean": of["loss_mean"] * (1 + 1e-11)}


def other_n(of: dict[str, float]) -> dict[str, float]:
    return of | {"f1_n": 2.0}


def none(of: dict[str, float]) -> dict[str, float]:
    return {}


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("change", [other_mean, other_n, none])
def test_statistics_of_other_trials_make_no_table_not_even_a_partial_one(change, partial: bool) -> None:
    sound = recorded()
    stale = sound.model_copy(update={"cells": sound.cells | {"simclr": change(sound.cells["simclr"])}})
    message = refusal(stale, partial)
    assert (
        "the statistics of row 'simclr' were recorded for other trials; run `python -m orchestrator.sweep toy` again, which "
        "computes nothing and records them anew"
    ) in message
    assert "reclr" not in message


def test_rows_with_other_statistics_are_told_together_with_the_command_of_a_curve() -> None:
    curve = recorded(table=TABLE.model_copy(update={"study": "toy_curve"}))
    assert (
        "the statistics of rows 'chance', 'simclr', 'reclr', 'crnn' were recorded for other trials; run "
        "`python -m orchestrator.sweep toy --curve` again"
    ) in refusal(curve.model_copy(update={"cells": {}}))


def test_statistics_without_any_trial_make_no_table() -> None:
    sound = recorded()
    orphaned = sound.model_copy(update={"trials": tuple(t for t in sound.trials if t.row != "crnn")})
    assert "the statistics of row 'crnn' were recorded for other trials" in refusal(orphaned, partial=True)


def test_statistics_that_differ_by_the_order_of_summation_are_those_of_the_trials() -> None:
    sound = recorded()
    rounded = {name: value * (1 + 1e-14) if name == "f1_mean" else value for name, value in sound.cells["simclr"].items()}
    make_table(sound.model_copy(update={"cells": sound.cells | {"simclr": rounded}}))


@pytest.mark.parametrize("partial", [False, True])
def test_a_seed_that_is_there_twice_makes_no_table_and_the_message_names_both(partial: bool) -> None:
    message = refusal(recorded([*trials(), trial("reclr", 1, fingerprint="Last/other")]), partial)
    assert "row 'reclr' has seed 1 2 times (Last/other, Last/reclr-1); delete one in MLflow" in message
    assert "other trials" not in message


@pytest.mark.parametrize("partial", [False, True])
def test_a_metric_that_is_not_a_number_is_an_error_that_names_the_trial(partial: bool) -> None:
    broken = [
        trial("simclr", 1, metrics={"f1": float("nan"), "loss": 1.0}) if (t.row, t.seed) == ("simclr", 1) else t for t in trials()
    ]
    message = refusal(recorded(broken), partial)
    assert "row 'simclr', seed 1: f1 is nan" in message
    assert "other trials" not in message


def test_a_partial_table_says_so_in_every_format_and_counts_what_there_is() -> None:
    some = [t for t in trials() if t.row != "crnn" and (t.row, t.seed) != ("simclr", 1)]
    table = make_table(recorded(some), partial=True)
    assert table.cells["crnn", "f1"].statistics is None
    assert table.cells["simclr", "f1"].statistics.n == 2
    for form in (Format.markdown, Format.latex, Format.html, Format.terminal):
        assert "PARTIAL TABLE, not to be quoted" in render(table, form)
    assert "crnn,tuning,50 % | <CRNN_x>,f1,percent,0,,,," in tidy_csv(table)


def test_a_metric_that_one_trial_lacks_has_no_number_in_a_partial_table() -> None:
    lacking = [trial("simclr", 1, metrics={"loss": 2.0}) if (t.row, t.seed) == ("simclr", 1) else t for t in trials()]
    assert "row 'simclr', seed 1 has no metric 'f1', only ['loss']" in refusal(recorded(lacking))
    table = make_table(recorded(lacking), partial=True)
    assert table.cells["simclr", "f1"].statistics is None
    assert table.cells["simclr", "loss"].statistics.n == 3


def test_trials_that_failed_or_that_nobody_asked_for_never_count() -> None:
    more = [trial("crnn", 0, status="FAILED", metrics={"f1": 0.0, "loss": 0.0}), trial("crnn", 1).model_copy(update={"seed": 7})]
    made = make_table(recorded().model_copy(update={"trials": (*trials(), *more), "cells": cells(trials())}))
    assert made.cells["crnn", "f1"].values == pytest.approx((60.0, 50.0, 70.0))
    assert TABLE.columns[0].percent
