"""CMU-MOSEI as its authors deliver it: labels from the computational sequence, texts by their times, the SDK's folds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.trainables.corpora.readers.mosei_trees import (
    APPLE_DOUBLE,
    DEV,
    NO_FOLD,
    TEST,
    TRAIN,
    TRAIN_DASH,
    VIDEOS,
    Label,
    corpus,
    manifest,
    read,
    write,
    write_sdk,
    write_wav,
)
from trainables.corpora.audio import read_audio
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.readers import mosei, mosei_folds
from trainables.corpora.readers.mosei_csd import AUDIO, TRANSCRIPTS
from trainables.corpora.readers.mosei_folds import FOLDS
from trainables.corpora.registry import detect_reader, open_corpora


def test_a_segment_has_the_documented_columns_with_their_types(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path))
    assert list(table.columns) == [*COLUMNS, "sentiment", "emotion", *mosei_intensities()]
    for name, column in (COLUMNS | LABELS).items():
        if name in table:
            assert (table[name].dtype == "float64") == (column.kind is float)
    assert table[table["segment"] == f"{TRAIN}[0]"].to_dict("records") == [
        {
            "segment": f"{TRAIN}[0]",
            "recording": f"Raw/Audio/Full/WAV_16000/{TRAIN}.wav",
            "start": 2.0,
            "end": 3.5,
            "speaker": TRAIN,
            "talker": "subject",
            "session": TRAIN,
            "split": "train",
            "text": "a sad one",
            "sentiment": -1.5,
            "emotion": "sad",
            "happiness": 0.0,
            "sadness": 1.5,
            "anger": 0.0,
            "surprise": 0.0,
            "disgust": 0.0,
            "fear": 0.0,
        }
    ]


def mosei_intensities() -> list[str]:
    return ["happiness", "sadness", "anger", "surprise", "disgust", "fear"]


def test_a_text_belongs_to_the_segment_of_its_times_whatever_the_order_of_either_file(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path))
    wanted = {f"{video}[{row}]": label.text for video, labels in VIDEOS.items() for row, label in enumerate(labels)}
    assert dict(zip(table["segment"], table["text"], strict=True)) == wanted


def test_ids_with_underscores_at_their_end_and_texts_with_three_of_them_are_read(tmp_path: Path) -> None:
    video = "PtH_8O__EAY"
    assert FOLDS[video] == "train"
    table = manifest(write_sdk(tmp_path, {video: (Label(0.0, 1.0, 1.0, text="_____ right___"),)}))
    assert table["text"].tolist() == ["_____ right___"]


@pytest.mark.parametrize(
    ("intensities", "emotion"),
    [
        ((0, 0, 0, 0, 0, 0), "neu"),
        ((0.3333, 0, 0, 0, 0, 0), "hap"),
        ((1, 0, 0, 0, 0, 2), "fea"),
        ((0, 0, 3, 0, 3, 0), "ang"),  # as strong: the first in the file's order
        ((0, 0, 0, 1, 0, 1), "sur"),
        ((0, 0, 0, 0, 0.5, 0), "dis"),
    ],
)
def test_the_emotion_is_the_strongest_one_and_neutral_where_there_is_none(
    tmp_path: Path, intensities: tuple[float, ...], emotion: str
) -> None:
    table = manifest(write_sdk(tmp_path, {TRAIN: (Label(0.0, 1.0, 0.0, intensities),)}))
    assert table["emotion"].tolist() == [emotion]
    assert table[mosei_intensities()].to_numpy()[0].tolist() == pytest.approx(intensities)


@pytest.mark.parametrize("dimensions", [None, ("fear", "happy", "sentiment", "sad", "anger", "surprise", "disgust")])
def test_the_order_of_the_labels_is_that_of_the_files_metadata(tmp_path: Path, dimensions: tuple[str, ...] | None) -> None:
    usual = manifest(write_sdk(tmp_path / "usual"))
    other = manifest(write_sdk(tmp_path / "other", dimensions=dimensions))
    assert usual.equals(other)


def test_splits_are_the_sdks_folds_and_ids_stay_text(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path))
    assert table.groupby("session")["split"].first().to_dict() == {TRAIN: "train", TRAIN_DASH: "train", DEV: "dev", TEST: "test"}
    assert (table["speaker"] == table["session"]).all()


def test_the_folds_have_the_documented_sizes_and_share_no_video() -> None:
    assert {split: list(FOLDS.values()).count(split) for split in ("train", "dev", "test")} == {
        "train": 2249,
        "dev": 300,
        "test": 678,
    }
    # a dictionary would hide an id of two folds
    assert sum(len(ids.split()) for ids in (mosei_folds._TRAIN, mosei_folds._DEV, mosei_folds._TEST)) == len(FOLDS)


def test_videos_of_no_fold_are_left_out_and_their_segments_named(tmp_path: Path) -> None:
    table, report = read(write_sdk(tmp_path, {**VIDEOS, NO_FOLD: VIDEOS[TEST]}))
    assert NO_FOLD not in set(table["session"])
    assert report.messages == []
    assert report.skipped == {"segments of videos that are in no official fold": [f"{NO_FOLD}[0]", f"{NO_FOLD}[1]"]}


def test_a_start_before_the_recording_is_its_start(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path)).set_index("segment")
    assert (table.loc[f"{TRAIN}[1]", "start"], table.loc[f"{TRAIN}[1]", "text"]) == (0.0, "I (uhh) liked it")


@pytest.mark.parametrize("times", [(1.5, 1.5), (-0.25, 0.0)])
def test_a_segment_without_length_is_left_out_and_named(tmp_path: Path, times: tuple[float, float]) -> None:
    table, report = read(write_sdk(tmp_path, {TRAIN: (Label(*times, 1.0), Label(2.0, 3.0, 1.0))}))
    assert table["segment"].tolist() == [f"{TRAIN}[1]"]
    assert report.messages == []
    assert report.skipped == {"segments that begin where they end": [f"{TRAIN}[0]"]}


def test_a_missing_or_damaged_transcript_costs_the_text_alone_and_is_told(tmp_path: Path) -> None:
    write_sdk(tmp_path)
    (tmp_path / TRANSCRIPTS / f"{DEV}.txt").unlink()
    write(tmp_path / TRANSCRIPTS / f"{TEST}.txt", f"{TEST}___0___0.0000___1.00\n\n{TEST}___9___1.0___3.8___hm\n")
    table, report = read(tmp_path)
    assert (table.loc[table["session"].isin((DEV, TEST)), "text"] == "").all()
    assert report.messages == []
    assert report.noted == {
        "segments without a transcript of their times (they stay, with an empty text)": [f"{DEV}[0]", f"{TEST}[0]", f"{TEST}[1]"],
    }
    assert report.skipped == {
        "transcribed clips without labels": [f"{TEST}___9"],
        "lines of transcripts that are no clip": [f"{TEST}.txt line 1"],
    }


def test_times_of_single_precision_are_found_in_the_transcript(tmp_path: Path) -> None:
    start, end = 201.7043521, 209.1120977  # in 32 bits 201.70435, 209.1121
    write_sdk(tmp_path, {TRAIN: (Label(start, end, 1.0, text="late"),)})
    with h5py.File(tmp_path / mosei.LABELS_CSD, "r+") as file:
        del file[f"All Labels/data/{TRAIN}/intervals"]
        file[f"All Labels/data/{TRAIN}/intervals"] = np.array([(start, end)], dtype="float32")
    assert manifest(tmp_path)["text"].tolist() == ["late"]


def test_macos_leavings_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    before = manifest(write_sdk(tmp_path))
    path = tmp_path / TRANSCRIPTS / f"{TRAIN}.txt"
    write(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    for name in (f"._{mosei.LABELS_CSD}", f"{TRANSCRIPTS}/._{TRAIN}.txt", f"{AUDIO}/._{TRAIN}.wav"):
        write(tmp_path / name, APPLE_DOUBLE)
    table, report = read(tmp_path)
    assert before.equals(table)
    assert report.messages == []
    assert report.skipped == {}


def test_audio_without_a_label_is_left_out_and_named(tmp_path: Path) -> None:
    write_sdk(tmp_path)
    write_wav(tmp_path / AUDIO / "unlabelled.wav", 0.1)
    _, report = read(tmp_path)
    assert report.messages == []
    assert report.skipped == {"audio files without a label": [f"{AUDIO}/unlabelled.wav"]}


def test_stereo_of_another_rate_opens_as_it_is(tmp_path: Path) -> None:
    write_sdk(tmp_path / "MOSEI", rate=44100, channels=2)
    spec = write(tmp_path / "corpora.toml", '[mosei]\nroot = "MOSEI"\n')
    source = open_corpora(str(spec), tmp_path / "home", ["mosei"])["mosei"]
    row = source.manifest().set_index("segment").loc[f"{TRAIN}[0]"]
    assert source.reader == "mosei"
    assert len(read_audio(source.audio_path(row["recording"]), row["start"], row["end"])) == pytest.approx(24000, abs=1)


def test_it_is_recognised_in_another_corpus_role(tmp_path: Path) -> None:
    assert detect_reader(write_sdk(tmp_path), "casia") == "mosei"


@pytest.mark.parametrize("given", ["", "above", "Raw"])
def test_the_root_may_be_one_level_too_high_or_too_low(tmp_path: Path, given: str) -> None:
    root = write_sdk(tmp_path / "above" / "CMU-MOSEI")
    folder = tmp_path / "above" if given == "above" else root / given
    assert mosei.find_root(folder) == root
    assert detect_reader(folder, "mosei") == "mosei"


def test_the_facts_count_segments_videos_and_hours_and_what_is_in_no_fold(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path, {**VIDEOS, NO_FOLD: VIDEOS[TEST]}))
    found = {fact.name: fact.found for fact in mosei.facts(table, corpus(tmp_path), hours=1.0)}
    assert found == {
        "segments in all": 8,
        "videos in all": 5,
        "segments in no fold": 2,
        "segments in train": 3,
        "segments in dev": 1,
        "segments in test": 2,
        "videos in train": 2,
        "videos in dev": 1,
        "videos in test": 1,
        "hours of segments": pytest.approx((1.5 + 1.0 + 0.75 + 1.0 + 1.0 + 2.9) / 3600),
    }


def test_the_documented_counts_agree_with_one_another(tmp_path: Path) -> None:
    table = manifest(write_sdk(tmp_path))
    expected = {fact.name: fact.expected for fact in mosei.facts(table, corpus(tmp_path), hours=1.0)}
    assert (expected["segments in all"], expected["segments in no fold"]) == (23259, 399)
    assert sum(expected[f"videos in {split}"] for split in ("train", "dev", "test")) + 68 == expected["videos in all"]
