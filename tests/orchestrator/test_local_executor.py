"""The local executor: every distinct stage once, failures told and remembered, interrupted stages resumed."""

import json
import threading

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.failures import StageFailed
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.walk import ready_stages
from orchestrator.plan import PlannedTrial
from orchestrator.records import TrialRecord
from tests.toys import Broken, Climb, Number, Steps, Sum, toy_setting
from trainables.identity import identity_of
from trainables.stage import StopRequested, from_config


class Calls(list):
    """Stands for the tracker: remembers what it was told."""

    def __call__(self, method, *arguments):
        self.append((method, *arguments))

    def named(self, method):
        return [call[1:] for call in self if call[0] == method]


def executor(tmp_path, **options):
    calls = Calls()
    return LocalExecutor(toy_setting(tmp_path / "store"), calls, **options), calls


def trials(setting, *targets):
    return tuple(
        PlannedTrial(TrialRecord(key=f"t{n}", row="r", seed=n, fingerprint=setting.fingerprint(t), stages=()), t)
        for n, t in enumerate(targets)
    )


def test_a_stage_shared_by_trials_runs_once(tmp_path):
    run, calls = executor(tmp_path)
    shared = Number(value=2.0)
    run.run(trials(run.setting, Sum(left=shared, right=Number()), Sum(left=shared, right=Number(), seed=1)))
    assert len(run.executed) == len(set(run.executed)) == 4
    assert [metrics for _, status, metrics in calls.named("trial_ended")] == [{"f1_macro": 3.0}, {"f1_macro": 4.0}]


def test_a_second_run_runs_nothing(tmp_path):
    run, _ = executor(tmp_path)
    target = Sum(left=Number(), right=Number(value=2.0))
    run.run(trials(run.setting, target))
    again, calls = executor(tmp_path)
    again.run(trials(again.setting, target))
    assert again.executed == []
    assert len(calls.named("trial_ended")) == 1


def test_a_result_holds_what_was_hashed_what_rebuilds_it_and_where_it_comes_from(tmp_path):
    run, _ = executor(tmp_path)
    run.finish_chain(Number(value=2.0))
    store, name = ArtifactStore(tmp_path / "store"), run.setting.fingerprint(Number(value=2.0))
    assert store.read_json(name, "identity.json") == identity_of(Number(value=2.0), {"mdd": "d" * 16})
    assert from_config(store.read_json(name, "config.json")) == Number(value=2.0)
    provenance = store.read_json(name, "provenance.json")
    assert {"code", "commit", "packages", "corpora", "wall_seconds", "cpu_seconds"} <= provenance.keys()
    assert [point[:3] for point in store.read_json(name, "history.json")] == [["value", 2.0, 0]]


def test_a_changed_upstream_result_is_refused_where_it_is_read(tmp_path):
    run, _ = executor(tmp_path)
    run.finish_chain(Number())
    store = ArtifactStore(tmp_path / "store")
    file = store.path(run.setting.fingerprint(Number())) / "identity.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 0}))
    with pytest.raises(StageFailed, match="version: expected 1, found 0"):
        run.finish_chain(Sum(left=Number(), right=Number(value=2.0)))


def test_a_failed_stage_ends_its_own_trials_and_no_other(tmp_path):
    run, calls = executor(tmp_path)
    run.run(trials(run.setting, Broken(), Number()))
    assert [status for _, status, _ in calls.named("trial_ended")] == ["FAILED", "FINISHED"]
    assert "ZeroDivisionError: deliberate" in ArtifactStore(tmp_path / "store").failure(run.setting.fingerprint(Broken()))


def test_a_failure_is_not_run_again_until_it_is_cleared(tmp_path):
    run, _ = executor(tmp_path)
    with pytest.raises(StageFailed):
        run.finish_chain(Broken())
    with pytest.raises(StageFailed):
        run.finish_chain(Broken())
    assert len(run.executed) == 1
    ArtifactStore(tmp_path / "store").clear_failure(run.setting.fingerprint(Broken()))
    with pytest.raises(StageFailed):
        run.finish_chain(Broken())
    assert len(run.executed) == 2


