"""The root in corpora.toml: which reader is chosen for it, and what is told of a root that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainables.corpora.fuzz.healthy import write_generic, write_librispeech
from tests.trainables.corpora.readers.open_trees import opened, refused, write_text
from trainables.corpora.registry import detect_reader, open_corpora
from trainables.errors import UserError


def test_another_corpus_beside_this_one_is_not_read_in_its_place(tmp_path: Path) -> None:
    write_librispeech(tmp_path)
    write_generic(tmp_path / "mine")
    assert detect_reader(tmp_path / "mine", "msp_podcast") == "generic"
    assert detect_reader(tmp_path, "msp_podcast") == "librispeech"


def test_a_reader_that_is_asked_for_but_does_not_fit_is_answered_with_the_one_that_does(tmp_path: Path) -> None:
    write_librispeech(tmp_path / "LibriSpeech")
    (tmp_path / "corpora.toml").write_text('[iemocap]\nreader = "iemocap"\nroot = "LibriSpeech"\n')
    with pytest.raises(
        UserError, match=r'does not look like iemocap: expected Session1.*it looks like librispeech: reader = "libr'
    ):
        open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", ["iemocap"])


def no_utf_8(folder: Path) -> None:
    (folder / os.fsdecode(b"\xb0\xb1")).mkdir()
    (folder / "link").symlink_to(os.fsdecode(b"\xb0\xb1"))


@pytest.mark.parametrize(
    ("root", "make", "message"),
    [
        ("nowhere", lambda folder: None, "is no folder"),
        ("file", lambda folder: (folder / "file").touch(), "is no folder"),
        ("file/below", lambda folder: (folder / "file").touch(), "is no folder"),
        ("link", no_utf_8, "its name is not UTF-8"),
        ("loop", lambda folder: (folder / "loop").symlink_to("loop"), "cannot be read"),
        ("null\\u0000byte", lambda folder: None, "cannot be read"),
        ("x" * 300, lambda folder: None, "cannot be read"),
        ("~nobody-of-this-name/x", lambda folder: None, "cannot be read"),
    ],
)
def test_a_root_that_is_none_is_a_fault_in_words(tmp_path: Path, root: str, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path)
    (tmp_path / "corpora.toml").write_text(f'[mosei]\nroot = "{root}"\n')
    with pytest.raises(UserError, match=message) as caught:
        open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", ["mosei"])
    str(caught.value).encode()


def test_a_table_of_the_users_own_goes_before_the_roles_corpus_in_the_folder_above(tmp_path: Path) -> None:
    write_librispeech(tmp_path)
    write_generic(tmp_path / "mine")
    (tmp_path / "sub").mkdir()
    assert detect_reader(tmp_path / "mine", "librispeech") == "generic"
    assert detect_reader(tmp_path / "sub", "librispeech") == "librispeech"


def test_a_table_beside_an_official_layout_is_noted_as_not_read_unless_the_reader_was_asked_for(tmp_path: Path) -> None:
    write_librispeech(tmp_path / "c")
    write_text(tmp_path / "c" / "metadata.csv", "file_name,speaker\n")
    _, report = opened(tmp_path, "librispeech", tmp_path / "c")
    (reason,) = report.noted
    assert "looks like librispeech" in reason
    assert 'reader = "generic"' in reason
    assert report.noted[reason] == ["metadata.csv"]
    assert opened(tmp_path, "librispeech", tmp_path / "c", 'reader = "librispeech"')[1].noted == {}


def test_a_folder_that_no_reader_knows_is_told_what_the_roles_own_corpus_looks_like(tmp_path: Path) -> None:
    (tmp_path / "c" / "Sess1" / "sentences").mkdir(parents=True)
    message = refused(tmp_path, "iemocap", tmp_path / "c")
    assert "no manifest in" in message
    assert "does not look like iemocap either: expected Session1" in message
    write_text(tmp_path / "c" / "metadata.csv", "file_name\nx.wav\n")  # a table was meant, and says itself what it lacks
    assert "iemocap either" not in refused(tmp_path, "iemocap", tmp_path / "c")


@pytest.mark.parametrize(
    ("reader", "expected"),
    [("kaldi", "wav.scp"), ("emobox", "EmoBox metadata"), ("audformat", "db.yaml"), ("lhotse", "supervisions, or cuts")],
)
def test_a_format_that_is_not_there_is_told_with_what_was_looked_for(tmp_path: Path, reader: str, expected: str) -> None:
    (tmp_path / "c").mkdir()
    message = refused(tmp_path, "iemocap", tmp_path / "c", f'reader = "{reader}"')
    assert f"does not look like {reader}: expected " in message
    assert expected in message.split("expected ")[1]
