"""What is done about a stage that fails by itself: a policy for each kind, then a reason that says what to do."""

import errno
from dataclasses import replace

import pytest
import torch

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution import failures
from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.failures import POLICY, Diverged, Failure, GivenUp, Kind, failure_of, kind_of, need_alone, persevere
from orchestrator.execution.ledger import Ledger
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.resources import Need
from orchestrator.plan import Redo, State, failed_stages, make_plan, prepare_store
from tests.orchestrator.test_local_executor import Calls, trials
from tests.orchestrator.test_plan import SCALE, toy_study
from tests.orchestrator.toy_failures import Failing, FailingTogether
from tests.toys import Number, toy_setting
from trainables.errors import UserError

TRIES = {Kind.gpu_memory: 2, Kind.memory: 2, Kind.passing: 3}
LASTING = {Kind.fault, Kind.diverged, Kind.error, Kind.gpu_memory, Kind.memory}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a stage and a sound one in this process, without the pauses; returns what became of the first."""
    monkeypatch.setattr(failures, "POLICY", {kind: replace(rule, pauses=(0.0,)) for kind, rule in POLICY.items()})
    (tmp_path / "notes").mkdir()

    def run(planted, times):
        calls = Calls()
        executor = LocalExecutor(toy_setting(tmp_path / "store"), calls)
        stage = Failing(notes=str(tmp_path / "notes"), planted=planted, times=times)
        executor.run(trials(executor.setting, stage, Number()))
        assert calls.named("trial_ended")[1][1] == "FINISHED", "the rest of the sweep goes on"
        found = failure_of(ArtifactStore(tmp_path / "store"), executor.setting.fingerprint(stage))
        return len(list((tmp_path / "notes").iterdir())), calls.named("trial_ended")[0][1], found

    return run


@pytest.mark.parametrize("kind", [Kind.fault, Kind.diverged, Kind.error, Kind.gpu_memory, Kind.memory, Kind.passing])
def test_each_kind_of_failure_is_tried_as_often_as_stated_and_its_reason_kept_with_kind_and_attempts(run, kind):
    attempts, status, failure = run(kind.value, 99)
    assert (attempts, status) == (TRIES.get(kind, 1), "FAILED")
    assert (failure.kind, failure.attempts, failure.lasts) == (kind, attempts, kind in LASTING)


@pytest.mark.parametrize("kind", [Kind.gpu_memory, Kind.memory, Kind.passing])
def test_what_passes_in_time_is_no_failure(run, kind):
    attempts, status, failure = run(kind.value, TRIES[kind] - 1)
    assert (attempts, status, failure) == (TRIES[kind], "FINISHED", None)


def test_out_of_gpu_memory_names_the_settings_to_lower_with_their_values(run):
    _, _, failure = run("GPU memory", 99)
    assert "lower batch_size (it is 64), which makes it another experiment" in failure.error
    assert "set precision to 'bfloat16' (it is 'float32')" in failure.error
    assert "--per-stage 'Failing.gpus=1'" in failure.error
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB"
    assert failure.summary == f"out of GPU memory, tried 2 times: {said}"


def test_a_stage_that_can_be_shared_out_is_told_so_first_because_that_changes_no_result():
    def attempt(alone):
        raise failures.StageFailed("CUDA out of memory", Kind.gpu_memory)

    with pytest.raises(GivenUp) as given_up:
        persevere(FailingTogether(notes="", planted="GPU memory"), attempt, lambda seconds: None)
    assert "--per-stage 'FailingTogether.workers=2'" in str(given_up.value).split("batch_size")[0]


def test_a_loss_that_is_no_number_ends_a_training_where_it_is_reported(run):
    _, _, failure = run("diverged", 99)
    assert "the loss is not finite: it is nan at step 3" in failure.error
    assert "lower learning_rate (it is 0.1)" in failure.error


def test_a_bad_file_that_is_found_late_is_told_as_it_is(run):
    _, _, failure = run("fault", 99)
    assert failure.error == "p07.wav: 3 samples, expected as many as its header says; fetch it again"


@pytest.mark.parametrize(
    ("error", "workers", "kind"),
    [
        (UserError("found a zebra"), 2, Kind.fault),
        (Diverged("nan"), 1, Kind.diverged),
        (ValueError("a bug"), 1, Kind.error),
        (RuntimeError("Connection closed by peer"), 2, Kind.peer),
        (torch.OutOfMemoryError("CUDA out of memory"), 2, Kind.gpu_memory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), 1, Kind.gpu_memory),
        (MemoryError(), 1, Kind.memory),
        (OSError(errno.EIO, "Input/output error"), 1, Kind.passing),
    ],
)
def test_the_kind_of_an_exception(error, workers, kind):
    assert kind_of(error, workers) is kind


def attempts_of(kinds):
    """What a stage that fails in these ways was given at each attempt, the pauses, and how it ended."""
    left, alone, pauses = list(kinds), [], []

    def attempt(given):
        alone.append(sorted(given))
        if left:
            raise failures.StageFailed("deliberate", left.pop(0))

    try:
        persevere(Number(), attempt, pauses.append)
    except GivenUp as given_up:
        return alone, pauses, given_up.failure
    return alone, pauses, None


def test_lost_nodes_never_count_as_the_stages_fault():
    alone, pauses, failure = attempts_of([Kind.lost] * 50)
    assert (len(alone), failure) == (51, None)
    assert max(pauses) == 60.0


def test_the_last_attempt_after_memory_ran_out_is_alone():
    assert attempts_of([Kind.gpu_memory])[0] == [[], ["GPU"]]
    assert attempts_of([Kind.memory])[0] == [[], ["node"]]


def test_what_is_killed_is_tried_five_times_the_last_time_alone_and_then_has_the_same_command_try_again():
    alone, pauses, failure = attempts_of([Kind.killed] * 9)
    assert (alone, pauses) == ([[], [], [], [], ["node"]], [0.0, 2.0, 12.0, 30.0])
    assert (failure.attempts, failure.lasts) == (5, False)


def test_kinds_are_counted_apart():
    assert attempts_of([Kind.killed] * 4 + [Kind.passing] * 2 + [Kind.lost] * 3)[2] is None


def test_alone_is_a_whole_gpu_or_the_largest_node_that_the_stage_fits_on():
    nodes = [{"CPU": 64.0}, {"CPU": 16.0, "GPU": 2.0}]
    assert need_alone(Need(1, 1, 0.25), {"GPU"}, nodes) == Need(1, 1, 1.0)
    assert need_alone(Need(1, 1, 0.0), {"GPU"}, nodes) == Need(1, 1, 0.0)
    assert need_alone(Need(1, 4, 1.0), {"node"}, nodes) == Need(1, 16, 1.0)
    assert need_alone(Need(1, 4, 0.0), {"node"}, nodes) == Need(1, 64, 0.0)
    assert need_alone(Need(4, 4, 0.0), {"node"}, nodes) == Need(4, 4, 0.0)


def test_a_stage_that_is_tried_alone_keeps_others_out_of_the_room_that_it_needs_now():
    ledger = Ledger(ClusterShape(({"CPU": 4.0, "GPU": 1.0},)))
    half = Need(1, 1, 0.5)
    assert ledger.ask("sweep", "a", {"s": half}) == "s"
    ledger.renew("sweep", "a", "s", Need(1, 1, 1.0))
    assert ledger.ask("sweep", "b", {"t": half}) is None
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "b", {"t": half}) == "t"


def test_failures_of_older_stores_are_read_as_errors_that_last(tmp_path):
    store = ArtifactStore(tmp_path)
    store.mark_failed("Old/1", "a zebra")
    assert failure_of(store, "Old/1") == Failure(error="a zebra", kind=Kind.error, attempts=1)


def test_a_store_that_takes_no_failure_has_the_stage_tried_again(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)

    def refuse(*arguments, **facts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "mark_failed", refuse)
    GivenUp(Failure(error="full", kind=Kind.passing, attempts=3)).remember(store, "Any/1")
    assert failure_of(store, "Any/1") is None


def test_the_same_command_tries_again_what_may_have_passed_and_leaves_the_rest_failed_until_it_is_told_to_retry(run, tmp_path):
    run("passing", 99)
    store, setting = ArtifactStore(tmp_path / "store"), toy_setting(tmp_path / "store")
    stage = Failing(notes=str(tmp_path / "notes"), planted="passing", times=99)
    other = Failing(notes=str(tmp_path / "notes"), planted="error", times=99)
    GivenUp(Failure(error="a bug")).remember(store, setting.fingerprint(other))
    study = toy_study(passing=lambda seed: stage, lasting=lambda seed: other)

    def states(redo=Redo.cached):
        planned = make_plan(study, SCALE, (0,), setting, store, redo)
        return planned, [each.state for each in planned.stages]

    assert states()[1] == [State.missing, State.failed]
    assert states(Redo.retry)[1] == [State.missing, State.missing]
    assert [failure.kind for _, failure in failed_stages(states()[0], store)] == [Kind.passing, Kind.error]
    prepare_store(states()[0], Redo.cached, store)
    assert [failure.kind for _, failure in failed_stages(states()[0], store)] == [Kind.error]
