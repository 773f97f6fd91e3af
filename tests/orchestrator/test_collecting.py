"""What of a store may go, and why: never what a living sweep or an unfinished trial needs, never a recorded scored result."""

import os
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.artifacts import ArtifactStore
from orchestrator.collecting import Kind, remove, survey
from orchestrator.sweep_documents import PlanDocument, StageInfo, SweepStatus, TrialInfo, write_plan, write_status
from tests.orchestrator.s3_server import s3_server
from trainables.errors import UserError

DAY = 24 * 3600.0


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        server.make_bucket("lab")
        yield server


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    """The same rules on a local folder and on an object store."""
    if request.param == "local":
        return ArtifactStore(tmp_path / "store")
    request.getfixturevalue("s3")
    return ArtifactStore(f"s3://lab/{tmp_path.name}", cache=tmp_path / "cache")


def finish(store, *names, size=10):
    for name in names:
        with store.scratch(name) as folder:
            (folder / "array").write_bytes(bytes(size))
            store.publish(name, folder)


def record(store, key, chains, state=None, silent=0.0):
    """A sweep of one trial per chain; of ``x < y`` the last stage is x, which reads y."""
    stages, trials = {}, []
    for number, chain in enumerate(chains):
        names = chain.split(" < ")
        trials.append(TrialInfo(row="r", seed=number, fingerprint=names[0]))
        for name, above in zip(names, [*names[1:], None], strict=True):
            known = stages.get(name, StageInfo(label="toy")).upstream
            stages[name] = StageInfo(label="toy", upstream=sorted({*known, *([above] if above else [])}))
    texts = dict.fromkeys(("study", "title", "scale", "protocol", "code"), "toy")
    write_plan(store, PlanDocument(key=key, rows={"r": "r"}, seeds=[*range(len(chains))], stages=stages, trials=trials, **texts))
    if state:
        seen = datetime.fromtimestamp(time.time() - silent, UTC)
        write_status(store, SweepStatus(key=key, study="toy", host="elsewhere", pid=1, started=seen, seen=seen, state=state))


def going(store, days=0.5, own=None):
    """Places that may go ``days`` from now, with their kinds."""
    return {item.place: item.kind for item in survey(store, own, time.time() + days * DAY).items}


def results(*names):
    return {f"results/{name}" for name in names}


def test_intermediate_results_are_spent_once_every_trial_that_reads_them_is_finished_and_scored_ones_stay(store):
    finish(store, "T/1", "E/1", "P/1")
    record(store, "k", ["T/1 < E/1 < P/1", "T/2 < E/1"])
    assert going(store) == {"results/P/1": Kind.spent}  # T/2 still reads E/1, which hides P/1
    finish(store, "T/2")
    assert going(store) == dict.fromkeys(results("P/1", "E/1"), Kind.spent)


def test_what_an_unfinished_trial_needs_stays_through_stages_that_are_missing(store):
    finish(store, "P/1")
    record(store, "k", ["T/1 < E/1 < P/1"])
    assert going(store) == {}


def test_a_failed_trial_is_unfinished(store):
    finish(store, "E/1")
    record(store, "k", ["T/1 < E/1"], state="failed")
    store.mark_failed("T/1", "why")
    assert going(store, days=100) == {}


def test_every_recorded_sweep_must_be_done_with_a_result(store):
    finish(store, "T/1", "E/1")
    record(store, "k", ["T/1 < E/1"])
    assert going(store) == {"results/E/1": Kind.spent}
    record(store, "l", ["U/1 < E/1"])
    assert going(store) == {}


def test_one_sweeps_intermediate_result_is_anothers_scored_one_and_stays(store):
    finish(store, "T/1", "E/1")
    record(store, "k", ["T/1 < E/1"])
    record(store, "l", ["E/1"])
    assert going(store) == {}


@pytest.mark.parametrize(("state", "silent", "kept"), [("running", 540, True), ("running", 660, False), ("stopped", 0, False)])
def test_a_sweep_that_lives_keeps_all_of_its_plan_until_it_was_silent_for_ten_minutes(tmp_path, state, silent, kept):
    store = ArtifactStore(tmp_path)
    finish(store, "T/1", "E/1")
    record(store, "k", ["T/1 < E/1"], state, silent - 120)
    assert (going(store, days=120 / DAY) == {}) is kept


