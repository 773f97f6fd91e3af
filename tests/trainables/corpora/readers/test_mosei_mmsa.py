"""CMU-MOSEI as MMSA repacked it: label.csv by its columns' names, one clip a segment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainables.corpora.readers.mosei_trees import (
    APPLE_DOUBLE,
    CLIPS,
    DEV,
    TEST,
    TRAIN,
    TRAIN_DASH,
    corpus,
    manifest,
    read,
    write,
    write_mmsa,
    write_sdk,
    write_wav,
)
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.readers import mosei
from trainables.corpora.registry import detect_reader, open_corpora


def test_a_clip_has_the_documented_columns_with_their_types(tmp_path: Path) -> None:
    table = manifest(write_mmsa(tmp_path))
    assert list(table.columns) == [*COLUMNS, "sentiment"]
    for name, column in (COLUMNS | LABELS).items():
        if name in table:
            assert (table[name].dtype == "float64") == (column.kind is float)
    assert table["end"].isna().all()
    assert table[table["session"] == TRAIN_DASH].drop(columns="end").to_dict("records") == [
        {
            "segment": f"{TRAIN_DASH}$_$0",
            "recording": f"Raw/{TRAIN_DASH}/0.wav",
            "start": 0.0,
            "speaker": TRAIN_DASH,
            "talker": "subject",
            "session": TRAIN_DASH,
            "split": "train",
            "text": 'it is, well, "good"',
            "sentiment": 1.3333334,
        }
    ]


def test_splits_are_the_tables_in_any_case_and_ids_stay_text(tmp_path: Path) -> None:
    table = manifest(write_mmsa(tmp_path, [{**clip, "mode": clip["mode"].title()} for clip in CLIPS]))
    assert dict(zip(table["session"], table["split"], strict=True)) == {
        TRAIN: "train",
        TRAIN_DASH: "train",
        DEV: "dev",
        TEST: "test",
    }


def test_line_ends_a_byte_order_mark_and_macos_leavings_do_not_matter(tmp_path: Path) -> None:
    before = manifest(write_mmsa(tmp_path))
    path = tmp_path / mosei.LABELS_CSV
    write(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    write(tmp_path / f"Raw/{TRAIN}/._10.wav", APPLE_DOUBLE)
    write(tmp_path / f"._{mosei.LABELS_CSV}", APPLE_DOUBLE)
    table, report = read(tmp_path)
    assert before.equals(table)
    assert report.messages == []
    assert report.skipped == {}


def test_audio_without_a_label_is_left_out_and_named(tmp_path: Path) -> None:
    write_mmsa(tmp_path)
    write_wav(tmp_path / f"Raw/{TRAIN}/11.wav", 0.1)
    _, report = read(tmp_path)
    assert report.messages == []
    assert report.skipped == {"audio files without a label": [f"Raw/{TRAIN}/11.wav"]}


def test_videos_beside_their_sound_are_no_fault(tmp_path: Path) -> None:
    write_mmsa(tmp_path, suffix=".mp4")
    assert len(manifest(write_mmsa(tmp_path))) == len(CLIPS)


def test_the_role_opens_it(tmp_path: Path) -> None:
    write_mmsa(tmp_path / "MOSEI")
    spec = write(tmp_path / "corpora.toml", '[mosei]\nroot = "MOSEI"\n')
    source = open_corpora(str(spec), tmp_path / "home", ["mosei"])["mosei"]
    assert (source.reader, len(source.manifest())) == ("mosei", len(CLIPS))


def test_the_sdks_labels_are_preferred_where_both_are_there(tmp_path: Path) -> None:
    write_mmsa(tmp_path)
    assert "emotion" in manifest(write_sdk(tmp_path))


@pytest.mark.parametrize("given", ["", "above", "Raw"])
def test_the_root_may_be_one_level_too_high_or_too_low(tmp_path: Path, given: str) -> None:
    root = write_mmsa(tmp_path / "above" / "MOSEI")
    folder = tmp_path / "above" if given == "above" else root / given
    assert mosei.find_root(folder) == root
    assert detect_reader(folder, "mosei") == "mosei"


def test_any_other_label_csv_is_not_taken_for_it(tmp_path: Path) -> None:
    write(tmp_path / mosei.LABELS_CSV, "file,label\na.wav,happy\n")
    assert mosei.find_root(tmp_path) is None


def test_the_facts_count_segments_by_split(tmp_path: Path) -> None:
    table = manifest(write_mmsa(tmp_path))
    found = {fact.name: fact.found for fact in mosei.facts(table, corpus(tmp_path), hours=1.0)}
    assert found == {"segments in train": 2, "segments in dev": 1, "segments in test": 1}
