"""MSP-Podcast: every release's names give one manifest; one speaker is in one split; what is unknown is refused or told."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.msp_podcast_trees import HEADER, ROWS, facts, faults, read, row, write_podcast
from trainables.corpora.emotions import EMOTIONS
from trainables.corpora.manifest import COLUMNS
from trainables.corpora.readers import msp_podcast
from trainables.corpora.readers._files import read_rows
from trainables.corpora.registry import detect_reader, open_corpora
from trainables.errors import Faults, UserError

CSV = "Labels/labels_consensus.csv"
TABLES = (
    CSV,
    "Labels/labels_concensus.csv",
    "Labels/Labels/labels_consensus.csv",
    "label/labels_concensus.json",
    "Labels/labels_consensus.json",
)


def test_a_row_of_the_manifest_is_a_whole_recording_with_its_labels(tmp_path: Path) -> None:
    table, skipped = read(write_podcast(tmp_path))
    assert list(table.columns) == [*COLUMNS, "emotion", "valence", "activation", "dominance", "gender"]
    first = table.iloc[0].to_dict()
    assert math.isnan(first.pop("end"))
    assert first == {
        "segment": "MSP-PODCAST_0001_0008",
        "recording": "Audios/MSP-PODCAST_0001_0008.wav",
        "start": 0.0,
        "speaker": "7",
        "talker": "subject",
        "session": "MSP-PODCAST_0001",
        "split": "train",
        "text": "",
        "emotion": "ang",
        "valence": 2.2,
        "activation": 5.4,
        "dominance": 5.0,
        "gender": "male",
    }
    assert all(table[name].dtype == "float64" for name in ("start", "end", "valence", "activation", "dominance"))
    assert table["session"].iloc[-1] == "MSP-PODCAST_0866"
    assert table["split"].tolist() == ["train", "train", "dev", "test", "test2"]
    assert skipped == {}


@pytest.mark.parametrize("table", TABLES[1:])
@pytest.mark.parametrize("split", ["Validation", "Development", "development"])
def test_every_releases_names_and_formats_give_the_same_manifest(tmp_path: Path, table: str, split: str) -> None:
    expected, _ = read(write_podcast(tmp_path / "a"))
    rows = [tuple(split if cell == "Development" else cell for cell in cells) for cells in ROWS]
    found, _ = read(write_podcast(tmp_path / "b", rows, table))
    assert found.equals(expected)


@pytest.mark.parametrize("audio", ["Audio", "Audios/Audios", "Audios/Audio"])
def test_the_recordings_folder_may_be_called_audio_and_may_be_nested(tmp_path: Path, audio: str) -> None:
    table, _ = read(write_podcast(tmp_path, audio=audio))
    assert table["recording"].iloc[0] == f"{audio}/MSP-PODCAST_0001_0008.wav"
    assert f"{audio}/MSP-PODCAST_1909_1017.wav" in msp_podcast.KNOWN_MISSING


def test_emotions_become_the_projects_codes(tmp_path: Path) -> None:
    letters = "AHSNUFDCOX"
    rows = [row(f"0001_{number:04d}", letter) for number, letter in enumerate(letters)]
    table, _ = read(write_podcast(tmp_path, rows))
    assert table["emotion"].tolist() == ["ang", "hap", "sad", "neu", "sur", "fea", "dis", "con", "oth", "xxx"]
    assert set(table["emotion"]) <= set(EMOTIONS)


def test_unknown_speakers_are_each_their_own_and_other_ids_stay_text(tmp_path: Path) -> None:
    rows = [
        row("0001_0001", speaker="Unknown"),
        row("0001_0002", speaker="unknown"),
        row("0001_0003", speaker="007"),
        row("0001_0004", speaker="-1"),
    ]
    table, _ = read(write_podcast(tmp_path, rows))
    assert table["speaker"].tolist() == ["unknown MSP-PODCAST_0001_0001", "unknown MSP-PODCAST_0001_0002", "007", "-1"]


def test_a_speaker_who_is_tested_is_in_no_other_split_and_one_who_selects_does_not_train(tmp_path: Path) -> None:
    rows = [
        row("0001_0001", speaker="1", split="Train"),
        row("0001_0002", speaker="1", split="Test2"),
        row("0002_0001", speaker="2", split="Development"),
        row("0002_0002", speaker="2", split="Test1"),
        row("0002_0003", speaker="2", split="Train"),
        row("0003_0001", speaker="3", split="Train"),
        row("0003_0002", speaker="3", split="Development"),
        row("0004_0001", speaker="4", split="Test2"),
        row("0004_0002", speaker="4", split="Test1"),
        row("0005_0001", speaker="Unknown", split="Train"),
        row("0005_0002", speaker="Unknown", split="Test1"),
        row("0006_0001", speaker="6", split="Train"),
    ]
    table, skipped = read(write_podcast(tmp_path, rows))
    assert set(zip(table["speaker"], table["split"], strict=True)) == {
        ("1", "test2"), ("2", "test"), ("3", "dev"), ("4", "test"), ("4", "test2"), ("6", "train"),
        ("unknown MSP-PODCAST_0005_0001", "train"), ("unknown MSP-PODCAST_0005_0002", "test"),
    }  # fmt: skip
    assert skipped == {
        "turns in dev of speakers who are also in a test set": ["MSP-PODCAST_0002_0001"],
        "turns in train of speakers who are also in development or a test set": [
            "MSP-PODCAST_0001_0001",
            "MSP-PODCAST_0002_0003",
            "MSP-PODCAST_0003_0001",
        ],
    }


def test_test3_has_no_labels_and_is_left_out(tmp_path: Path) -> None:
    empty = ("MSP-PODCAST_0009_0001.wav", "", "", "", "", "", "", "Test3")
    table, skipped = read(write_podcast(tmp_path, [*ROWS, empty]))
    assert len(table) == len(ROWS)
    assert skipped == {"turns of Test3, which has no labels": ["MSP-PODCAST_0009_0001"]}


def test_unknown_words_and_impossible_scores_are_faults_told_at_once_with_the_file(tmp_path: Path) -> None:
    rows = [row("0001_0001", emotion="Q"), row("0001_0002", split="Test9"), row("0001_0003", gender="?")]
    rows += [("MSP-PODCAST_0002_0001.wav", "N", "8", "x", "nan", "7", "Male", "Train")]
    messages = faults(write_podcast(tmp_path, rows))
    assert all("labels_consensus.csv: " in message for message in messages)
    assert [message.split(": ", 1)[1].split("; ")[0] for message in messages] == [
        "Split_Set holds 'test9'",
        "EmoClass holds 'Q'",
        "Gender holds '?'",
        "activation holds '8'",
        "valence holds 'x'",
    ]


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        (CSV, "FileName,EmoClass\na.wav,N\n", "lacks the columns EmoAct, EmoVal"),
        (CSV, "", "is empty"),
        (CSV, ",".join(HEADER) + "\nMSP-PODCAST_0001_0001.wav,N,4\n", "line 2 has 3 cells"),
        (CSV, ",".join(HEADER) + "\n", "lists no labelled turn"),
        ("Labels/labels_consensus.json", '{"a.wav": ', "is not JSON"),
        ("Labels/labels_consensus.json", '["a.wav"]', "expected an object"),
        ("Labels/labels_consensus.json", '{"a\\ud800.wav": {}}', "not Unicode"),
    ],
)
def test_a_damaged_table_is_a_fault_with_its_name(tmp_path: Path, table: str, content: str, message: str) -> None:
    root = write_podcast(tmp_path, table=table)
    (root / table).write_text(content)
    (found,) = faults(root)
    assert message in found
    assert table.rpartition("/")[2] in found


def test_windows_lines_a_byte_order_mark_and_macos_leavings_change_nothing(tmp_path: Path) -> None:
    root = write_podcast(tmp_path)
    expected, _ = read(root)
    (root / CSV).write_bytes(b"\xef\xbb\xbf" + (root / CSV).read_bytes() + b"\r\n")
    (root / "Labels" / "._labels_consensus.csv").write_bytes(b"\x00\x05\x16\x07")
    (root / "Audios" / "._MSP-PODCAST_0001_0008.wav").write_bytes(b"\x00\x05\x16\x07")
    (root / "Audios" / "MSP-PODCAST_9999_0001.wav").write_bytes(b"a recording of Test3")
    os.mkdir(os.fsencode(root) + b"/\xcf\xe0\xcd\xac")  # a folder named in GBK
    table, skipped = read(root)
    assert table.equals(expected)
    assert list(skipped.values()) == [["Audios/MSP-PODCAST_9999_0001.wav"]]


def test_recordings_that_the_table_does_not_list_are_told_and_those_of_unlabelled_rows_are_listed(tmp_path: Path) -> None:
    empty = ("MSP-PODCAST_0009_0001.wav", "", "", "", "", "", "", "Test3")
    root = write_podcast(tmp_path, [empty, *ROWS])
    for name in ("MSP-PODCAST_0009_0001.wav", "MSP-PODCAST_0001_0008.wav", "MSP-PODCAST_7777_0001.WAV", "notes.txt"):
        (root / "Audios" / name).write_bytes(b"x")
    (root / "Audios" / os.fsdecode("相.wav".encode("gbk"))).write_bytes(b"x")
    table, skipped = read(root)
    assert table["segment"].iloc[0] == "MSP-PODCAST_0001_0008"
    assert table["recording"].iloc[0] == "Audios/MSP-PODCAST_0001_0008.wav"
    told = skipped["recordings that the table does not list (those of Test3 are shipped without labels)"]
    assert told == ["Audios/MSP-PODCAST_7777_0001.WAV", r"Audios/\xcf\xe0.wav"]


def test_names_are_matched_in_any_case_and_recordings_keep_their_own(tmp_path: Path) -> None:
    root = write_podcast(tmp_path, table="LABELS/Labels_Consensus.CSV", audio="AUDIOS")
    for name, *_ in ROWS:
        (root / "AUDIOS" / name.replace(".wav", ".WAV")).write_bytes(b"x")
    table, skipped = read(root)
    assert table["recording"].iloc[0] == "AUDIOS/MSP-PODCAST_0001_0008.WAV"
    assert skipped == {}
    assert "AUDIOS/MSP-PODCAST_1909_1017.wav" in msp_podcast.KNOWN_MISSING


@pytest.mark.parametrize("empty", ["Labels", "labels", "LABELS", "Labels/Labels", "Audio", "audios/Audios", "Transcripts"])
def test_an_empty_folder_beside_the_one_that_is_filled_does_not_hide_it(tmp_path: Path, empty: str) -> None:
    root = write_podcast(tmp_path, table="label/labels_concensus.json", audio="audios")
    for name, *_ in ROWS:
        (root / "audios" / name).write_bytes(b"x")
    (root / "transcripts").mkdir()
    (root / "transcripts" / "MSP-PODCAST_0001_0008.txt").write_text("hi")
    expected, _ = read(root)
    (root / empty).mkdir(parents=True)
    assert read(root)[0].equals(expected)
    assert expected["text"].tolist() == ["hi", "", "", "", ""]


def test_transcripts_are_read_where_there_are_some(tmp_path: Path) -> None:
    root = write_podcast(tmp_path)
    (root / "Transcripts").mkdir()
    (root / "Transcripts" / "MSP-PODCAST_0001_0008.txt").write_bytes(b"\xef\xbb\xbf so\r\nangry \n")
    (root / "Transcripts" / "MSP-PODCAST_0866_0074_0002.txt").write_text("hi")
    (root / "Transcripts" / "._MSP-PODCAST_0002_0033.txt").write_bytes(b"\x00\x05\x16\x07")
    assert read(root)[0]["text"].tolist() == ["so angry", "", "", "", "hi"]


@pytest.mark.parametrize("given", [".", "..", "Labels", "Audios"])
def test_the_root_may_be_given_a_level_too_high_or_too_low(tmp_path: Path, given: str) -> None:
    root = write_podcast(tmp_path / "a" / "podcast")
    assert msp_podcast.find_root((root / given).resolve()) == root
    assert detect_reader((root / given).resolve(), "msp_podcast") == "msp_podcast"


def test_a_whole_release_is_known_by_its_size_and_read_in_seconds(tmp_path: Path) -> None:
    parts = {"Validation": 7_800, "Test1": 15_326, "Train": 49_916}
    splits = [split for split, turns in parts.items() for _ in range(turns)]
    rows = [
        row(f"{number // 100:04d}_{number:06d}", "AHSNX"[number % 5], f"{split} {number % 500}", split)
        for number, split in enumerate(splits)
    ]
    root = write_podcast(tmp_path, rows, "label/labels_concensus.csv")
    before = time.process_time()
    assert facts(root) == {"turns in all of 1.8": True, "turns in dev of 1.8": True, "turns in test of 1.8": True}
    assert time.process_time() - before < 10  # one or two seconds on one core; a row looped over is many times that


def test_the_release_is_the_users_else_the_readmes(tmp_path: Path) -> None:
    root = write_podcast(tmp_path)
    (root / "readme.txt").write_text("# MSP-PODCAST Database #\n# Release 1.12 (June 6, 2024) #\n")
    assert facts(root, hours=320.0) == {"turns in all of 1.12": False, "hours": True}
    assert facts(root, hours=100.0)["hours"] is False
    assert set(facts(root, release="2.0")) == {"turns in all of 2.0", "turns of unknown speakers in train", "hours"}


def test_nothing_is_known_of_a_release_that_is_not_recognised(tmp_path: Path) -> None:
    assert facts(write_podcast(tmp_path)) == {}


@pytest.mark.parametrize("release", ["1.9", 1.9, "1.10"])
def test_a_release_without_documented_counts_may_be_named_and_has_no_facts(tmp_path: Path, release: object) -> None:
    assert facts(write_podcast(tmp_path), release=release) == {}


@pytest.mark.parametrize("value", ["1.1", 3])
def test_an_unknown_release_is_a_fault_that_lists_those_there_are(value: object) -> None:
    found = Faults("settings")
    msp_podcast.options_from({"release": value}, found)
    assert "release must be one of 1.8, " in found.messages[0]


def test_a_corpus_with_recordings_opens_in_its_role_and_a_missing_recording_is_a_fault(tmp_path: Path, tone: Callable) -> None:
    root = write_podcast(tmp_path / "podcast", [*ROWS, row("0004_0001", "A", "11", "Test1")])
    for name in read_rows(root / CSV)["FileName"]:
        tone(root / "Audios" / name, 0.1, rate=44100, channels=2)
    spec = tmp_path / "corpora.toml"
    spec.write_text('[msp_podcast]\nroot = "podcast/Labels"\n')
    corpus = open_corpora(str(spec), tmp_path / "home", ["msp_podcast"])["msp_podcast"]
    assert (corpus.reader, len(corpus.manifest())) == ("msp_podcast", 6)
    (root / "Audios" / "MSP-PODCAST_0003_0001.wav").unlink()
    with pytest.raises(UserError, match=r"MSP-PODCAST_0003_0001\.wav"):
        open_corpora(str(spec), tmp_path / "home", ["msp_podcast"])
