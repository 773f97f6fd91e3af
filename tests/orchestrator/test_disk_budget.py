"""A store is kept within a size: told beforehand, by what is spent as a sweep runs, or nothing new starts. And a full disk."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options, place_faults
from orchestrator.conductor import COMPLETE, INTERRUPTED, conduct
from orchestrator.disk_budget import DiskBudget
from orchestrator.files import MARKER
from orchestrator.sizes import parse_size, sizes
from orchestrator.sweep_documents import read_plans, read_statuses
from tests.orchestrator.test_collecting import DAY, finish, record
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from trainables.errors import UserError

MEGABYTE = 10**6


@pytest.mark.parametrize(
    ("text", "number"),
    [("200GiB", 200 * 2**30), ("200G", 200 * 2**30), ("1.5 tib", 3 * 2**39), ("500MB", 500 * 10**6), ("12", 12), ("0GiB", 0)],
)
def test_sizes_are_read_as_people_write_them(text, number):
    assert parse_size("--budget", text) == number


@pytest.mark.parametrize("text", ["", "GiB", "-3GiB", "3 GiX", "1,5GiB", "inf"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"--budget .*is not a size; give one such as 200GiB"):
        parse_size("--budget", text)


def test_sizes_are_told_in_the_largest_unit_that_fits():
    assert [sizes(number) for number in (0, 1023, 1024, 3 * 2**29, 5000 * 2**40)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 GiB",
        "5000.0 TiB",
    ]


def aged(store, days=2):
    """As if all had been written some days ago."""
    for file in store.files():
        os.utime(f"{store.root}/{file.name}", (time.time() - days * DAY,) * 2)


def test_a_budget_that_cannot_be_kept_is_a_fault_with_numbers_and_what_gc_would_free(tmp_path):
    options = Options("reclr_lambda", results=tmp_path, disk_budget="2MB")
    store = ArtifactStore(options.store_root)
    finish(store, "T/1", size=3 * MEGABYTE)
    finish(store, "X/1", size=MEGABYTE)
    record(store, "k", ["T/1"])
    aged(store)
    (fault,) = place_faults(options)
    for part in (
        "--disk-budget 1.9 MiB",
        "holds 3.8 MiB",
        "could free 976.6 KiB of them (1 unrecorded: 976.6 KiB)",
        "leaves 2.9 MiB",
    ):
        assert part in fault
    assert place_faults(Options("reclr_lambda", results=tmp_path, disk_budget="3.1MB")) == []  # what may go makes room enough
    assert "is not a size" in place_faults(Options("reclr_lambda", results=tmp_path, disk_budget="much"))[0]


def test_while_a_sweep_runs_what_it_is_done_with_goes_and_only_as_much_as_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.disk_budget._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("orchestrator.disk_budget._LOOK_SHARE", 1e9)
    store, told = ArtifactStore(tmp_path), []
    finish(store, "T/1", "E/1", "E/2", "E/3", size=MEGABYTE)
    record(store, "k", ["T/1 < E/1", "T/1 < E/2", "T/2 < E/3"], "running")
    aged(store)
    record(store, "k", ["T/1 < E/1", "T/1 < E/2", "T/2 < E/3"], "running")
    budget = DiskBudget(store, int(3.5 * MEGABYTE), "k", told.append)
    assert budget.is_kept()
    assert [store.is_done(name) for name in ("T/1", "E/3")] == [True, True]
    assert store.is_done("E/1") + store.is_done("E/2") == 1
    assert "removed 1 spent: 976.6 KiB" in told[0]
    finish(store, "E/4", "E/5", size=MEGABYTE)
    record(store, "l", ["T/3 < E/4", "T/3 < E/5"])
    assert not budget.is_kept()
    assert [store.is_done(f"E/{number}") for number in (3, 4, 5)] == [True, True, True]  # all of them are needed
    assert "Nothing new starts" in told[-1]
    store.remove("E/4")
    store.remove("E/5")
    assert budget.is_kept()


def test_a_running_sweep_is_stopped_once_and_in_good_order_when_there_is_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.disk_budget._LOOK_SECONDS", 0.02)
    store, stopped = ArtifactStore(tmp_path), []
    record(store, "k", ["T/1 < E/1"], "running")
    budget = DiskBudget(store, MEGABYTE, "k", lambda line: None)
    with budget.watched(lambda: stopped.append(time.monotonic())):
        time.sleep(0.3)
        assert stopped == []
        finish(store, "E/1", size=2 * MEGABYTE)
        limit = time.monotonic() + 20
        while not stopped and time.monotonic() < limit:
            time.sleep(0.02)
        time.sleep(0.2)
    assert len(stopped) == 1


def test_without_a_budget_nothing_is_looked_at(tmp_path):
    budget = DiskBudget.of(None, ArtifactStore(tmp_path), "k", print)
    with budget.watched(lambda: None):
        assert budget.is_kept()
    assert not list(tmp_path.iterdir())


def test_a_sweep_without_room_starts_nothing_new_says_so_and_goes_on_when_there_is_some(tmp_path, monkeypatch, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("orchestrator.disk_budget._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("orchestrator.disk_budget._LOOK_SHARE", 1e9)
    shorten(monkeypatch)
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(empty_store, results / "mlflow.db")
    corpora = str(write_tiny_corpora(tmp_path / "corpora"))
    chosen = {"corpora": corpora, "scale": "smoke", "seeds": 1, "results": results, "local": True}
    console = Console(record=True, width=200)
    assert conduct(Options("reclr_lambda", disk_budget="20KiB", **chosen), console) == INTERRUPTED
    text = console.export_text()
    assert "Nothing new starts; the same command goes on from here when there is room" in text
    assert "Stopped." in text
    store = ArtifactStore(results / "store")
    assert [status.state for status in read_statuses(store).values()] == ["stopped"]
    (plan,) = read_plans(store).values()
    done = {name for name in plan.stages if store.is_done(name)}
    assert 0 < len(done) < len(plan.stages)
    assert conduct(Options("reclr_lambda", disk_budget="1GiB", **chosen), Console(record=True, width=120)) == COMPLETE


def gc(*arguments):
    command = [sys.executable, "-m", "orchestrator.gc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"})


def test_the_command_says_what_may_go_and_why_with_sizes_and_removes_it_unless_asked_not_to(tmp_path):
    store = ArtifactStore(tmp_path / "store")
    finish(store, "T/1", "E/1", "X/1", size=MEGABYTE)
    record(store, "k", ["T/1 < E/1"])
    store._write("checkpoints/T/1/checkpoint.pt", bytes(MEGABYTE))
    aged(store)
    done = gc("--results", str(tmp_path), "--dry-run")
    assert done.returncode == 0, done.stderr
    for part in (
        "left over",
        "its stage is finished",
        "no recorded sweep needs it",
        "whatever reads it is finished",
        "results/E/1",
        "would free 976.6 KiB",
    ):
        assert part in done.stdout
    assert store.load_checkpoint("T/1") is not None
    assert gc("--results", str(tmp_path)).returncode == 0  # what is worth nothing goes, what would be computed again does not
    assert store.load_checkpoint("T/1") is None
    assert all(store.is_done(name) for name in ("T/1", "E/1", "X/1"))
    assert gc("--store", store.uri, "--budget", "2.5MB").returncode == 0
    assert [store.is_done(name) for name in ("T/1", "E/1", "X/1")] == [True, True, False]
    done = gc("--store", store.uri, "--budget", "10kB")
    assert done.returncode == 2
    assert "more than --budget 10kB: the rest is scored" in done.stderr
    assert [store.is_done(name) for name in ("T/1", "E/1")] == [True, False]


FILL = """
import os, sys
from orchestrator.artifacts import ArtifactStore
from orchestrator.files import StoreRefused

