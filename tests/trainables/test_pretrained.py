"""Contract of trainables/pretrained.py: public weights are found without a network, or the way to get them is told."""

import json
import re
import shutil
import socket
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.tiny_weights import write_tiny_bert
from tests.toys import toy_setting
from trainables import pretrained
from trainables.corpora.registry import open_corpora, pretrained_directories
from trainables.errors import UserError
from trainables.pretrained import EMBEDDED, Weights, find_all_weights, find_weights, load_encoder
from trainables.sentence_embeddings import SentenceEmbeddings

NAME, LEAF = "somebody/tiny-bert", "tiny-bert"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of Hugging Face's, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def reach(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let Hugging Face be a server of this machine."""
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


def put_into_cache(cache: Path, weights: Path, name: str = NAME) -> Path:
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    shutil.copytree(weights, snapshot)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    return snapshot


def test_weights_have_one_digest_wherever_they_are_found(tiny, cache, tmp_path):
    in_cache = put_into_cache(cache, tiny)
    shutil.copytree(tiny, tmp_path / "somewhere")
    found = find_weights(NAME, {})
    given = find_weights(NAME, {NAME: str(tmp_path / "somewhere")})
    itself = find_weights("somewhere", {})
    assert found.digest == given.digest == itself.digest
    assert (found.path, given.path, itself.path) == ("", str(tmp_path / "somewhere"), str(tmp_path / "somewhere"))
    assert found.directory() == in_cache
    assert given.directory() == itself.directory() == tmp_path / "somewhere"


def test_a_directory_that_is_given_goes_before_all_others(tiny, cache, tmp_path):
    put_into_cache(cache, tiny)
    shutil.copytree(tiny, tmp_path / NAME)
    other = write_tiny_bert(tmp_path / "other", seed=1)
    assert find_weights(NAME, {NAME: str(other)}).directory() == other
    assert find_weights(EMBEDDED, {EMBEDDED: str(other)}).directory() == other
    assert find_weights(NAME, {}).directory() == tmp_path / NAME  # then the name as a directory


def test_the_embedded_weights_need_neither_a_directory_nor_a_network():
    weights = find_weights(EMBEDDED, {})
    assert weights.path == ""
    assert load_encoder(weights.directory()).config.hidden_size == 384


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_digest_is_of_every_file_that_decides(tiny, tmp_path, file):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    before = find_weights("copy", {}).digest
    content = bytearray((copy / file).read_bytes())
    content[-3] ^= 1
    (copy / file).write_bytes(content)
    assert find_weights("copy", {}).digest != before


