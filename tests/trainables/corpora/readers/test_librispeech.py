"""LibriSpeech in its official layout: subsets, transcripts, readers' genders, and what goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.open_trees import APPLE_DOUBLE, opened, refused, write_text, write_tone
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.readers import librispeech
from trainables.corpora.reading import Fact, Report
from trainables.corpora.registry import detect_reader

SPEAKERS = """; comment | with a bar
;ID  |SEX| SUBSET           |MINUTES| NAME
19   | F | train-clean-100  | 25.19 | Kara Shallenberg
60   | M | train-clean-100  | 20.18 | |CBW|Simon
84   | F | dev-clean        |  8.02 | Christie Nowak
"""
CHAPTERS = {
    "train-clean-100/19/198": ("19-198-0000", "19-198-0001"),
    "train-clean-100/60/121": ("60-121-0000",),
    "dev-clean-2/84/121123": ("84-121123-0000",),
}


def write_tree(root: Path, newline: str = "\n") -> Path:
    write_text(root / "SPEAKERS.TXT", SPEAKERS.replace("\n", newline))
    for chapter, names in CHAPTERS.items():
        folder = root / chapter
        lines = [f"{name} GO {name[-1]} ON{newline}" for name in names]
        write_text(folder / f"{names[0].rsplit('-', 1)[0]}.trans.txt", "".join(lines))
        (folder / f"._{names[0]}.flac").write_bytes(APPLE_DOUBLE)
        (folder / "._x.trans.txt").write_bytes(APPLE_DOUBLE)
        for name in names:
            write_tone(folder / f"{name}.flac")
    return root


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_subset_is_read_with_its_split_text_and_gender(tmp_path: Path, newline: str) -> None:
    source, report = opened(tmp_path, "librispeech", write_tree(tmp_path / "LibriSpeech", newline))
    table = source.manifest().set_index("segment")
    assert source.reader == "librispeech"
    assert not report.skipped
    assert table["split"].to_dict() == {
        "19-198-0000": "train",
        "19-198-0001": "train",
        "60-121-0000": "train",
        "84-121123-0000": "dev",
    }
    assert table["gender"].tolist() == ["female", "female", "male", "female"]  # 60 is |CBW|Simon
    assert table["session"].tolist() == ["19-198", "19-198", "60-121", "84-121123"]
    assert table.loc["19-198-0001", "text"] == "GO 1 ON"
    assert table.loc["19-198-0001", "recording"] == "train-clean-100/19/198/19-198-0001.flac"


@pytest.mark.parametrize("given", ["LibriSpeech", "LibriSpeech/train-clean-100", "."])
def test_a_root_one_level_too_high_or_low_is_the_same_corpus(tmp_path: Path, given: str) -> None:
    root = write_tree(tmp_path / "in" / "LibriSpeech")
    assert librispeech.find_root(tmp_path / "in" / given) == root


def test_it_is_detected_in_any_role(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "in" / "LibriSpeech")
    assert detect_reader(root, "casia") == detect_reader(root.parent, "casia") == "librispeech"


def test_subsets_chooses_and_one_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    source, _ = opened(tmp_path, "librispeech", root, 'subsets = ["train-clean-100"]')
    assert source.manifest()["speaker"].unique().tolist() == ["19", "60"]
    message = refused(tmp_path, "librispeech", root, 'subsets = ["dev-clean"]')
    assert "subsets 'dev-clean' are not in" in message
    assert "found there: 'dev-clean-2', 'train-clean-100'" in message
    assert "subsets must be a list of subset names" in refused(tmp_path, "librispeech", root, 'subsets = ["clean"]')


def test_transcripts_and_speakers_may_be_missing(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    for path in (root / "SPEAKERS.TXT", *root.rglob("*.trans.txt")):
        path.unlink()
    table = opened(tmp_path, "librispeech", root)[0].manifest()
    assert (table["text"] == "").all()
    assert (table["gender"] == "").all()


def test_a_transcript_without_recording_is_told_as_missing_audio(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    (root / "train-clean-100/60/121/60-121-0000.flac").unlink()
    assert "train-clean-100/60/121/60-121-0000.flac" in refused(tmp_path, "librispeech", root)


def test_recordings_with_other_names_endings_or_places_are_skipped_and_told(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    odd = [root / "train-clean-100/60/121" / name for name in ("60-121-0009.wav", "copy of 60-121-0000.flac")]
    elsewhere = [root / "train-clean-100" / name for name in ("60-121-0009.flac", "60/121/again/60-121-0000.flac", "60/x.flac")]
    for path in (*odd, *elsewhere):
        write_tone(path)
    write_text(root / "train-clean-100/60/notes.txt", "not a recording")
    source, report = opened(tmp_path, "librispeech", root)
    assert len(source.manifest()) == 4
    assert {reason: sorted(names) for reason, names in report.skipped.items()} == {
        "recordings whose name is not <speaker>-<chapter>-<number>.flac": sorted(map(str, odd)),
        "recordings that lie in no folder <speaker>/<chapter>": sorted(map(str, elsewhere)),
    }


def test_transcripts_of_another_chapter_are_skipped_and_told(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    path = root / "train-clean-100/60/121/60-121.trans.txt"
    write_text(path, path.read_text() + "60-122-0000 OF ANOTHER\n")
    source, report = opened(tmp_path, "librispeech", root)
    assert len(source.manifest()) == 4
    assert report.skipped == {"transcripts in the file of another chapter": [f"{path}: 60-122-0000"]}


def test_speakers_who_are_not_listed_and_utterances_without_a_transcript_stay_and_are_noted(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    write_text(root / "SPEAKERS.TXT", SPEAKERS.replace("84   |", "85   |"))
    write_tone(root / "train-clean-100/60/121/60-121-0001.flac")
    source, report = opened(tmp_path, "librispeech", root)
    table = source.manifest().set_index("segment")
    assert (table.loc["84-121123-0000", "gender"], table.loc["60-121-0001", "text"]) == ("", "")
    assert report.skipped == {}
    assert report.noted == {
        "speakers that SPEAKERS.TXT does not list (they stay, without a gender)": ["84"],
        "utterances without a transcript (they stay, with an empty text)": ["60-121-0001"],
    }


def test_a_large_subset_is_listed_without_a_look_at_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    folder = root / "train-clean-100/60/122"
    folder.mkdir()
    for number in range(500):
        (folder / f"60-122-{number:04d}.flac").touch()
    looked: list[object] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: looked.append(path) or stat(path, **options))
    source = CorpusSource(role="librispeech", name="x", reader="librispeech", root=str(root), digest="")
    table = librispeech.read_manifest(source, Report("x"))
    assert table is not None
    assert len(table) == 504
    assert len(looked) < 50


def test_a_mini_subset_beside_the_subset_it_was_cut_from_asks_for_a_choice(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    write_tone(root / "dev-clean/84/121123/84-121123-0000.flac")
    assert "the subsets 'dev-clean', 'dev-clean-2' share utterances" in refused(tmp_path, "librispeech", root)
    opened(tmp_path, "librispeech", root, 'subsets = ["train-clean-100", "dev-clean"]')


def test_broken_text_files_are_faults_that_name_their_lines(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    write_text(root / "SPEAKERS.TXT", "19 | X | train | 1 | A\n")
    write_text(root / "train-clean-100/60/121/60-121.trans.txt", "no id\n")
    message = refused(tmp_path, "librispeech", root)
    assert "SPEAKERS.TXT: line 1 is not `ID | SEX" in message
    assert "60-121.trans.txt: line 1 begins with no" in message


def test_facts_are_those_of_the_subsets_that_are_there(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "librispeech", write_tree(tmp_path / "LibriSpeech"))
    assert librispeech.facts(source.manifest(), source, 0.0) == [
        Fact("utterances of dev-clean-2", 1089, 1),
        Fact("utterances of train-clean-100", 28539, 3),
        Fact("speakers of train-clean-100", 251, 2),
        Fact("women in train-clean-100", 125, 1),
        Fact("men in train-clean-100", 126, 1),
    ]


def test_hours_are_compared_where_only_official_subsets_are_there(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "LibriSpeech")
    (root / "dev-clean-2").rename(root / "dev-other")
    source, _ = opened(tmp_path, "librispeech", root)
    (found,) = (fact for fact in librispeech.facts(source.manifest(), source, 105.8) if fact.name == "hours")
    assert (found.expected, found.holds) == (105.9, True)
    assert not found._replace(found=100.0).holds
    assert not found._replace(found=106.5).holds


def test_the_documented_counts_agree_with_those_of_the_whole_corpus() -> None:
    known = librispeech._SUBSETS.values()
    assert sum(subset.utterances for subset in known) == 292_367
    assert sum(subset.women + subset.men for subset in known) == 2484
    assert round(sum(subset.hours for subset in known)) == 982
