"""CorpusSource.verify: what a stage is about to read is what the digest stands for, or the stage stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.twins.reader import twin_source
from trainables.corpora.twins.recipe import MoseiRecipe
from trainables.errors import UserError

Rows = list[dict[str, str]]


def change_a_byte_unseen(path: Path) -> None:
    """Change the last byte, and neither the size nor the modification time."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_an_untouched_corpus_is_verified_on_a_machine_that_has_no_memory_of_it(
    open_corpus: Callable[..., CorpusSource], sentences: Rows, tmp_path: Path
) -> None:
    source = open_corpus("mosei", sentences)
    shutil.rmtree(tmp_path / "home")
    CorpusSource.model_validate_json(source.model_dump_json()).verify()
    assert not (tmp_path / "home").exists()


def test_one_byte_of_audio_or_one_label_changed_after_opening_is_told_with_both_digests(
    open_corpus: Callable[..., CorpusSource], sentences: Rows, tmp_path: Path
) -> None:
    source = open_corpus("mosei", sentences)
    change_a_byte_unseen(tmp_path / "corpus" / "a.wav")
    with pytest.raises(UserError, match=rf"digest [0-9a-f]{{16}} found, {source.digest} expected; run the command again"):
        source.verify()
    change_a_byte_unseen(tmp_path / "corpus" / "a.wav")
    source.verify()
    manifest = tmp_path / "corpus" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("1.5", "2.5"))
    with pytest.raises(UserError, match=rf"{source.digest} expected"):
        source.verify()


def test_a_recording_that_vanished_after_opening_is_named(
    open_corpus: Callable[..., CorpusSource], sentences: Rows, tmp_path: Path
) -> None:
    source = open_corpus("mosei", sentences)
    (tmp_path / "corpus" / "b.wav").unlink()
    with pytest.raises(UserError, match=r"1 audio file is missing: 'b\.wav'"):
        source.verify()


@pytest.fixture(scope="module")
def made_twin(tmp_path_factory: pytest.TempPathFactory) -> CorpusSource:
    source = twin_source("mosei", tmp_path_factory.mktemp("home"), MoseiRecipe(speakers=3, utterances=(2, 3)))
    source.verify()  # makes it
    return source


def test_a_twin_changed_after_it_was_made_names_the_folder_to_delete_which_cures_it(made_twin: CorpusSource) -> None:
    change_a_byte_unseen(min(Path(made_twin.root, "audio").iterdir()))
    with pytest.raises(UserError, match=rf"found, .* expected; delete the folder {made_twin.root} and run"):
        made_twin.verify()
    shutil.rmtree(made_twin.root)
    made_twin.verify()


@pytest.mark.parametrize("spoil", ["corpus.json", "manifest.csv"])
def test_a_twin_whose_files_cannot_be_read_is_a_fault_not_a_traceback(made_twin: CorpusSource, spoil: str) -> None:
    path = Path(made_twin.root, spoil)
    content = path.read_bytes()
    path.write_bytes(b"\xff{")
    with pytest.raises(UserError, match=f"delete the folder {made_twin.root}"):
        made_twin.verify()
    path.write_bytes(content)
    made_twin.verify()
