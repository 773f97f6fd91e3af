"""A store on a server that speaks S3: whole results from whoever writes at once, words for what goes wrong, no passwords."""

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options, place_faults
from orchestrator.conductor import COMPLETE, conduct
from orchestrator.files import StoreRefused
from tests.orchestrator.s3_server import s3_server
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from trainables.errors import UserError

NAME = "Toy/value=1-abc"


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        server.make_bucket("lab")
        yield server


@pytest.fixture
def store(s3, tmp_path):
    yield ArtifactStore(f"s3://lab/{tmp_path.name}", cache=tmp_path / "cache")
    s3.refuses = lambda method, path, query: False


def write(store, text="42", name=NAME, files=3):
    with store.scratch(name) as folder:
        for number in range(files):
            (folder / f"{number}.txt").write_text(text)
        store.publish(name, folder)


def test_of_many_publishers_at_once_no_reader_gets_a_mixture(store):
    found = []
    threads = [threading.Thread(target=write, args=(store, f"{number}")) for number in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if store.is_done(NAME):
            folder = ArtifactStore(store.uri, cache=store._cache._folder).path(NAME)
            found.append({(folder / f"{number}.txt").read_text() for number in range(3)})
    assert {(store.path(NAME) / f"{number}.txt").read_text() for number in range(3)} in [{f"{number}"} for number in range(6)]
    assert all(len(texts) == 1 for texts in found)


@pytest.mark.parametrize("refused", ["1.txt", "_SUCCESS"])
def test_a_store_that_fills_up_while_a_result_is_published_shows_nothing_of_it_and_takes_it_once_there_is_room(s3, store, refused):
    write(store, "before", name="Toy/before")
    s3.refuses = lambda method, path, query: method in ("PUT", "POST") and path.endswith(refused)
    with pytest.raises(StoreRefused, match=r"is full .*Nothing that is in it was lost. Make room .*orchestrator\.gc") as caught:
        write(store, "new")
    assert caught.value.full
    assert (store.is_done(NAME), store.is_done("Toy/before")) == (False, True)
    assert (store.path("Toy/before") / "1.txt").read_text() == "before"
    s3.refuses = lambda method, path, query: False
    write(store, "new")
    assert {file.read_text() for file in store.path(NAME).iterdir()} == {"new"}


@pytest.mark.parametrize("megabytes", [0, 12])
def test_a_checkpoint_that_is_refused_leaves_the_one_before_though_it_is_sent_in_several_parts(s3, store, megabytes):
    store.save_checkpoint(NAME, b"the one before")
    s3.refuses = lambda method, path, query: method == "PUT" and (not megabytes or "partNumber=2" in query)
    with pytest.raises(StoreRefused):
        store.save_checkpoint(NAME, b"x" * (megabytes * 2**20 + 1))
    assert store.load_checkpoint(NAME) == b"the one before"


def test_a_part_that_is_refused_does_not_count_as_finished(s3, store, tmp_path):
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "made").write_text("x")
    s3.refuses = lambda method, path, query: method in ("PUT", "POST")
    with pytest.raises(StoreRefused):
        store.keep_part(NAME, "00000", folder)
    assert store.finished_parts(NAME) == set()
    s3.refuses = lambda method, path, query: False
    store.keep_part(NAME, "00000", folder)
    with store.part(NAME, "00000") as found:
        assert [file.name for file in found.iterdir()] == ["made"]


