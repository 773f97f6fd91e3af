"""A stage hands out parts of its work: each is done once, wherever there is room, and the result does not show where."""

import threading

import fsspec
import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from tests.orchestrator.toy_parts import Letters, begun
from tests.toys import toy_setting
from trainables.stage import StopRequested

WHOLE = "abbcccaaaabbbbbcccccc"


@pytest.fixture(params=["local", "memory"])
def setting(request, tmp_path):
    """The same contract on a local folder and on an object store."""
    if request.param == "local":
        yield toy_setting(tmp_path / "store")
    else:
        yield toy_setting(f"memory://{tmp_path.name}/store")
        fsspec.filesystem("memory").store.clear()


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def finish(setting, stage, **options):
    LocalExecutor(setting, lambda *call: None, **options).finish_chain(stage)
    store = ArtifactStore(setting.store)
    return (store.path(setting.fingerprint(stage)) / "letters.txt").read_text()


def kept(setting, stage):
    return ArtifactStore(setting.store).finished_parts(setting.fingerprint(stage))


def stop_in_the_middle(setting, stage, monkeypatch):
    """Stopped while the third part is running."""
    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)
    stopping = threading.Event()
    with pytest.raises(StopRequested):
        finish(setting, stage, stopping=stopping, show=lambda name, fraction: fraction > 2 / 6 and stopping.set())


def test_what_the_parts_have_made_comes_back_in_order(setting, notes):
    assert finish(setting, Letters(notes=str(notes))) == WHOLE


def test_a_stage_without_work_gets_nothing(setting, notes):
    assert finish(setting, Letters(notes=str(notes), parts=0)) == ""


def test_a_stopped_stage_goes_on_with_the_parts_that_are_missing(setting, notes, monkeypatch):
    stage = Letters(notes=str(notes))
    stop_in_the_middle(setting, stage, monkeypatch)
    assert (begun(notes), len(kept(setting, stage))) == ([0, 1, 2], 3)  # the third was finished
    assert finish(setting, stage) == WHOLE
    assert begun(notes) == [0, 1, 2, 3, 4, 5]


def test_a_published_result_leaves_no_parts_behind(setting, notes, monkeypatch):
    stage = Letters(notes=str(notes))
    stop_in_the_middle(setting, stage, monkeypatch)
    finish(setting, stage)
    store = ArtifactStore(setting.store)
    assert kept(setting, stage) == set()
    assert not store._exists(f"checkpoints/{setting.fingerprint(stage)}")
    late = notes / "late"
    late.mkdir()
    store.keep_part(setting.fingerprint(stage), "late", late)
    assert kept(setting, stage) == set(), "a straggler's part is of no use"


def test_a_part_that_is_kept_while_the_result_is_published_is_not_left_behind(setting, notes, monkeypatch):
    """The result appears after the straggler has looked whether it is there, and before its part is."""
    stage, store, put, late = Letters(notes=str(notes)), ArtifactStore(setting.store), ArtifactStore._put, notes.parent / "late"
    late.mkdir()

    def publish_first(self, place, folder):
        monkeypatch.setattr(ArtifactStore, "_put", put)
        finish(setting, stage)
        put(self, place, folder)

    monkeypatch.setattr(ArtifactStore, "_put", publish_first)
    store.keep_part(setting.fingerprint(stage), "late", late)
    assert store.is_done(setting.fingerprint(stage))
    assert not store._exists(f"checkpoints/{setting.fingerprint(stage)}")


def test_parts_of_other_code_are_done_again(setting, notes, monkeypatch):
    stage = Letters(notes=str(notes))
    stop_in_the_middle(setting, stage, monkeypatch)
    monkeypatch.setattr("orchestrator.execution.parts.stage_code", lambda stage: "another")
    finish(setting, stage)
    assert begun(notes) == [0, 0, 1, 1, 2, 2, 3, 4, 5]


def test_a_part_that_is_to_do_something_else_is_done_again(setting, notes, monkeypatch):
    stage = Letters(notes=str(notes))
    stop_in_the_middle(setting, stage, monkeypatch)
    monkeypatch.setattr(Letters, "work", lambda stage: [[0, "abc"], [1, "xyz"]])
    assert finish(setting, stage) == "ayy"
    assert begun(notes) == [0, 1, 1, 2]


def test_the_faults_of_all_parts_are_told_together_and_sound_parts_are_kept(setting, notes):
    stage = Letters(notes=str(notes), faulty=(1, 4))
    with pytest.raises(StageFailed, match=r"2 faults in letters:\n.*toy-mdd: part 1 is faulty\n.*toy-mdd: part 4 is faulty"):
        finish(setting, stage)
    assert begun(notes) == [0, 1, 2, 3, 4, 5]
    assert {name.split("-")[0] for name in kept(setting, stage)} == {"00000", "00002", "00003", "00005"}


def test_one_part_alone_is_not_sent_through_the_store(setting, notes, monkeypatch):
    monkeypatch.setattr(ArtifactStore, "keep_part", None)
    monkeypatch.setattr(ArtifactStore, "finished_parts", lambda store, name: set())
    assert finish(setting, Letters(notes=str(notes), parts=1)) == "a"


def test_what_a_part_raises_is_told_as_the_stages_failure(setting, notes, monkeypatch):
    def broken(stage, work, context):
        raise ZeroDivisionError("deliberate")

    monkeypatch.setattr(Letters, "run_part", broken)
    with pytest.raises(StageFailed, match="ZeroDivisionError: deliberate"):
        finish(setting, Letters(notes=str(notes)))