def test_a_sweep_that_asks_for_itself_gives_up_what_it_is_done_with_but_not_what_others_may_read(store):
    finish(store, "T/1", "E/1", "F/1", "E/2")
    record(store, "k", ["T/1 < E/1", "F/1 < E/2"], "running", -120)
    assert going(store, days=120 / DAY, own="k") == dict.fromkeys(results("E/1", "E/2"), Kind.spent)
    record(store, "l", ["T/1 < E/1"], "running", -120)
    assert going(store, days=120 / DAY, own="k") == {"results/E/2": Kind.spent}


def test_what_was_finished_this_very_minute_goes_soon_because_its_curves_are_being_sent(store):
    finish(store, "T/1", "E/1", size=1000)
    record(store, "k", ["T/1 < E/1"])
    found = survey(store)
    assert found.items == ()
    assert 1000 <= found.soon < 2000


def test_results_that_no_recorded_sweep_needs_may_go_after_a_day(store):
    finish(store, "T/1")
    assert (going(store, days=0.9), going(store, days=1.1)) == ({}, {"results/T/1": Kind.unrecorded})


def test_while_a_search_is_unfinished_nothing_unrecorded_goes_and_it_is_said(store):
    finish(store, "T/1")
    store.save_checkpoint("T/2", b"state")
    store.write_document("searches/key/trial-0001.json", "{}")
    found = survey(store, now=time.time() + 30 * DAY)
    assert found.items == ()
    assert "search key has not opened its test split" in found.notes[0]
    store.write_document("searches/key/test-opened.json", "{}")
    assert going(store, days=30) == {"results/T/1": Kind.unrecorded, "checkpoints/T/2": Kind.leftover}


def test_checkpoints_go_when_their_stage_is_finished_or_when_no_unfinished_trial_needs_it(store):
    finish(store, "T/1", "F/1")
    record(store, "k", ["T/1 < E/1", "U/1 < E/2"])
    for name in ("F/1", "E/1", "E/2", "U/1"):
        store._write(f"checkpoints/{name}/checkpoint.pt", b"state")
    places = {"checkpoints/F/1": Kind.leftover, "checkpoints/E/1": Kind.leftover}
    assert going(store) == places
    assert going(store, days=100) == places | {"results/F/1": Kind.unrecorded}


def test_checkpoints_of_a_stage_of_no_recorded_sweep_go_after_a_week(store):
    store.save_checkpoint("E/1", b"state")
    assert (going(store, days=6.9), going(store, days=7.1)) == ({}, {"checkpoints/E/1": Kind.leftover})


def test_what_somebody_computes_stays_though_no_recorded_sweep_needs_it(tmp_path):
    store = ArtifactStore(tmp_path)
    finish(store, "T/1")
    old = time.time() - 30 * DAY
    for file in (tmp_path / "results/T/1").iterdir():
        os.utime(file, (old, old))
    assert going(store, days=0) == {"results/T/1": Kind.unrecorded}
    store.write_document("leases/T/1.json", "{}")
    assert going(store, days=0) == {}
    assert going(store, days=0.5) == {"results/T/1": Kind.unrecorded}  # a lease that nobody renews


def test_half_written_results_go_after_a_day_and_those_that_are_being_written_stay(tmp_path):
    store = ArtifactStore(tmp_path)
    for place in ("partial/dead", "partial/alive", "ray/run", "results/T/1"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "file").write_bytes(bytes(7))
        (tmp_path / "notes").mkdir(exist_ok=True)
    aside = tmp_path / "notes" / f"a.json.{'0' * 32}"
    aside.write_bytes(bytes(7))
    old = time.time() - 2 * DAY
    for path in [aside, *tmp_path.glob("*/*"), *tmp_path.glob("*/*/*"), *tmp_path.glob("*/*/*/*")]:
        os.utime(path, (old, old))
    os.utime(tmp_path / "partial/alive")  # as a stage that ticks does
    found = survey(store)
    assert {item.place for item in found.items} == {"partial/dead", "ray/run", "results/T/1", f"notes/{aside.name}"}
    assert {(item.kind, item.size) for item in found.items} == {(Kind.abandoned, 7)}
    record(store, "k", ["T/2"], "running")
    assert "ray/run" not in going(store, days=0)


