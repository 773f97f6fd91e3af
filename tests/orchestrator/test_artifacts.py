"""The store: a result is there whole or not at all, and is what its name says."""

import os
import threading
import time
from pathlib import Path

import fsspec
import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.files import MARKER
from tests.orchestrator.s3_server import s3_server
from trainables.errors import UserError
from trainables.pictures import FIGURES, LARGEST, MOST

NAME = "Toy/value=1-abc"


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        server.make_bucket("lab")
        yield server


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path):
    """The same contract on a local folder, on a server that speaks S3, and on an object store that only fsspec knows."""
    if request.param == "local":
        yield ArtifactStore(tmp_path / "store")
    elif request.param == "s3":
        request.getfixturevalue("s3")
        yield ArtifactStore(f"s3://lab/{tmp_path.name}/store", cache=tmp_path / "cache")
    else:
        yield ArtifactStore(f"memory://{tmp_path.name}/store", cache=tmp_path / "cache")
        fsspec.filesystem("memory").store.clear()


def write(store, text="42", name=NAME):
    with store.scratch(name) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "metrics.json").write_text(text)
        (folder / "identity.json").write_text('{"a": 1}')
        store.publish(name, folder)


def test_a_published_result_is_there_with_all_its_files(store):
    assert not store.is_done(NAME)
    write(store)
    assert store.is_done(NAME)
    assert (store.path(NAME) / "sub" / "metrics.json").read_text() == "42"
    assert store.read_json(NAME, "sub/metrics.json") == 42


def test_an_unpublished_result_is_invisible_and_leaves_nothing(store):
    with store.scratch(NAME) as folder:
        (folder / "half").write_text("x")
    assert not store.is_done(NAME)
    assert not folder.exists()


def test_a_result_without_its_marker_does_not_exist(store):
    write(store)
    store._delete(f"results/{NAME}/{MARKER}")
    assert not store.is_done(NAME)
    with pytest.raises(FileNotFoundError):
        store.path(NAME)


def test_of_a_results_figures_nothing_but_pictures_is_read_and_no_more_than_a_stage_may_have(store):
    with store.scratch(NAME) as folder:
        (folder / FIGURES / "deeper").mkdir(parents=True)
        for name in ("turn.wav", "words.txt", "a_b.png", "deeper/map.png"):
            (folder / FIGURES / name).write_bytes(b"not shown")
        (folder / FIGURES / "large.png").write_bytes(bytes(LARGEST + 1))
        (folder / "map.png").write_bytes(b"elsewhere")
        for number in range(MOST + 1):
            (folder / FIGURES / f"p{number:02d}.png").write_bytes(str(number).encode())
        store.publish(NAME, folder)
    assert store.pictures(NAME) == {f"p{number:02d}.png": str(number).encode() for number in range(MOST)}


def test_a_result_without_figures_has_no_pictures(store):
    write(store)
    assert store.pictures(NAME) == {}


def test_the_first_of_two_publishers_wins(store):
    write(store, "1")
    write(store, "2")
    assert store.read_json(NAME, "sub/metrics.json") == 1


def test_the_second_of_two_publishers_leaves_nothing_unfinished_either(store):
    write(store)
    store.save_checkpoint(NAME, b"of the second")
    write(store)
    assert store.load_checkpoint(NAME) is None


def test_publishing_forgets_checkpoint_and_failure(store):
    store.save_checkpoint(NAME, b"state")
    store.mark_failed(NAME, "why")
    assert (store.load_checkpoint(NAME), store.failure(NAME)) == (b"state", "why")
    write(store)
    assert (store.load_checkpoint(NAME), store.failure(NAME)) == (None, None)


def test_a_result_whose_identity_differs_is_refused_with_the_difference_and_the_way_out(store):
    write(store)
    store.check_identity(NAME, {"a": 1})
    with pytest.raises(UserError, match=r"a: expected 2, found 1[\s\S]*--redo force"):
        store.check_identity(NAME, {"a": 2})


def test_a_removed_result_can_be_computed_again(store):
    write(store, "1")
    store.remove(NAME)
    assert not store.is_done(NAME)
    write(store, "2", name=NAME)
    assert store.is_done(NAME)