def test_a_server_may_be_named_in_the_address_and_rays_folder_is_beside_the_results(s3, tmp_path, monkeypatch):
    from pyarrow import fs

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    store = ArtifactStore(f"s3://lab/{tmp_path.name}/?endpoint_override={s3.endpoint.removeprefix('http://')}&scheme=http")
    write(store)
    assert store.is_done(NAME)
    with store.ray_folder("run") as place:
        filesystem, folder = fs.FileSystem.from_uri(place)  # as Ray opens it
        assert folder == f"lab/{tmp_path.name}/ray"
        with filesystem.open_output_stream(f"{folder}/run/state.json") as stream:
            stream.write(b"{}")
        assert store._exists("ray/run/state.json")
    assert not store._exists("ray/run/state.json")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAX:hunter2@lab/store",
        "s3://AKIAX:hun/ter2@lab/store",
        "s3://AKIAX:hunter2?@lab/store",
        "s3://hunter2@lab/store",
        "s3://lab/store?secret_key=hunter2",
        "memory://user:hunter2@lab/store",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(uri, tmp_path):
    with pytest.raises(UserError, match="there are credentials in the address") as caught:
        ArtifactStore(uri)
    faults = place_faults(Options("reclr_lambda", results=tmp_path, store=uri))
    assert [fault for fault in faults if "credentials" in fault]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.gc", "--dry-run", "--store", uri], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    told = f"{caught.value} {faults} {done.stdout} {done.stderr}"
    assert not [word for word in ("hunter2", "ter2", "AKIAX") if word in told]


@pytest.mark.parametrize("uri", ["s3://lab/a@b/store", "s3://lab/store?region=eu-central-1", "gs://anonymous@lab/store"])
def test_an_address_without_a_password_is_not_refused(uri):
    assert ArtifactStore(uri).uri == uri


def test_a_bucket_that_is_not_there_and_a_server_that_is_away_are_told_before_anything_runs(s3, tmp_path, monkeypatch):
    options = Options("reclr_lambda", results=tmp_path, store="s3://nowhere/store")
    assert any("there is no bucket 'nowhere'" in fault for fault in place_faults(options))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert any("store s3://nowhere/store cannot be read" in fault for fault in place_faults(options))


@pytest.fixture
def sweep(tmp_path, monkeypatch, empty_store):
    """Runs the short table at smoke scale, on a store; returns the files of its table."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own = tempfile.mkdtemp()  # for this node's cache, and for Ray, whose sockets want a short path
    monkeypatch.setattr("tempfile.tempdir", own)
    monkeypatch.setenv("TMPDIR", own)
    shorten(monkeypatch)
    corpora = str(write_tiny_corpora(tmp_path / "corpora"))

    def run(results, store=None, local=True):
        if not results.exists():
            results.mkdir()
            shutil.copy(empty_store, results / "mlflow.db")
        options = Options("reclr_lambda", corpora=corpora, scale="smoke", seeds=1, results=results, local=local, store=store)
        assert conduct(options, Console(record=True, width=120)) == COMPLETE
        return {file.name: file.read_bytes() for file in (results / "tables/reclr_lambda").glob("*.[ct][se][vx]")}

    yield run
    shutil.rmtree(own, ignore_errors=True)


def test_a_sweep_whose_store_refuses_writes_ends_in_words_and_goes_on_to_the_same_table_as_on_a_local_store(s3, tmp_path, sweep):
    expected, remote = sweep(tmp_path / "local"), f"s3://lab/{tmp_path.name}/store"
    s3.refuses = lambda method, path, query: method in ("PUT", "POST")
    with pytest.raises(UserError, match="is full"):
        sweep(tmp_path / "remote", remote)
    s3.refuses = lambda method, path, query: False
    assert sweep(tmp_path / "remote", remote) == expected
    assert sorted(Path(name).suffix for name in expected) == [".csv", ".tex"]
    assert not (tmp_path / "remote/store").exists()


@pytest.mark.slow  # pytest -m slow tests/orchestrator/test_remote_store.py
@pytest.mark.ray
def test_a_sweep_on_ray_whose_store_is_remote_makes_the_same_table_and_leaves_nothing_of_rays(s3, tmp_path, sweep):
    expected, remote = sweep(tmp_path / "local"), f"s3://lab/{tmp_path.name}/store"
    assert sweep(tmp_path / "remote", remote, local=False) == expected
    assert ArtifactStore(remote)._files_below("ray") == []