def test_the_digest_is_of_no_other_file(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    before = find_weights("copy", {}).digest
    (copy / "README.md").write_text("a card")
    (copy / "pytorch_model.bin").write_bytes(b"is not read where there are safetensors")
    (copy / "vocab.txt").write_text("is not read beside tokenizer.json")
    assert find_weights("copy", {}).digest == before


def test_a_vocabulary_decides_where_there_is_no_tokenizer_json(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.txt").write_text("one")
    before = find_weights("copy", {}).digest
    (copy / "vocab.txt").write_text("two")
    assert find_weights("copy", {}).digest != before


def test_shards_count_like_a_whole_file_and_a_missing_one_is_named(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    shards = {"model-00001-of-00002.safetensors": list(tensors)[::2], "model-00002-of-00002.safetensors": list(tensors)[1::2]}
    for shard, names in shards.items():
        save_file({name: tensors[name] for name in names}, copy / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: shard for shard, names in shards.items() for name in names}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    model = load_encoder(find_weights("copy", {}).directory())
    torch.testing.assert_close(dict(model.state_dict()), tensors)
    (copy / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks model-00002-of-00002\.safetensors"):
        find_weights("copy", {})


def test_missing_weights_are_told_with_how_to_fetch_them_and_where_to_put_them():
    with pytest.raises(UserError) as caught:
        find_weights(NAME, {})
    for part in (
        f"hf download {NAME} --local-dir weights/{LEAF}",
        "[pretrained]",
        f'"{NAME}" = "weights/{LEAF}"',
        "HF_HUB_OFFLINE",
    ):
        assert part in str(caught.value)


def test_all_missing_weights_are_told_together(tmp_path):
    (tmp_path / "empty").mkdir()
    names = [NAME, "somebody/else", "no name of theirs", "given/to-nowhere", "given/empty"]
    with pytest.raises(UserError) as caught:
        find_all_weights(names, {"given/to-nowhere": str(tmp_path / "gone"), "given/empty": str(tmp_path / "empty")})
    assert len(caught.value.messages) == 5
    for part in (*names, "gone is no folder", "empty has no config.json", "neither a directory nor a name"):
        assert part in str(caught.value)


def test_weights_that_would_be_unpickled_are_refused_and_the_way_out_that_is_told_works(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    expected = load_file(copy / "model.safetensors")
    torch.save(expected, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match="unpickled") as caught:
        find_weights("copy", {})
    exec(re.search(r'python -c "(.*)"`', str(caught.value))[1], {})
    torch.testing.assert_close(dict(load_encoder(find_weights("copy", {}).directory()).state_dict()), expected)


def test_a_server_that_never_answers_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(pretrained, "_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the call and says nothing
        reach(monkeypatch, server.getsockname()[1])
        begun = time.monotonic()
        with pytest.raises(UserError, match="does not answer"):
            find_weights(NAME, {})
    assert time.monotonic() - begun < 5


class Hub(BaseHTTPRequestHandler):
    """As much of Hugging Face's server as a download asks for.

    Args:
        weights: The files of :data:`NAME`, and a ``.bin`` besides.
    """

    def __init__(self, weights: Path, *arguments: object) -> None:
        self.weights = weights
        super().__init__(*arguments)

    def do_GET(self, body: bool = True) -> None:
        files = [path.name for path in self.weights.iterdir()]
        if self.path == f"/api/models/{NAME}":
            siblings = [{"rfilename": file} for file in [*files, "pytorch_model.bin", "onnx/model.onnx"]]
            content = json.dumps({"id": NAME, "sha": "1" * 40, "siblings": siblings}).encode()
        elif (file := self.path.removeprefix(f"/{NAME}/resolve/main/")) in files:
            content = (self.weights / file).read_bytes()
        else:
            return self.send_error(404)
        self.send_response(200)
        for header, value in (("ETag", f'"{abs(hash(self.path))}"'), ("X-Repo-Commit", "1" * 40), ("Content-Length", len(content))):
            self.send_header(header, str(value))
        self.end_headers()
        return self.wfile.write(content) if body else None

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def log_message(self, *_: object) -> None:
        pass


def test_what_is_on_no_disk_is_downloaded_without_what_is_not_read(tiny, cache, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, tiny)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reach(monkeypatch, server.server_port)
        found = find_weights(NAME, {})
        server.shutdown()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert found.digest == find_weights(str(tiny), {}).digest
    assert {path.name for path in found.directory().iterdir()} == {path.name for path in tiny.iterdir()}


def test_weights_that_are_published_as_bin_alone_are_not_downloaded(tiny, cache, tmp_path, monkeypatch):
    copy = shutil.copytree(tiny, tmp_path / "published")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, copy)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reach(monkeypatch, server.server_port)
        with pytest.raises(UserError, match=r"has no model\.safetensors of them.*save_pretrained"):
            find_weights(NAME, {})
        server.shutdown()
    assert not cache.exists()


def test_a_machine_without_the_weights_of_the_plan_or_with_others_says_so(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    weights = Weights.model_validate_json(find_weights("copy", {}).model_dump_json())  # as it travels to a worker
    assert weights.directory() == copy
    write_tiny_bert(copy, seed=1)
    with pytest.raises(UserError, match="not those that the sweep was planned with"):
        weights.directory()
    shutil.rmtree(copy)
    with pytest.raises(UserError, match="is no folder on this machine"):
        weights.directory()


def test_a_large_file_is_read_once_while_it_does_not_change(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny, tmp_path / "copy")
    weights = find_weights("copy", {})
    monkeypatch.setattr(pretrained.hashlib, "file_digest", None)  # whoever reads again fails
    assert weights.directory() == tmp_path / "copy"


def test_weights_decide_the_identity_by_their_digest_and_never_by_their_name_or_place():
    def name_of(model: str, path: str, digest: str) -> str:
        setting = toy_setting("store", weights={model: Weights(name=model, path=path, digest=digest)})
        return setting.fingerprint(SentenceEmbeddings(corpus="mdd", unit="session", model=model))

    assert name_of(NAME, "", "a" * 16) == name_of("weights/bert", "/weights/bert", "a" * 16)
    assert name_of(NAME, "", "a" * 16) != name_of(NAME, "", "b" * 16)


def test_a_model_that_transformers_would_complete_at_random_is_refused(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 of the weights .* missing, for example encoder\.layer\.1"):
        load_encoder(copy)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_named_and_no_traceback(tiny, tmp_path, file):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    (copy / file).write_bytes((copy / file).read_bytes()[:40])
    with pytest.raises(UserError, match="copy: cannot be loaded"):
        load_encoder(copy)


def test_corpora_toml_gives_weights_their_folders_relative_to_itself_and_no_role_is_called_pretrained(tmp_path):
    (tmp_path / "corpora").mkdir()
    spec = tmp_path / "corpora" / "corpora.toml"
    spec.write_text(f'mdd = "demo"\n[pretrained]\n"{NAME}" = "../weights/tiny"\n"{EMBEDDED}" = "/weights/mini"\n')
    assert pretrained_directories(str(spec)) == {NAME: str(tmp_path / "weights" / "tiny"), EMBEDDED: "/weights/mini"}
    assert pretrained_directories("demo") == {}
    assert list(open_corpora(str(spec), tmp_path / "home", ["mdd"])) == ["mdd"]


@pytest.mark.parametrize("table", ['pretrained = "weights"', "[pretrained]\nbert = 1", '[pretrained]\nbert.base = "weights"'])
def test_a_table_of_weights_that_gives_no_folders_is_a_fault(tmp_path, table):
    (tmp_path / "corpora.toml").write_text(table)
    with pytest.raises(UserError, match='"NAME" = "DIR"'):
        pretrained_directories(str(tmp_path / "corpora.toml"))