def test_many_publishers_at_once_leave_one_whole_result(tmp_path):
    store = ArtifactStore(tmp_path)
    threads = [threading.Thread(target=write, args=(store, str(number))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read_json(NAME, "sub/metrics.json") in range(8)
    assert list((tmp_path / "partial").iterdir()) == []


def test_abandoned_partial_results_are_swept_up_and_fresh_ones_are_not(tmp_path):
    store = ArtifactStore(tmp_path)
    old, new, ray = tmp_path / "partial" / "old", tmp_path / "partial" / "new", tmp_path / "ray" / "killed"
    for folder in (old, new, ray):
        folder.mkdir(parents=True)
    for folder in (old, ray):
        os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)
    store.sweep_up()
    assert (old.exists(), new.exists(), ray.exists()) == (False, True, False)


def test_what_is_kept_of_a_stage_that_is_finished_is_swept_up_and_of_one_that_is_not_stays(store):
    write(store)
    for name in (NAME, "Toy/value=2-def"):
        store._write(f"checkpoints/{name}/checkpoint.pt", b"state")
        store._write(f"checkpoints/{name}/parts/00000/{MARKER}", b"")
    store.sweep_up()
    left = [f"checkpoints/Toy/value=2-def/{file}" for file in ("checkpoint.pt", f"parts/00000/{MARKER}")]
    assert sorted(store._files_below("checkpoints")) == left


def test_parts_are_swept_up_once_nobody_has_added_one_for_a_week_and_a_checkpoint_is_not(tmp_path):
    store = ArtifactStore(tmp_path / "store")
    for name, ages in {"Toy/old": (30, 8), "Toy/going-on": (30, 6)}.items():
        store.save_checkpoint(name, b"state")
        for number, days in enumerate(ages):
            keep_part(store, name, f"{number}", tmp_path / "part")
            for file in (tmp_path / "store" / "checkpoints" / name / "parts" / f"{number}").iterdir():
                os.utime(file, (time.time() - days * 24 * 3600,) * 2)
    store.sweep_up()
    assert {name: store.finished_parts(name) for name in ("Toy/old", "Toy/going-on")} == {
        "Toy/old": set(),
        "Toy/going-on": {"0", "1"},
    }
    assert not (tmp_path / "store" / "checkpoints" / "Toy" / "old" / "parts").exists()
    assert store.load_checkpoint("Toy/old") == b"state"


def keep_part(store, stage, name, folder):
    folder.mkdir()
    (folder / "made").write_text("x")
    store.keep_part(stage, name, folder)


def test_what_ray_keeps_of_a_run_is_removed_with_the_run(store):
    with store.ray_folder("run") as place:
        assert place == f"{store.uri}/ray"
        store._write("ray/run/state.json", b"{}")
        store._write("ray/another/state.json", b"{}")
    assert (store._exists("ray/run/state.json"), store._exists("ray/another/state.json")) == (False, True)


def test_a_stage_that_ticks_keeps_its_partial_result_from_being_swept_up(tmp_path, monkeypatch):
    from orchestrator.execution.local import LocalExecutor
    from tests.toys import Steps, toy_setting

    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)
    store = ArtifactStore(tmp_path)

    def age_and_sweep(name, fraction):
        for folder in (tmp_path / "partial").glob("*"):
            store.sweep_up()  # after the stage has ticked
            os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)

    LocalExecutor(toy_setting(tmp_path), lambda *call: None, age_and_sweep).finish_chain(Steps())


def test_a_result_half_removed_by_a_killed_process_can_be_published_again(tmp_path):
    store = ArtifactStore(tmp_path)
    write(store, "1")
    (store.path(NAME) / MARKER).unlink()
    write(store, "2")
    assert store.read_json(NAME, "sub/metrics.json") == 2


def test_a_node_reads_a_remote_result_again_after_it_was_computed_again(tmp_path):
    store = ArtifactStore(f"memory://{tmp_path.name}/again", cache=tmp_path / "cache")
    write(store, "1")
    assert (store.path(NAME) / "sub" / "metrics.json").read_text() == "1"
    store.remove(NAME)
    write(store, "2")
    assert (store.path(NAME) / "sub" / "metrics.json").read_text() == "2"


def test_a_damaged_result_is_told_with_what_to_do(tmp_path):
    store = ArtifactStore(tmp_path)
    write(store)
    (store.path(NAME) / "identity.json").write_text("")
    for name in ("identity.json", "nothing.json"):
        with pytest.raises(UserError, match=r"is damaged[\s\S]*--redo force"):
            store.read_json(NAME, name)


def test_a_document_is_listed_read_replaced_and_deleted(store):
    assert (store.list_documents("notes"), store.read_document("notes/a/one.json")) == ([], None)
    store.write_document("notes/two.json", "2")
    store.write_document("notes/a/one.json", "1")
    store.write_document("notes/a/one.json", "one")
    store.write_document("other/three.json", "3")
    assert store.list_documents("notes") == ["notes/a/one.json", "notes/two.json"]
    assert store.list_documents("notes/a") == ["notes/a/one.json"]
    assert store.read_document("notes/a/one.json") == b"one"
    store.delete_document("notes/a/one.json")
    store.delete_document("notes/a/one.json")
    assert store.list_documents("notes") == ["notes/two.json"]


def test_a_document_that_is_being_written_is_not_listed_and_none_is_read_half(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    store.write_document("notes/a.json", "old")

    def look_and_replace(source, target, replace=os.replace):
        seen.append((store.list_documents("notes"), store.read_document("notes/a.json")))
        replace(source, target)

    seen = []
    monkeypatch.setattr("os.replace", look_and_replace)
    store.write_document("notes/a.json", "new")
    assert (seen, store.read_document("notes/a.json")) == ([(["notes/a.json"], b"old")], b"new")


def test_results_and_documents_have_reached_the_disk_when_they_appear(tmp_path, monkeypatch):
    reached, appeared = set(), []

    def fsync(descriptor, real=os.fsync):
        real(descriptor)
        reached.add(os.fstat(descriptor).st_ino)

    def watched(move):
        def appear(source, target):
            assert {path.stat().st_ino for path in (Path(source), *Path(source).rglob("*"))} <= reached
            appeared.append(Path(target).name)
            move(source, target)

        return appear

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", watched(os.rename))
    monkeypatch.setattr(os, "replace", watched(os.replace))
    store = ArtifactStore(tmp_path)
    write(store)
    store.write_document("searches/x.json", "{}")
    assert appeared == [NAME.rpartition("/")[2], "x.json"]


def test_an_unknown_kind_of_store_is_refused():
    with pytest.raises(UserError, match="no file system for 'ftpx'"):
        ArtifactStore("ftpx://somewhere").is_done(NAME)
