"""A node's cache of remote results: bounded, the least recently used goes first, what is being read never goes."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.node_cache import NodeCache
from trainables.errors import UserError

SIZE = 100


def filled(text="x"):
    return lambda folder: (folder / "array").write_text(text)


def hold(cache, name):
    return cache.hold(name, SIZE, filled(name))


def names(folder):
    return {path.name for path in folder.iterdir() if path.is_dir()}


def asked_for(folder, *oldest_first):
    """Make the results of these names last asked for in this order, an hour apart."""
    for age, name in enumerate(reversed(oldest_first)):
        os.utime(folder / f"{name}.lock", (time.time() - 3600 * age,) * 2)


def test_a_result_is_copied_once_and_then_found(tmp_path):
    copies = []
    for _ in range(3):
        held = NodeCache(tmp_path, 10 * SIZE).hold("a", SIZE, lambda folder: (copies.append(folder), filled("1")(folder)))
        assert (held.folder / "array").read_text() == "1"
    assert len(copies) == 1


def test_the_least_recently_used_goes_first_and_no_more_than_needed(tmp_path):
    cache = NodeCache(tmp_path, 3 * SIZE)
    for name in "abc":
        hold(cache, name)
    asked_for(tmp_path, "b", "c", "a")
    hold(cache, "d")
    assert names(tmp_path) == {"a", "c", "d"}


def test_to_be_asked_for_again_makes_a_result_recent(tmp_path):
    cache = NodeCache(tmp_path, 2 * SIZE)
    hold(cache, "a")
    hold(cache, "b")
    asked_for(tmp_path, "a", "b")
    hold(cache, "a")
    hold(cache, "c")
    assert names(tmp_path) == {"a", "c"}


def test_what_is_read_stays_though_it_is_the_oldest_and_goes_once_it_is_not_read_any_more(tmp_path):
    cache = NodeCache(tmp_path, 2 * SIZE)
    reading = hold(cache, "a")
    hold(cache, "b")
    asked_for(tmp_path, "a", "b")
    hold(cache, "c")
    assert names(tmp_path) == {"a", "c"}
    assert (reading.folder / "array").read_text() == "a"
    del reading
    asked_for(tmp_path, "a", "c")
    hold(cache, "d")
    assert names(tmp_path) == {"c", "d"}


def test_the_limit_is_exceeded_by_what_is_being_read_alone(tmp_path):
    cache = NodeCache(tmp_path, SIZE // 2)
    first, second = hold(cache, "a"), hold(cache, "b")
    assert names(tmp_path) == {"a", "b"}
    del first, second
    hold(cache, "c")
    assert names(tmp_path) == {"c"}


def test_what_another_process_reads_stays_until_that_process_is_dead(tmp_path):
    hold(NodeCache(tmp_path, SIZE), "a")
    script = (
        "import sys; from pathlib import Path; from orchestrator.node_cache import NodeCache\n"
        "held = NodeCache(Path(sys.argv[1]), 100).hold('a', 100, None)\n"
        "print('reading', flush=True); sys.stdin.read()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout.readline() == "reading\n"
        hold(NodeCache(tmp_path, SIZE), "b")
        assert names(tmp_path) == {"a", "b"}
    finally:
        reader.kill()
        reader.communicate()
    hold(NodeCache(tmp_path, SIZE), "c")
    assert names(tmp_path) == {"c"}


def test_a_copy_that_fails_leaves_nothing_and_is_made_again(tmp_path):
    cache = NodeCache(tmp_path, SIZE)

    def break_off(folder):
        filled("half")(folder)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        cache.hold("a", SIZE, break_off)
    assert names(tmp_path) == set()
    assert (hold(cache, "a").folder / "array").read_text() == "a"


def test_what_a_killed_process_had_begun_to_copy_counts_and_is_copied_anew_or_makes_room(tmp_path):
    cache = NodeCache(tmp_path, 2 * SIZE)
    for name in ("a", "b"):  # as a process leaves it that is killed while it copies
        (tmp_path / f"{name}.part").mkdir()
        (tmp_path / f"{name}.part" / "array").write_text("half")
        (tmp_path / f"{name}.lock").write_text(str(SIZE))
    asked_for(tmp_path, "b", "a")
    held = hold(cache, "a")
    assert (held.folder / "array").read_text() == "a"
    hold(cache, "c")
    assert names(tmp_path) == {"a", "c"}


def test_many_readers_at_once_get_whole_results_and_keep_the_cache_within_its_limit(tmp_path):
    limit, most = 4 * SIZE, [0]
    reading, counted = threading.Semaphore(3), threading.Lock()

    def copy(text, folder):
        for part in range(4):
            (folder / f"{part}").write_text(text)
            time.sleep(0.001)
        with counted:  # of all that are whole or being copied: three are read, so four fit
            most[0] = max(most[0], sum(path.is_dir() for path in tmp_path.iterdir()))

    def read(number):
        name = f"r{number % 7}"
        with reading:
            held = NodeCache(tmp_path, limit).hold(name, SIZE, lambda folder: copy(name, folder))
            found = [(held.folder / f"{part}").read_text() for part in range(4)]
            del held
        return found == [name] * 4

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(read, range(150)))
    assert most[0] <= limit / SIZE
    assert len(names(tmp_path)) <= limit / SIZE


def test_the_environment_says_how_large_it_may_be_and_nonsense_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE_GIB", str(1.5 * SIZE / 2**30))
    cache = NodeCache(tmp_path)
    hold(cache, "a")
    hold(cache, "b")
    assert names(tmp_path) == {"b"}
    monkeypatch.setenv("ORCHESTRATOR_CACHE_GIB", "plenty")
    with pytest.raises(UserError, match=r"ORCHESTRATOR_CACHE_GIB='plenty' is not a number of GiB"):
        hold(cache, "c")


def test_by_default_it_takes_at_most_half_of_what_the_disk_has_free_beside_it(tmp_path, monkeypatch):
    monkeypatch.delenv("ORCHESTRATOR_CACHE_GIB", raising=False)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2 * SIZE))
    cache = NodeCache(tmp_path)
    hold(cache, "a")
    asked_for(tmp_path, "a")
    hold(cache, "b")  # (200 free + 100 used) / 2 is room for one
    assert names(tmp_path) == {"b"}


def test_it_is_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = NodeCache(limit=SIZE).hold("a", SIZE, filled()).folder.parent
    assert folder.parent == tmp_path
    assert str(os.getuid()) in folder.name
    assert Path(folder).stat().st_mode & 0o077 == 0
