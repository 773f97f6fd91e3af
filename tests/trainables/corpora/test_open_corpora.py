"""open_corpora: a corpora.toml becomes checked corpora with a digest, or all its faults at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError

Rows = list[dict[str, str]]


def refused(tmp_path: Path, text: str, roles: list[str]) -> str:
    (tmp_path / "corpora.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", roles)
    return str(caught.value)


def test_faults_of_all_roles_are_told_together(tmp_path: Path) -> None:
    message = refused(tmp_path, '[mdd]\nroot = "nowhere"\n[mosei]\nrot = "x"\n', ["mdd", "mosei"])
    assert "3 faults" in message
    assert f"mdd: root {tmp_path / 'nowhere'} is no folder" in message
    assert "mosei: unknown key 'rot'; did you mean 'root'? known are root, name," in message
    assert "mosei: root is missing" in message


def test_an_unknown_role_names_the_closest_and_a_missing_role_says_what_to_add(tmp_path: Path) -> None:
    message = refused(tmp_path, 'mosie = "demo"\n', ["mosei"])
    assert "unknown role 'mosie'; did you mean 'mosei'? known are mdd, daic_woz, sre, mosei" in message
    assert "mosei: this study needs the role" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mosei = 3", "mosei: expected a table with a root"),
        ('[mosei]\nroot = "."\nreader = "generik"', "unknown reader 'generik'; did you mean 'generic'?"),
        ('[mosei]\nroot = "."\ncolumns = 3', "columns must be a table"),
        (
            '[mosei]\nroot = "."\n[mosei.columns]\nemotoin = "x"',
            "'emotoin' is no column of the manifest; did you mean 'emotion'?",
        ),
        ('[mosei]\nroot = "."\nmanifest = "m.csv"', "manifest 'm.csv' is not in"),
        ('[mosei]\nroot = "."', "no manifest in"),
        ("[mosei\n", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_one_clear_fault(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text, ["mosei"])


def test_a_corpora_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give 'demo' or the path of a corpora\.toml"):
        open_corpora(str(tmp_path / "none.toml"), tmp_path, ["mdd"])


def test_a_source_travels_as_json(open_corpus: Callable, interviews: Rows, tmp_path: Path) -> None:
    source = open_corpus("mdd", interviews, 'name = "Clinic"\ntalker = { robot = "interviewer" }')
    again = CorpusSource.model_validate_json(source.model_dump_json())
    assert again == source
    assert (again.name, again.is_twin, len(again.digest)) == ("Clinic", False, 16)
    assert again.manifest().equals(source.manifest())
    assert again.audio_path("a.wav") == tmp_path / "corpus" / "a.wav"


def test_the_digest_follows_one_byte_of_audio_and_one_label_but_not_the_folder(
    open_corpus: Callable, sentences: Rows, tmp_path: Path
) -> None:
    first = open_corpus("mosei", sentences).digest
    shutil.move(tmp_path / "corpus", tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "corpus")
    assert open_corpus("mosei", None).digest == first
    changed = bytearray((tmp_path / "corpus" / "a.wav").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "corpus" / "a.wav").write_bytes(changed)
    second = open_corpus("mosei", None).digest
    sentences[0]["sentiment"] = "2.5"
    assert len({first, second, open_corpus("mosei", sentences).digest}) == 3


def test_an_unchanged_file_is_not_read_again(open_corpus: Callable, sentences: Rows, tmp_path: Path) -> None:
    first = open_corpus("mosei", sentences).digest
    recording = tmp_path / "corpus" / "a.wav"
    stat = recording.stat()
    recording.write_bytes(bytes(stat.st_size))  # no longer audio, and nothing but its content tells
    os.utime(recording, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert open_corpus("mosei", sentences).digest == first


def test_a_cured_audio_fault_is_gone_though_size_and_time_are_the_same(
    open_corpus: Callable, sentences: Rows, tmp_path: Path
) -> None:
    recording = tmp_path / "corpus" / "a.wav"
    digest = open_corpus("mosei", sentences).digest
    sound = recording.read_bytes()
    recording.write_bytes(bytes(len(sound)))
    stat = recording.stat()
    with pytest.raises(UserError, match=r"a\.wav: cannot be read as audio"):
        open_corpus("mosei", sentences)
    recording.write_bytes(sound)
    os.utime(recording, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert open_corpus("mosei", sentences).digest == digest


def test_a_home_that_cannot_be_written_is_a_fault_among_the_others(tmp_path: Path, open_corpus: Callable, sentences: Rows) -> None:
    open_corpus("mosei", sentences)
    (tmp_path / "file").touch()
    spec = tmp_path / "corpora.toml"
    with pytest.raises(UserError, match=r"cannot be written \(Not a directory\); give a folder") as caught:
        open_corpora(str(spec), tmp_path / "file" / "results", ["mosei", "mdd"])
    assert [message.split(":")[0] for message in caught.value.messages] == ["mosei", "mdd"]
    with pytest.raises(UserError, match=r"cannot be written \(Not a directory\); give a folder"):
        open_corpora("demo", tmp_path / "file" / "results", ["mdd"])["mdd"].prepare()


def test_demo_twins_and_real_corpora_mix(open_corpus: Callable, sentences: Rows, tmp_path: Path) -> None:
    open_corpus("mosei", sentences)
    spec = tmp_path / "corpora.toml"
    spec.write_text('mdd = "demo"\n' + spec.read_text())
    sources = open_corpora(str(spec), tmp_path / "home", ["mdd", "mosei"])
    assert [(name, source.is_twin) for name, source in sources.items()] == [("mdd", True), ("mosei", False)]


def test_a_manifest_that_was_spoilt_after_opening_is_a_fault_not_a_traceback(
    open_corpus: Callable, sentences: Rows, tmp_path: Path
) -> None:
    source = open_corpus("mosei", sentences)
    (tmp_path / "corpus" / "manifest.csv").unlink()
    with pytest.raises(UserError, match="no manifest in"):
        source.manifest()


def test_opening_the_demo_imports_neither_numpy_nor_pandas_and_makes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from trainables.corpora.registry import open_corpora;"
        "sources = open_corpora('demo', pathlib.Path(sys.argv[1]), ['mdd', 'mosei', 'iemocap']);"
        "print(sorted({'numpy', 'pandas', 'soundfile', 'scipy', 'torch'} & set(sys.modules)), len(sources))"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[] 3"
    assert list(tmp_path.iterdir()) == []
