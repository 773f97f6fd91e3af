"""Recordings sorted into a folder per class are a manifest, if somebody says who speaks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.open_trees import APPLE_DOUBLE, opened, refused, write_text, write_tone
from trainables.corpora.names import openable, printable

PATTERN = "speaker_pattern = '/(s[0-9])_[^/]*$'"


def write_tree(root: Path, classes: tuple[str, str], tops: tuple[str, ...] = ("",)) -> Path:
    for side, top in enumerate(tops):
        for speaker in ("s0", "s1", "s2", "s3"):
            if len(tops) == 1 or int(speaker[1]) % 2 == side:
                for name in classes:
                    write_tone(root / top / name / f"{speaker}_{name}.wav")
    (root / tops[0] / classes[0] / "._s0.wav").write_bytes(APPLE_DOUBLE)
    return root


def test_the_class_is_the_emotion_and_the_pattern_finds_the_speaker(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "msp_podcast", write_tree(tmp_path / "c", ("happy", "sad")), PATTERN)
    table = source.manifest().set_index("recording")
    assert source.reader == "generic"
    assert len(table) == 8
    assert table.loc["happy/s2_happy.wav", ["speaker", "emotion"]].tolist() == ["s2", "hap"]


def test_split_folders_are_splits(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "msp_podcast", write_tree(tmp_path / "c", ("happy", "sad"), ("Train", "test")), PATTERN)
    assert source.manifest().groupby("speaker")["split"].first().tolist() == ["train", "test", "train", "test"]


def test_in_a_role_of_depression_the_class_is_the_diagnosis(tmp_path: Path) -> None:
    root = tmp_path / "c"
    for number in range(4):
        write_tone(root / ("depressed" if number < 2 else "healthy") / f"s{number}_x.wav")
    table = opened(tmp_path, "mdd", root, PATTERN)[0].manifest()
    assert table.set_index("speaker")["depressed"].to_dict() == {"s0": 1, "s1": 1, "s2": 0, "s3": 0}


def test_without_a_pattern_no_speaker_is_guessed(tmp_path: Path) -> None:
    message = refused(tmp_path, "msp_podcast", write_tree(tmp_path / "c", ("happy", "sad")))
    assert "no column for speaker" in message
    assert "`speaker_pattern`" in message


@pytest.mark.parametrize("pattern", ["'('", "'no group'", "'(a)(b)'", "7"])
def test_a_pattern_must_have_one_group(tmp_path: Path, pattern: str) -> None:
    root = write_tree(tmp_path / "c", ("happy", "sad"))
    assert "exactly one group" in refused(tmp_path, "msp_podcast", root, f"speaker_pattern = {pattern}")


def test_recordings_outside_the_class_folders_are_counted(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "c", ("happy", "sad"))
    write_tone(root / "noise.wav")
    _, report = opened(tmp_path, "msp_podcast", root, PATTERN)
    assert report.skipped == {"recordings that lie in no class folder": ["noise.wav"]}


def test_a_table_goes_before_class_folders(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "c", ("happy", "sad"))
    rows = [f"{c}/s{n}_{c}.wav,x{n},{'neutral' if c == 'sad' else 'anger'}" for n in (0, 1) for c in ("happy", "sad")]
    write_text(root / "metadata.csv", "file_name,speaker,label\n" + "\n".join(rows))
    table = opened(tmp_path, "msp_podcast", root)[0].manifest()
    assert set(table["emotion"]) == {"neu", "ang"}
    assert len(table) == 4


def test_a_class_folder_whose_name_is_not_unicode_is_printable(tmp_path: Path) -> None:
    raw = os.fsdecode("高兴".encode("gbk"))
    assert printable(raw).isprintable()
    assert openable(printable(raw)) == raw
    assert printable("高兴/ok.wav") == openable("高兴/ok.wav") == "高兴/ok.wav"
    root = write_tree(tmp_path / "c", ("happy", "sad"))
    write_tone(root / raw / "s1_x.wav")
    message = refused(tmp_path, "msp_podcast", root, PATTERN)
    assert message.encode()  # can be printed
    assert "emotion must be one of" in message
