"""Where trials stand, why they wait, what they cost and when they may end, from documents and facts alone."""

from collections import Counter

import pytest

from orchestrator.execution.failures import Failure, Kind
from orchestrator.status_costs import estimate, hours
from orchestrator.status_facts import Cost, Facts
from orchestrator.status_text import full_reason, public_reason, ranges
from orchestrator.status_trials import Living, Stand, duration, sweep_state
from tests.orchestrator.told_sweeps import CLASSIFIER, NOW, PRETRAINING, plan_of, running, status_of

FIRST, SECOND = PRETRAINING.format(0), PRETRAINING.format(1)
DONE, RUNNING, WAITING, FAILED = Stand.done, Stand.running, Stand.waiting, Stand.failed


def state_of(plan=None, status=None, **facts):
    """The state of a sweep, as its own last word and the store tell."""
    plan, status = plan or plan_of(), status or status_of()
    facts["done"] = frozenset(facts.get("done", ()))
    lives = status.lives(NOW)
    return sweep_state(plan, status, lives, Living.of([status] if lives else []), Facts(**facts), NOW)


def stands(state, row="r0"):
    return [each.stand for each in state.rows[row]]


def words(state, row="r0"):
    return [each.reason and full_reason(each.reason) for each in state.rows[row]]


def test_a_trial_is_done_when_its_last_stage_is_whatever_became_of_the_others():
    state = state_of(done={CLASSIFIER.format(0, 0)})
    assert stands(state) == [DONE, WAITING, WAITING]
    assert FIRST in state.needed  # by the others
    assert FIRST not in state_of(done={CLASSIFIER.format(0, seed) for seed in range(3)}).needed


def test_of_trials_that_share_a_running_stage_one_runs_and_the_others_wait_for_it():
    state = state_of(status=status_of(running={FIRST: running()}))
    assert stands(state) == [RUNNING, WAITING, WAITING]
    assert words(state)[2] == "pretraining lr=0-aaaa is being computed: 40% after 60 s on node-7"
    assert words(state)[1] == words(state)[2]


def test_a_stage_that_another_sweep_computes_is_told_with_that_sweep():
    state = state_of(status=status_of(running={FIRST: running(sweep="k2-def")}))
    assert "by sweep k2-def" in words(state)[1]
    assert state.own_running == 0


@pytest.mark.parametrize(
    ("status", "facts", "told"),
    [
        ({"queued": {FIRST: "needs 4 x 1 GPU; 2 of 8 are free"}}, {}, "waits for room: needs 4 x 1 GPU; 2 of 8 are free"),
        ({}, {"leases": {FIRST: "computed by process 7 on far"}}, "pretraining lr=0-aaaa: computed by process 7 on far"),
        ({}, {}, "not begun"),
        ({"silent": 720}, {}, "(process 1 on elsewhere) has given no sign of life for 12 min"),
        ({"state": "stopped"}, {}, "its sweep was stopped"),
        (
            {"state": "failed", "error": "2 GPU, but there are 0\nmore"},
            {},
            "ended without it; the same command goes on: 2 GPU,",
        ),
    ],
)
def test_why_a_trial_waits_is_told(status, facts, told):
    state = state_of(status=status_of(**status), **facts)
    assert stands(state) == [WAITING] * 3
    assert told in words(state)[0]


def test_what_a_silent_sweep_said_last_counts_no_more():
    state = state_of(status=status_of(silent=720, running={FIRST: running()}, queued={SECOND: "third in the queue"}))
    assert (stands(state), stands(state, "r1")) == ([WAITING] * 3, [WAITING] * 3)


def test_a_failure_ends_the_trials_that_need_the_stage_and_no_other():
    story = "Traceback (most recent call last):\n  ...\nValueError: 303_P.wav"
    failures = {FIRST: Failure(error=story, attempts=2), CLASSIFIER.format(1, 1): Failure(error="mend it", kind=Kind.fault)}
    state = state_of(failures=failures)
    assert (stands(state), stands(state, "r1")) == ([FAILED] * 3, [WAITING, FAILED, WAITING])
    assert words(state)[0] == "upstream, pretraining lr=0-aaaa failed (it raised an error, tried 2 times): ValueError: 303_P.wav"
    assert words(state, "r1")[1] == "its own classifier lr=1,seed=1-bbbb failed (something must be mended): mend it"
    assert not any(name in state.needed for name in (FIRST, CLASSIFIER.format(1, 1)))  # nobody computes them any more
    assert [len(trials) for trials in state.reasons.values()] == [3, 1, 2]  # failures first