def test_a_fault_of_the_users_is_told_without_a_traceback(tmp_path):
    run, _ = executor(tmp_path)
    with pytest.raises(StageFailed) as caught:
        run.finish_chain(Broken(users_fault=True))
    assert str(caught.value) == "found a zebra, expected a horse; get a horse"


def test_stopping_saves_a_checkpoint_and_the_next_run_goes_on_with_the_same_curves(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)
    stopping = threading.Event()
    run, calls = executor(tmp_path, stopping=stopping, show=lambda name, fraction: fraction >= 0.4 and stopping.set())
    with pytest.raises(StopRequested):
        run.finish_chain(Steps())
    assert [status for _, status, *_ in calls.named("stage_ended")] == ["KILLED"]
    resumed, _ = executor(tmp_path)
    resumed.finish_chain(Steps())
    store, name = ArtifactStore(tmp_path / "store"), run.setting.fingerprint(Steps())
    assert store.read_json(name, "metrics.json")["resumed"] is True
    assert [point[2] for point in store.read_json(name, "history.json")] == list(range(10))


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-7], lambda content: b"x" * len(content)])
def test_a_damaged_checkpoint_counts_as_none(tmp_path, monkeypatch, damage):
    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)
    stopping = threading.Event()
    run, _ = executor(tmp_path, stopping=stopping, show=lambda name, fraction: fraction >= 0.4 and stopping.set())
    with pytest.raises(StopRequested):
        run.finish_chain(Steps())
    store, name = ArtifactStore(tmp_path / "store"), run.setting.fingerprint(Steps())
    store.save_checkpoint(name, damage(store.load_checkpoint(name)))
    again, _ = executor(tmp_path)
    again.finish_chain(Steps())
    assert store.read_json(name, "metrics.json")["resumed"] is False


def test_a_worker_with_other_code_refuses_to_compute(tmp_path):
    run, _ = executor(tmp_path)
    other = LocalExecutor(run.setting.model_copy(update={"code": "something else"}), lambda *call: None)
    with pytest.raises(StageFailed, match="install the same version on every node"):
        other.finish_chain(Number())


def test_only_stages_whose_upstream_is_finished_are_ready(tmp_path):
    setting, store = toy_setting(tmp_path), ArtifactStore(tmp_path)
    target = Sum(left=Number(), right=Number(value=2.0))
    assert set(ready_stages(target, setting, store).values()) == {Number(), Number(value=2.0)}


def test_a_finished_stage_hides_what_is_upstream_of_it(tmp_path):
    run, _ = executor(tmp_path)
    target = Sum(left=Number(), right=Number(value=2.0))
    run.finish_chain(target)
    store = ArtifactStore(tmp_path / "store")
    store.remove(run.setting.fingerprint(Number()))
    assert ready_stages(target, run.setting, store) == {}


@pytest.mark.parametrize(("code", "climbed"), [(None, 2), ("another", 5)])
def test_a_stage_goes_on_from_an_earlier_result_of_the_same_code_and_has_its_curves_whole_either_way(tmp_path, code, climbed):
    run, _ = executor(tmp_path)
    run.finish_chain(Climb(last=3))
    store = ArtifactStore(tmp_path / "store")
    if code:
        file = store.path(run.setting.fingerprint(Climb(last=3))) / "provenance.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "code": code}))
    run.finish_chain(Climb(last=5, resume=Climb(last=3)))
    name = run.setting.fingerprint(Climb(last=5))  # how it came there is no part of its identity
    assert store.read_json(name, "metrics.json") == {"last": 5, "climbed": climbed}
    assert [step for _, _, step, _ in store.read_json(name, "history.json")] == [0, 1, 2, 3, 4]
