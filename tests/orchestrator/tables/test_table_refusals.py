"""What a table is not made from, and what it says where it is made all the same."""

from __future__ import annotations

import pytest

from orchestrator.records import RecordedSweep, TrialResult, statistics_digest
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import make_table
from orchestrator.tables.render import Format, render
from orchestrator.tables.tidy import tidy_csv
from tests.orchestrator.tables.recorded import TABLE, recorded, trial, trials
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


def test_a_seed_that_is_missing_because_a_stage_failed_is_told_with_the_reason() -> None:
    faulty = [t for t in trials() if (t.row, t.seed) not in {("simclr", 0), ("simclr", 1), ("simclr", 2)}]
    reason = "session classifier failed: out of GPU memory, tried 2 times: CUDA out of memory"
    faulty += [trial("simclr", seed, status="FAILED").model_copy(update={"failure": reason}) for seed in (0, 2)]
    told = f"row 'simclr' lacks seeds 0, 1, 2 of 3 (seeds 0, 2: {reason})"
    assert told in refusal(recorded(faulty))
    assert told in caption(make_table(recorded(faulty), partial=True))


def test_one_class_of_stage_computed_by_two_codes_is_refused_with_the_way_out() -> None:
    message = refusal(recorded(changed("crnn", code={"LogMel": "l1", "Classifier": "c2"})))
    assert (
        "mixed code of Classifier: 'c1' in 9 trials, 'c2' in 3 trials; run the study again with --redo force to compute all with "
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


def permuted() -> list[TrialResult]:
    """The same numbers at other seeds of a row: mean, deviation and n are the same, but the pairs are others."""
    return [t.model_copy(update={"metrics": trial("crnn", (t.seed + 1) % 3).metrics}) if t.row == "crnn" else t for t in trials()]


def of_other_trials() -> RecordedSweep:
    return recorded().model_copy(update={"trials": tuple(permuted())})


def of_other_code() -> RecordedSweep:
    return recorded().model_copy(update={"told_by": "0123456789abcdef"})


def without_statistics() -> RecordedSweep:
    """As it is while the sweep runs, and after it was killed."""
    return recorded().model_copy(update={"told_by": "", "cells": {}})


@pytest.mark.parametrize("stale", [of_other_trials, of_other_code])
def test_statistics_of_other_trials_or_of_another_version_make_no_table(stale) -> None:
    assert (
        "the statistics were recorded for other trials, or by another version of the statistics; run "
        "`python -m orchestrator.sweep toy` again, which computes nothing and records them anew"
    ) in refusal(stale())


def test_trials_without_recorded_statistics_make_no_table_and_the_command_is_that_of_a_curve() -> None:
    curve = recorded(table=TABLE.model_copy(update={"study": "toy_curve"}))
    assert (
        "no statistics of these trials were recorded; run `python -m orchestrator.sweep toy --curve` again, which computes nothing "
        "and records them"
    ) in refusal(curve.model_copy(update={"told_by": ""}))


def test_it_is_not_promised_that_nothing_is_computed_where_a_trial_is_missing() -> None:
    some = tuple(t for t in trials() if (t.row, t.seed) != ("crnn", 0))
    message = refusal(of_other_code().model_copy(update={"trials": some}))
    assert "`python -m orchestrator.sweep toy` again, which records them anew" in message
    assert "computes nothing" not in message


@pytest.mark.parametrize("stale", [of_other_trials, of_other_code, without_statistics])
def test_a_partial_table_without_sound_statistics_has_the_numbers_of_the_trials_and_nothing_else(stale) -> None:
    table = make_table(stale(), partial=True)
    found = table.cells["crnn", "f1"].statistics.model_dump(exclude_none=True)
    assert found == {"n": 3, "mean": pytest.approx(60.0), "std": pytest.approx(10.0)}
    assert table.cells["reclr", "loss"].statistics.model_dump(exclude_none=True) == {"n": 3, "mean": 2.0, "std": 1.0}
    assert not any(cell.interval or cell.equivalent for cell in table.cells.values())
    assert {table.verdict(row) for row in TABLE.rows} == {None}
    for form in Format:
        shown = render(table, form)
        assert not any(word in shown for word in ("Δ", "Delta", "Holm", "better than", "†", "dagger", "could be"))
    assert "60.00 ± 10.00 (3)" in render(table, Format.terminal)


def test_a_partial_table_without_sound_statistics_says_so_first() -> None:
    some = tuple(t for t in trials() if (t.row, t.seed) != ("crnn", 0))
    assert caption(make_table(without_statistics().model_copy(update={"trials": some}), partial=True)).startswith(
        "PARTIAL TABLE, not to be quoted: row 'crnn' lacks seed 0 of 3; without intervals and tests: they are computed when the "
        "sweep ends."
    )


def test_a_partial_table_with_statistics_of_its_trials_shows_them() -> None:
    some = [t for t in trials() if (t.row, t.seed) != ("chance", 0)]
    table = make_table(recorded(some), partial=True)
    assert table.problems == ("row 'chance' lacks seed 0 of 3",)
    assert table.cells["reclr", "f1"].interval
    assert table.verdict(TABLE.rows[2]) == "better"


def test_a_metric_left_from_an_earlier_run_of_the_cell_is_not_shown_without_values() -> None:
    sound = recorded([t.model_copy(update={"metrics": {"f1": 0.5}}) if t.row == "crnn" else t for t in trials()])
    left = sound.cells | {"crnn": sound.cells["crnn"] | recorded().cells["crnn"]}
    assert make_table(sound.model_copy(update={"cells": left}), partial=True).cells["crnn", "loss"].statistics is None


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("told", [{}, {"told_by": ""}])
def test_a_seed_that_is_there_twice_makes_no_table_and_the_message_names_both(partial: bool, told: dict[str, str]) -> None:
    doubled = recorded([*trials(), trial("reclr", 1, fingerprint="Last/other")]).model_copy(update=told)
    assert "row 'reclr' has seed 1 2 times (Last/other, Last/reclr-1); delete one in MLflow" in refusal(doubled, partial)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("told", [{}, {"told_by": ""}])
def test_a_metric_that_is_not_a_number_is_an_error_that_names_the_trial(partial: bool, told: dict[str, str]) -> None:
    broken = [
        trial("simclr", 1, metrics={"f1": float("nan"), "loss": 1.0}) if (t.row, t.seed) == ("simclr", 1) else t for t in trials()
    ]
    assert "row 'simclr', seed 1: f1 is nan" in refusal(recorded(broken).model_copy(update=told), partial)


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
    told_by = statistics_digest((*trials(), *more))
    made = make_table(recorded().model_copy(update={"trials": (*trials(), *more), "told_by": told_by}))
    assert made.cells["crnn", "f1"].values == pytest.approx({0: 60.0, 1: 50.0, 2: 70.0})