def test_a_failed_stage_that_runs_again_has_not_failed():
    state = state_of(status=status_of(running={FIRST: running()}), failures={FIRST: Failure(error="x")})
    assert stands(state) == [RUNNING, WAITING, WAITING]


@pytest.mark.parametrize("story", ["Traceback ...:\n  File x\nValueError: 303_P.wav", "corpus mdd: 303_P.wav is broken; mend it"])
def test_what_a_stage_said_is_not_for_the_page(story):
    reason = state_of(failures={FIRST: Failure(error=story)}).rows["r0"][0].reason
    assert "303_P" in full_reason(reason)
    assert "303_P" not in public_reason(reason, "toy")
    assert ("ValueError" in public_reason(reason, "toy")) == story.startswith("Traceback")


def test_hours_are_those_of_each_finished_stage_once_and_saved_are_those_of_every_other_trial_that_needs_it():
    plan = plan_of(rows=3, seeds=4)
    done = {FIRST, SECOND, *(CLASSIFIER.format(0, seed) for seed in range(4))}
    costs = {name: Cost(wall=7200.0, cpu=3600.0 * (place + 1), gpu=3600.0 * place) for place, name in enumerate(sorted(done))}
    told = hours(state_of(plan, done=done), costs)
    unshared = Counter()
    for trial in plan.trials:  # every trial by itself
        for name in {trial.fingerprint, *plan.stages[trial.fingerprint].upstream} & done:
            unshared.update({"gpu": costs[name].gpu / 3600, "cpu": costs[name].cpu / 3600})
    assert (told.gpu, told.cpu) == (sum(range(6)), sum(range(1, 7)))
    assert told.gpu + told.gpu_saved == pytest.approx(unshared["gpu"])
    assert told.cpu + told.cpu_saved == pytest.approx(unshared["cpu"])
    assert told.gpu_saved > 0
    assert hours(state_of(plan, done=done), {}).unknown == 6


def test_what_is_left_is_estimated_from_the_finished_stages_of_its_class_and_as_many_at_a_time_as_now():
    own = {SECOND: running(fraction=0.5, seconds=50.0), CLASSIFIER.format(0, 1): running(fraction=0.0, seconds=4.0)}
    state = state_of(status=status_of(running=own), done={FIRST, CLASSIFIER.format(0, 0)})
    costs = {FIRST: Cost(80.0, 80.0, 0.0), CLASSIFIER.format(0, 0): Cost(10.0, 10.0, 0.0)}
    told = estimate(state, costs)
    left = [50.0, 10.0 - 4.0, 10.0, 10.0, 10.0, 10.0]  # the pretraining, r0's second and third, r1's three
    assert told.seconds == pytest.approx(max(sum(left) / 2, 50.0 + 10.0))
    for part in ("1 Pretraining at 80 s each, the mean of 1 finished", "5 Classifier at 10 s each", "2 at a time as now"):
        assert part in told.rests


def test_an_estimate_rests_on_the_progress_of_running_stages_where_none_of_their_class_is_finished():
    done = {FIRST, SECOND, *(CLASSIFIER.format(0, seed) for seed in range(3)), CLASSIFIER.format(1, 0)}
    state = state_of(status=status_of(running={CLASSIFIER.format(1, 1): running(fraction=0.25, seconds=30.0)}), done=done)
    told = estimate(state, {})
    assert told.seconds == pytest.approx(90.0 + 120.0)
    assert "as running ones promise" in told.rests


def test_without_any_stage_of_a_class_nothing_is_estimated():
    told = estimate(state_of(done={FIRST, SECOND}), {FIRST: Cost(80.0, 80.0, 0.0)})
    assert told.seconds is None
    assert "no Classifier has finished yet" in told.rests


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3599, "1 h 00 min"), (11_100, "3 h 05 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_told_as_people_say_them(seconds, told):
    assert duration(seconds) == told


def test_seeds_are_drawn_together():
    assert ranges([7, 0, 1, 2, 3]) == "0-3, 7"
