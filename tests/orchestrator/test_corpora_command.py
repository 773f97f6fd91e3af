"""The corpora command: what there is, whether yours is sound and what of it will be left out, and what stands in for it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from rich.console import Console

from orchestrator.corpora_report import show_checkup, show_readers, show_roles, show_written
from tests.tiny_corpora import write_tiny_corpora
from trainables.corpora import checkup, generic
from trainables.corpora.corpus import READERS, reader_module
from trainables.corpora.reading import Fact
from trainables.corpora.registry import open_corpora
from trainables.corpora.roles import ROLES
from trainables.errors import UserError


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """The corpora.toml of three tiny corpora."""
    return write_tiny_corpora(tmp_path / "corpora")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator.corpora", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)


def text_of(show: object, *arguments: object) -> str:
    console = Console(record=True, width=200)
    show(console, *arguments)  # type: ignore[operator]
    return console.export_text()


def shown(found: checkup.Checkup, partial: bool = False) -> str:
    return text_of(show_checkup, found, partial)


def looked_at(corpora: Path, role: str = "iemocap", **options: object) -> checkup.Checkup:
    return checkup.check(checkup.asked(role, None, None, corpora), corpora.parent / "home", **options)


def test_list_shows_every_role_with_its_readers_root_and_twin_and_every_reader(corpora: Path) -> None:
    given = corpora.read_text().replace('[mdd]\nroot = "mdd"\n', "").replace('[casia]\nroot = "casia"\n', "")
    corpora.write_text(f'mdd = "demo"\n{given}')
    done = run("list", "--corpora", str(corpora))
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ") and line.split()}
    for role in ROLES:
        assert role in lines
    assert "demo" in lines["mdd"]
    assert " mosei " in lines["mosei"].split("formats", 1)[1]
    assert " - " in lines["casia"]
    for reader in READERS:
        assert reader == "twin" or f"{reader}: " in done.stdout


def test_list_says_of_every_corpus_what_a_user_must_know_before_having_it() -> None:
    text = " ".join(text_of(show_readers).split())
    for name in READERS:
        if name != "twin" and (about := reader_module(name).ABOUT) is not None:
            for part in about:
                assert " ".join(part.split())[:60] in text


def test_list_imports_nothing_heavy(corpora: Path) -> None:
    code = (
        "import sys; from rich.console import Console; from orchestrator import corpora, corpora_report as report;"
        "report.show_roles(Console(), {}); report.show_readers(Console());"
        "print(sorted({'numpy', 'pandas', 'soundfile', 'torch', 'ray', 'mlflow', 'h5py', 'pyarrow'} & set(sys.modules)))"
    )
    began = time.process_time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.process_time() - began < 1


def test_check_of_a_sound_corpus_ends_with_0_and_counts_what_will_be_used(corpora: Path, tmp_path: Path) -> None:
    done = run("check", "mdd", "--corpora", str(corpora), "--partial", "--results", str(tmp_path / "home"))
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(corpora.parent / "mdd" / "metadata.csv")
    subjects = table[table["talker"] == "subject"]
    hours = (table["end"] - table["start"]).sum() / 3600
    counts = {" ".join(line.split()[:-4]): line.split()[-4:] for line in done.stdout.splitlines() if len(line.split()) > 4}
    assert counts["all"] == ["36", f"{hours:.2f}", "13", "12"]
    assert counts["talker: interviewer"][0] == "12"
    for diagnosis in (0, 1):
        chosen = subjects[subjects["depressed"] == diagnosis]
        assert counts[f"depressed: {diagnosis}"][0] == str(len(chosen))
    opened = open_corpora(str(corpora), tmp_path / "home", ["mdd"])["mdd"]
    assert f"sound; digest {opened.digest}" in done.stdout


def test_check_by_reader_and_root_needs_a_role_where_the_reader_has_none(corpora: Path, tmp_path: Path) -> None:
    root = str(corpora.parent / "iemocap")
    done = run("check", "generic", "--root", root, "--role", "iemocap", "--results", str(tmp_path / "home"))
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("check", "generic", "--root", root)
    assert done.returncode == 2
    assert "say which with --role" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("iemocap", None, None, None), "give either --root"),
        (("iemocap", Path("x"), None, Path("y")), "give either --root"),
        (("iemocpa", Path("x"), None, None), "did you mean 'iemocap'"),
        (("generic", Path("x"), "mod", None), "--role mod is unknown"),
        (("iemocap", None, None, Path("none.toml")), "is no file"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_give(arguments: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checkup.asked(*arguments)


def test_a_role_that_corpora_toml_lacks_is_answered_with_those_it_has(corpora: Path) -> None:
    corpora.write_text(corpora.read_text().replace('[sre]\nroot = "sre"\n', ""))
    with pytest.raises(UserError, match=r"'sre' is no role of .*; known are mdd, mosei, iemocap"):
        checkup.asked("sre", None, None, corpora)


def test_check_tells_every_fault_with_every_name_and_ends_with_1(corpora: Path, tmp_path: Path) -> None:
    broken = sorted((corpora.parent / "iemocap").glob("*.wav"))[:25]
    for path in broken[:12]:
        path.unlink()
    for path in broken[12:]:
        path.write_text("no sound")
    done = run("check", "iemocap", "--corpora", str(corpora), "--results", str(tmp_path / "home"))
    assert done.returncode == 1
    for path in broken:
        assert path.name in done.stdout
    assert " more" not in done.stdout
    assert "results would be wrong: 14 faults" in done.stdout
    with pytest.raises(UserError) as caught:  # a sweep shows ten
        open_corpora(str(corpora), tmp_path / "home", ["iemocap"])
    assert "and 2 more" in str(caught.value)
    assert "3 more audio files cannot be read" in str(caught.value)


def test_check_counts_and_names_what_will_be_left_out(corpora: Path) -> None:
    (corpora.parent / "iemocap" / "e07.wav").unlink()
    corpora.write_text(corpora.read_text().replace('root = "iemocap"', 'root = "iemocap"\nskip_damaged = true'))
    found = looked_at(corpora)
    assert found.sound(partial=False)
    text = shown(found)
    assert "1 left out: recordings that are missing (skip_damaged = true), with 1 segment: 'e07.wav'" in text
    assert "sound, 1 left out; digest" in text


def test_a_fact_that_deviates_is_marked_and_makes_results_wrong_unless_partial(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(table: pd.DataFrame, source: object, hours: float) -> list[Fact]:
        mean = Fact("mean score", 20.5, float("nan"), 1)  # of nobody
        return [
            mean,
            Fact("speakers", 10, table["speaker"].nunique()),
            Fact("hours", 12.0, hours, 0.5),
            Fact("turns", 81, len(table), 1),
        ]

    monkeypatch.setattr(generic, "facts", facts)
    found = looked_at(corpora)
    rows = [line.split() for line in shown(found).splitlines()]
    assert ["speakers", "10", "10"] in rows
    assert ["turns", "81", "±", "1", "80"] in rows
    assert next(row for row in rows if row[:1] == ["hours"])[-1] == "deviates"
    assert ["mean", "score", "20.50", "±", "1", "-", "deviates"] in rows
    assert "results would be wrong: 2 deviating facts (if this is a part of the corpus, add --partial)" in shown(found)
    assert not found.sound(partial=False)
    assert found.sound(partial=True)
    assert "sound; digest" in shown(found, partial=True)


def test_decoding_finds_what_headers_do_not_show_and_notes_what_is_no_fault(corpora: Path) -> None:
    folder, rng = corpora.parent / "iemocap", np.random.default_rng(0)
    soundfile.write(folder / "e00.wav", np.clip(rng.standard_normal(16000), -1, 1), 16000)
    soundfile.write(folder / "e01.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "e02.wav", rng.uniform(-0.5, 0.5, (44100, 2)), 44100)
    soundfile.write(folder / "e03.wav", rng.uniform(-0.5, 0.5, 16000), 16000, format="FLAC")
    assert looked_at(corpora).sound(partial=False)
    content = (folder / "e03.wav").read_bytes()
    (folder / "e03.wav").write_bytes(content[:4000] + bytes(16000) + content[20000:])
    assert looked_at(corpora).sound(partial=False)  # headers only
    told: list[tuple[int, int]] = []
    found = looked_at(corpora, decode=True, progress=lambda done, total: told.append((done, total)))
    assert [message.split(": ")[0] for message in found.report.messages] == [str(folder / "e03.wav")]
    assert told[-1] == (80, 80)
    notes = "\n".join(found.notes)
    assert "decoded: 1 recordings at 44100 Hz with 2 channels, which become 16000 Hz mono" in notes
    assert "clipped, 0.1% of the samples or more: 1 recordings: 'e00.wav" in notes
    assert "silent, no sample above 0.001 of full scale: 1 recordings: 'e01.wav'" in notes


def test_a_folder_that_is_another_corpus_is_told_with_what_was_expected(corpora: Path, tmp_path: Path) -> None:
    done = run("check", "iemocap", "--root", str(corpora.parent / "mdd"), "--results", str(tmp_path / "home"))
    assert done.returncode == 1
    assert "does not look like iemocap: expected Session1" in done.stdout
    assert 'reader = "generic"' in done.stdout


def test_a_role_that_is_a_twin_is_made_and_checked(tmp_path: Path) -> None:
    (tmp_path / "corpora.toml").write_text('[mosei]\nreader = "twin"\nspeakers = 3\nutterances = [2, 3]\n')
    found = looked_at(tmp_path / "corpora.toml", "mosei")
    assert found.sound(partial=False)
    assert found.source is not None
    assert found.source.is_twin
    assert found.groups[0].speakers == 3


def test_roles_say_which_label_they_need() -> None:
    text = text_of(show_roles, {})
    for role in ROLES.values():
        assert not role.label or f"{role.label} (" in text


def test_twin_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    done = run("twin", "mosei", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "home"))
    assert done.returncode == 2
    assert "is not an empty folder" in done.stderr
    assert not (tmp_path / "home").exists()  # refused before a minute is spent on the twin
    done = run("twin", "moesi", "--out", str(tmp_path / "new"), "--results", str(tmp_path / "home"))
    assert "did you mean 'mosei'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_a_twin_is_written_as_the_real_corpus_and_its_reader_finds_it_sound(tmp_path: Path, role: str) -> None:
    out = tmp_path / "out"
    done = run("twin", role, "--out", str(out), "--results", str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert f"check {role} --root {out} --partial" in done.stdout
    done = run("check", role, "--root", str(out), "--partial", "--decode", "--results", str(tmp_path / "home"))
    assert done.returncode == 0, done.stdout


def test_list_tells_of_unknown_roles_and_of_roots_that_are_no_folder(corpora: Path) -> None:
    corpora.write_text(corpora.read_text().replace("[mdd]", "[mddd]").replace('root = "mosei"', 'root = "moved away"'))
    done = run("list", "--corpora", str(corpora))
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "unknown role 'mddd'; did you mean 'mdd'?" in text
    assert "moved away (not found)" in text
    assert f"mosei: root {corpora.parent / 'moved away'} is no folder" in text
    assert "iemocap (not found)" not in text


def test_a_root_of_the_command_line_is_not_said_to_be_relative_to_a_corpora_toml(corpora: Path, tmp_path: Path) -> None:
    found = checkup.check(checkup.asked("iemocap", tmp_path / "none", None, None), tmp_path / "home")
    assert found.report.messages == [f"root {tmp_path / 'none'} is no folder"]


def test_a_corpus_of_which_no_fact_is_known_is_not_called_sound_without_saying_so(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "no facts are known of this release: only faults were looked for"
    found = looked_at(corpora)
    assert found.compared  # a format: nothing can be known of any corpus
    assert told not in shown(found)
    monkeypatch.setattr(generic, "ABOUT", reader_module("iemocap").ABOUT)
    assert f"sound; {told}; digest" in shown(looked_at(corpora))
    monkeypatch.setattr(generic, "facts", lambda *_: [Fact("speakers", 10, 10)])
    assert told not in shown(looked_at(corpora))


def test_notes_are_shown_and_not_counted_as_left_out(corpora: Path) -> None:
    (corpora.parent / "iemocap" / "extra.wav").write_bytes(b"")
    found = looked_at(corpora)
    text = shown(found)
    assert "notes" in text
    assert "1 recordings beside those of the manifest, which no row names: 'extra.wav'" in text
    assert "sound; digest" in text
    assert "left out" not in text


def test_the_command_for_a_written_twin_can_be_pasted_whatever_the_folder_is_called(tmp_path: Path) -> None:
    out = tmp_path / "my corpora" / "$x"
    command = text_of(show_written, "mdd", out).splitlines()[-1]
    assert shlex.split(command)[-3:] == ["--root", str(out), "--partial"]
