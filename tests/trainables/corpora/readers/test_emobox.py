"""EmoBox metadata becomes a manifest, with the speaker from the path, because the lines name none."""

from __future__ import annotations

import json
from pathlib import Path

from tests.trainables.corpora.readers.open_trees import APPLE_DOUBLE, opened, refused, write_text, write_tone
from trainables.corpora.readers import emobox

PATTERN = "speaker_pattern = 'downloads/casia/([^/]+)/'"


def line(speaker: str, emotion: str, number: str = "201") -> dict[str, object]:
    return {
        "key": f"casia-{number}-{speaker}-{emotion}",
        "dataset": "casia",
        "wav": f"downloads/casia/{speaker}/{emotion}/{number}.wav",
        "type": "raw",
        "sample_rate": 16000,
        "num_frame": 1600.0,
        "task": "category",
        "length": 0.1,
        "emo": emotion,
        "channel": 1,
    }


LINES = [line(speaker, emotion) for speaker in ("wangzhe", "liuchanhg", "zhaoquanyin") for emotion in ("angry", "happy")]


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    write_text(path, "".join(json.dumps(each) + "\n" for each in lines))


def write_tree(root: Path) -> Path:
    write_lines(root / "data/casia/casia.jsonl", LINES)
    (root / "data/casia/._casia.jsonl").write_bytes(APPLE_DOUBLE)
    write_lines(root / "data/casia/fold_1/casia_train_fold_1.jsonl", LINES[:4])
    write_lines(root / "data/casia/fold_1/casia_test_fold_1.jsonl", LINES[4:])
    write_text(root / "data/casia/label_map.json", "{}")
    for each in LINES:
        write_tone(root / str(each["wav"]))
    return root


def test_lines_become_rows_with_codes_and_the_speaker_of_the_path(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "msp_podcast", write_tree(tmp_path / "EmoBox"), PATTERN)
    table = source.manifest().set_index("segment")
    assert source.reader == "emobox"
    assert table.loc["casia-201-wangzhe-angry", ["recording", "speaker", "emotion"]].tolist() == [
        "downloads/casia/wangzhe/angry/201.wav",
        "wangzhe",
        "ang",
    ]
    assert len(table) == 6
    assert "task" not in table  # EmoBox' own word, not the speaker's task
    assert (table["split"] == "").all()


def test_without_a_speaker_pattern_nothing_is_guessed(tmp_path: Path) -> None:
    message = refused(tmp_path, "msp_podcast", write_tree(tmp_path / "EmoBox"))
    assert "no column for speaker" in message
    assert "`speaker_pattern`" in message


def test_a_pattern_that_misses_or_has_no_group_is_a_fault(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "EmoBox")
    assert "finds no speaker in 'downloads/casia/" in refused(tmp_path, "msp_podcast", root, "speaker_pattern = 'Ses([0-9]+)'")
    assert "exactly one group" in refused(tmp_path, "msp_podcast", root, "speaker_pattern = '('")


def test_a_fold_gives_the_splits(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "EmoBox")
    source, _ = opened(tmp_path, "msp_podcast", root, f'{PATTERN}\nmanifest = "data/casia/fold_1"')
    splits = source.manifest().groupby("speaker")["split"].first().to_dict()
    assert splits == {"wangzhe": "train", "liuchanhg": "train", "zhaoquanyin": "test"}


def test_several_data_sets_ask_for_a_choice(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "EmoBox")
    write_lines(root / "data/emodb/emodb.jsonl", LINES)
    message = refused(tmp_path, "msp_podcast", root, PATTERN)
    assert "'data/casia/casia.jsonl', 'data/emodb/emodb.jsonl'; say which with `manifest" in message
    opened(tmp_path, "msp_podcast", root, f'{PATTERN}\nmanifest = "data/casia/casia.jsonl"')


def test_a_damaged_line_is_a_fault_that_names_it(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "EmoBox")
    with (root / "data/casia/casia.jsonl").open("a") as file:
        file.write("{broken\n")
    assert "casia.jsonl: line 7 is not JSON" in refused(tmp_path, "msp_podcast", root, PATTERN)


def test_other_json_lines_are_not_taken_for_emobox(tmp_path: Path) -> None:
    write_lines(tmp_path / "metadata.jsonl", [{"file_name": "a.wav", "speaker": "s", "emotion": "happy"}])
    assert emobox.find_root(tmp_path) is None
