"""IEMOCAP with something wrong in it: every fault is told, with the file's name, and nothing is lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.corpora.readers.iemocap_trees import DIALOGUES, edit, read, write, write_iemocap
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError

EVALUATION = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"


def refusal(root: Path, home: Path) -> str:
    spec = write(home / "corpora.toml", f'[iemocap]\nroot = "{root}"\n')
    with pytest.raises(UserError) as caught:
        open_corpora(str(spec), home / "home", ["iemocap"])
    return str(caught.value)


def test_a_labelled_turn_without_audio_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP")
    (root / "Session3/sentences/wav/Ses03F_script01_1/Ses03F_script01_1_M000.wav").unlink()
    message = refusal(root, tmp_path)
    assert "Session3/sentences/wav/Ses03F_script01_1/Ses03F_script01_1_M000.wav" in message
    assert message.startswith("1 fault ")


def test_a_session_without_sentences_beside_others_that_have_them_is_a_fault(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP", sentences=False)
    write_iemocap(root, {name: turns for name, turns in DIALOGUES.items() if not name.startswith("Ses03")})
    assert "Session3/sentences/wav/Ses03F_script01_1/Ses03F_script01_1_F000.wav" in refusal(root, tmp_path)


def test_a_turn_that_ends_after_its_dialogues_recording_is_a_fault_that_names_it(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP", sentences=False)
    edit(root / EVALUATION, lambda text: text.replace("0.3000]", "9.3000]"))
    assert "Ses01F_impro01_F001" in refusal(root, tmp_path)


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        ("\tneu\t", "\tbored\t"),  # not a label of IEMOCAP
        ("\tneu\t", "\t\t"),
        ("[0.0000 - 0.1000]", "0.0000 - 0.1000]"),
        ("[1.5000, 2.5000, 3.5000]", "[1.5000, 2.5000]"),
        ("[1.5000, 2.5000, 3.5000]", "[1,5000; 2,5000; 3,5000]"),
        ("Ses01F_impro01_F000\tneu", "Ses01F_impro01_X000\tneu"),
        ("Ses01F_impro01_F000\tneu", "Ses01F_impro02_F000\tneu"),  # belongs to another dialogue
    ],
)
def test_a_damaged_turn_is_a_fault_that_names_file_and_line(tmp_path: Path, sound: str, damaged: str) -> None:
    write_iemocap(tmp_path)
    edit(tmp_path / EVALUATION, lambda text: text.replace(sound, damaged, 1))
    _, report = read(tmp_path)
    assert len(report.messages) == 1
    assert f"{tmp_path / EVALUATION}: 1 line(s) cannot be understood, the first is line 3" in report.messages[0]


def test_the_damage_of_all_files_is_told_at_once(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    names = [EVALUATION, "Session3/dialog/EmoEvaluation/Ses03F_script01_1.txt"]
    for name in names:
        edit(tmp_path / name, lambda text: text.replace("neu", "???"))
    _, report = read(tmp_path)
    assert [message.split(":")[0] for message in report.messages] == [str(tmp_path / name) for name in names]


def test_a_turn_that_is_labelled_twice_is_a_fault(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP")
    edit(root / EVALUATION, lambda text: text + "[0.0000 - 0.1000]\tSes01F_impro01_F000\tang\t[1.0000, 1.0000, 1.0000]\n")
    assert "'Ses01F_impro01_F000'" in refusal(root, tmp_path)


def test_a_session_without_labels_is_a_fault_that_names_it(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    (tmp_path / "Session4" / "sentences" / "wav").mkdir(parents=True)
    _, report = read(tmp_path)
    assert len(report.messages) == 1
    assert str(tmp_path / "Session4") in report.messages[0]


def test_labels_without_a_single_turn_are_a_fault(tmp_path: Path) -> None:
    write(tmp_path / EVALUATION, "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n")
    table, report = read(tmp_path)
    assert table is None
    assert "no labelled turn" in report.messages[0]


def test_settings_that_the_reader_does_not_have_are_refused(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP")
    spec = write(tmp_path / "corpora.toml", f'[iemocap]\nroot = "{root}"\nmanifest = "a.csv"\n')
    with pytest.raises(UserError, match="unknown key 'manifest'"):
        open_corpora(str(spec), tmp_path / "home", ["iemocap"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A sound tree, and the labels that the test below damages."""
    root = write_iemocap(tmp_path_factory.mktemp("IEMOCAP"))
    return root, (root / EVALUATION).read_bytes()


@settings(max_examples=80, deadline=None)
@given(place=st.integers(0, 1000), junk=st.binary(max_size=40), cut=st.booleans())
def test_whatever_happens_to_the_labels_no_turn_is_lost_without_a_word(
    tree: tuple[Path, bytes], place: int, junk: bytes, cut: bool
) -> None:
    root, sound = tree
    write(root / EVALUATION, sound[:place] + junk + (b"" if cut else sound[place:]))
    table, report = read(root)
    if not report.messages:
        turns = {f"{dialogue}_{turn.token}" for dialogue, turns in DIALOGUES.items() for turn in turns}
        told = {Path(name).stem for name in report.skipped.get("audio files without a label", [])}
        assert turns - set(table["segment"]) == told