root = sys.argv[1]
store = ArtifactStore(root)

def write(name, size):
    with store.scratch(name) as folder:
        (folder / "array").write_bytes(bytes(size))
        store.publish(name, folder)

def refused(do):
    try:
        do()
    except StoreRefused as error:
        assert error.full and "is full" in str(error) and "orchestrator.gc" in str(error), error
    else:
        raise SystemExit("nothing was refused")

write("T/1", 200_000)
store.save_checkpoint("T/2", b"before")
store.write_document("notes/a.json", "before")
filler = open(root + "/filler", "wb", buffering=0)
try:
    while filler.write(bytes(4096)) == 4096:
        pass
except OSError:
    pass
refused(lambda: store.save_checkpoint("T/2", bytes(500_000)))
refused(lambda: store.write_document("notes/a.json", "x" * 500_000))
assert store.load_checkpoint("T/2") == b"before" and store.read_document("notes/a.json") == b"before"
assert len(store._files_below("checkpoints") + store._files_below("notes")) == 2
assert store.path("T/1").joinpath("array").stat().st_size == 200_000
store.remove("T/1")  # a full disk can be freed
assert not store.is_done("T/1")
store.save_checkpoint("T/2", bytes(100_000))
write("T/3", 50_000)
print("all held")
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0 if shutil.which("unshare") else True,
    reason="this machine lets no process mount a file system of its own (unshare -rm), which the full disk is",
)
def test_a_disk_that_is_full_loses_nothing_takes_nothing_half_and_can_be_freed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "fill.py").write_text(FILL)
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path / "disk"), sys.executable, str(tmp_path / "fill.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.stdout == "all held\n", done.stdout + done.stderr


def test_a_full_disk_that_has_no_room_even_for_a_name_still_lets_go(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    finish(store, "T/1")

    def full(source, target):
        assert (store.path("T/1") / MARKER).exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", full)
    store.remove("T/1")
    assert not (tmp_path / "results/T/1").exists()