def test_of_a_remote_result_copies_that_do_not_count_go_and_the_one_that_does_stays(s3, tmp_path):
    store = ArtifactStore(f"s3://lab/{tmp_path.name}", cache=tmp_path / "cache")
    finish(store, "T/1")
    record(store, "k", ["T/1"])
    store._write("results/T/1/late/array", bytes(5))  # of a publisher that was killed before it could see that it came too late
    store._write("results/T/2/early/array", bytes(5))
    gone = going(store, days=2)
    assert gone == {"results/T/1/late": Kind.abandoned, "results/T/2": Kind.abandoned}
    remove(store, survey(store, now=time.time() + 2 * DAY).items)
    assert (store.path("T/1") / "array").read_bytes() == bytes(10)
    assert store._files_below("results/T/2") == []
    assert store._files_below("results/T/1/late") == []


def test_with_a_budget_what_is_worth_least_goes_first_then_the_oldest_and_no_more_than_it_takes(tmp_path):
    store = ArtifactStore(tmp_path)
    finish(store, "S/1", "X/1", "E/1", "E/2", "T/1", size=1000)
    record(store, "k", ["T/1 < E/1", "T/1 < E/2"])
    store._write("checkpoints/T/1/checkpoint.pt", bytes(1000))
    for age, name in enumerate(["E/2", "E/1", "X/1", "S/1"]):
        for file in (tmp_path / "results" / name).iterdir():
            os.utime(file, (time.time() - (2 + age) * DAY,) * 2)
    found = survey(store, now=time.time() + 120)
    order = ["checkpoints/T/1", *(f"results/{name}" for name in ("S/1", "X/1", "E/1", "E/2"))]
    assert [item.place for item in found.items] == order
    assert [item.place for item in found.worthless()] == order[:1]
    assert found.within(found.size) == ()
    assert [item.place for item in found.within(found.size - 1)] == order[:1]
    assert [item.place for item in found.within(found.size - 2500)] == order[:3]
    assert found.within(0) == found.items


def test_what_is_removed_is_gone_whole_and_can_be_computed_again(store):
    finish(store, "T/1", "E/1")
    record(store, "k", ["T/1 < E/1"])
    found = survey(store, now=time.time() + 120)
    assert remove(store, found.items) == sum(item.size for item in found.items) > 0
    assert (store.is_done("E/1"), store.is_done("T/1")) == (False, True)
    assert survey(store, now=time.time() + 120).size == found.size - sum(item.size for item in found.items)
    finish(store, "E/1")
    assert (store.path("E/1") / "array").exists()


def test_without_knowing_what_a_sweep_needs_nothing_is_decided(store):
    store.write_document("sweeps/k/plan.json", "{")
    with pytest.raises(UserError, match=r"sweeps/k/plan\.json"):
        survey(store)


@given(data=st.data())
def test_whatever_is_recorded_and_finished_removing_all_that_may_go_makes_no_unfinished_trial_compute_a_stage_again(
    data, tmp_path_factory
):
    """Against the rule that trials are run by: a chain lacks what it lacked before (:mod:`orchestrator.execution.walk`)."""
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    names = [[f"{level}/{number}" for number in range(2)] for level in "ABC"]
    chain = st.tuples(*map(st.sampled_from, names)).map(" < ".join)
    sweeps = data.draw(st.lists(st.lists(chain, min_size=1, max_size=3), max_size=2))
    # A stage reads the same ones in every sweep: that is in its fingerprint.
    above = {name: data.draw(st.sampled_from(names[level + 1])) for level in (0, 1) for name in names[level]}
    chains = [[f"{top} < {above[top]} < {above[above[top]]}" for top in {chain[:3] for chain in sweep}] for sweep in sweeps]
    done = data.draw(st.sets(st.sampled_from([*names[0], *names[1], *names[2]])))
    for key, sweep in enumerate(chains):
        record(store, f"k{key}", sorted(sweep))
    finish(store, *done)

    def lacking(finished):
        trials = [chain.split(" < ") for sweep in chains for chain in sweep]
        missing = []
        for trial in trials:
            hidden = next((place for place, name in enumerate(trial) if name in finished), len(trial))
            missing.append(trial[:hidden])
        return missing

    before = lacking(done)
    remove(store, survey(store, now=time.time() + 100 * DAY).items)
    left = {name for name in done if store.is_done(name)}
    assert lacking(left) == before
    assert {chain[:3] for sweep in chains for chain in sweep} & done <= left
