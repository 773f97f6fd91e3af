"""CMU-MOSEI with something wrong in it: every fault is told with the file's name and what to do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.corpora.readers.mosei_trees import (
    CLIPS,
    DEV,
    NO_FOLD,
    TRAIN,
    VIDEOS,
    Label,
    read,
    write,
    write_mmsa,
    write_sdk,
)
from trainables.corpora.readers import mosei, mosei_sequence
from trainables.corpora.readers.mosei_csd import AUDIO
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError


def refusal(root: Path, home: Path) -> str:
    spec = write(home / "corpora.toml", f'[mosei]\nroot = "{root}"\n')
    with pytest.raises(UserError) as caught:
        open_corpora(str(spec), home / "home", ["mosei"])
    return str(caught.value)


def told(root: Path) -> str:
    """The one fault that keeps a tree from being read."""
    table, report = read(root)
    assert table is None
    assert len(report.messages) == 1
    return report.messages[0]


def test_a_missing_recording_is_a_fault_that_names_it(tmp_path: Path) -> None:
    root = write_sdk(tmp_path / "MOSEI")
    (root / AUDIO / f"{DEV}.wav").unlink()
    message = refusal(root, tmp_path)
    assert message.startswith("1 fault ")
    assert f"{AUDIO}/{DEV}.wav" in message


def test_without_any_audio_the_fault_says_how_to_extract_it(tmp_path: Path) -> None:
    write_sdk(tmp_path)
    for path in (tmp_path / AUDIO).iterdir():
        path.unlink()
    _, report = read(tmp_path)
    assert len(report.messages) == 1
    assert "no .wav file in Raw/Audio/Full/WAV_16000" in report.messages[0]
    assert "ffmpeg -nostdin -i" in report.messages[0]


@pytest.mark.parametrize("times", [(3.5, 9.0), (5.0, 6.0), (2.0, 1.0)])
def test_a_segment_outside_its_recording_or_backwards_is_a_fault_that_names_it(tmp_path: Path, times: tuple[float, float]) -> None:
    root = write_sdk(tmp_path / "MOSEI", {**VIDEOS, DEV: (Label(*times, 1.0),)})
    assert f"'{DEV}[0]'" in refusal(root, tmp_path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_labels_that_are_no_hdf5_are_a_fault_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / mosei.LABELS_CSD, content)
    assert told(tmp_path).startswith(f"{tmp_path / mosei.LABELS_CSD}: cannot be read as a computational sequence")


@pytest.mark.parametrize(
    ("group", "features", "intervals"),
    [
        ("All Labels/data", np.zeros((2, 6)), np.zeros((2, 2))),
        ("All Labels/data", np.zeros((2, 7)), np.zeros((3, 2))),
        ("All Labels/data", np.zeros((2, 7)), np.zeros(2)),
        ("All Labels/data", np.full((1, 7), np.nan), np.array([[0.0, 1.0]])),
        ("All Labels/data", np.zeros((1, 7)), np.array([[0.0, np.inf]])),
        ("All Labels/data", np.array([[b"sp"]]), np.array([[0.0, 1.0]])),  # the sequence of words
        ("All Labels", np.zeros((1, 7)), np.array([[0.0, 1.0]])),
        ("data", np.zeros((1, 7)), np.array([[0.0, 1.0]])),
    ],
)
def test_labels_of_another_structure_are_a_fault_that_names_the_file(
    tmp_path: Path, group: str, features: np.ndarray, intervals: np.ndarray
) -> None:
    with h5py.File(tmp_path / mosei.LABELS_CSD, "w") as file:
        file[f"{group}/{TRAIN}/features"] = features
        file[f"{group}/{TRAIN}/intervals"] = intervals
    assert str(tmp_path / mosei.LABELS_CSD) in told(tmp_path)


def test_labels_of_other_dimensions_are_a_fault_that_names_both(tmp_path: Path) -> None:
    write_sdk(tmp_path, dimensions=("sentiment", "happy", "sad", "anger", "surprise", "disgust", "joy"))
    message = told(tmp_path)
    assert "surprise, disgust, joy; expected sentiment, happy, sad, anger, surprise, disgust, fear" in message


@pytest.mark.parametrize("names", ["{", "3", '[["sentiment"]]', "null"])
def test_metadata_that_cannot_be_understood_are_a_fault(tmp_path: Path, names: str) -> None:
    write_sdk(tmp_path, dimensions=None)
    with h5py.File(tmp_path / mosei.LABELS_CSD, "r+") as file:
        file.create_dataset("All Labels/metadata/dimension names", data=[names], dtype=h5py.string_dtype())
    assert str(tmp_path / mosei.LABELS_CSD) in told(tmp_path)


def test_labels_without_a_video_of_any_fold_are_a_fault(tmp_path: Path) -> None:
    write_sdk(tmp_path, {NO_FOLD: (Label(0.0, 1.0, 1.0),)})
    assert "none of its 1 videos" in told(tmp_path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A sound tree, and its labels, which a test below cuts short."""
    root = write_sdk(tmp_path_factory.mktemp("MOSEI"))
    return root, (root / mosei.LABELS_CSD).read_bytes()


@settings(max_examples=12)
@given(share=st.floats(0, 1, exclude_max=True))
def test_labels_that_were_cut_short_are_a_fault(tree: tuple[Path, bytes], share: float) -> None:
    root, sound = tree
    write(root / mosei.LABELS_CSD, sound[: int(share * len(sound))])
    assert str(root / mosei.LABELS_CSD) in told(root)


def test_labels_at_which_the_hdf5_library_comes_to_no_end_are_a_fault(
    tree: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loops on some damaged files, where no signal ends it; any file serves for a limit that none keeps."""
    root, sound = tree
    write(root / mosei.LABELS_CSD, sound)
    monkeypatch.setattr(mosei_sequence, "_SECONDS", 0.0)
    assert "the HDF5 library comes to no end of it" in told(root)


def mmsa(root: Path, **changes: str) -> Path:
    """MMSA's tree with these values in its second row."""
    return write_mmsa(root, [CLIPS[0], {**CLIPS[1], **changes}, *CLIPS[2:]])


def test_clips_that_are_there_as_video_alone_are_a_fault_that_says_how_to_extract_their_sound(tmp_path: Path) -> None:
    message = told(write_mmsa(tmp_path, suffix=".mp4"))
    assert f"Raw/{TRAIN}/10.wav" in message
    assert "for f in Raw/*/*.mp4; do ffmpeg -nostdin -i" in message


def test_a_clip_that_is_not_there_at_all_is_a_fault_that_names_it(tmp_path: Path) -> None:
    root = write_mmsa(tmp_path / "MOSEI")
    (root / "Raw" / TRAIN / "10.wav").unlink()
    message = refusal(root, tmp_path)
    assert message.startswith("1 fault ")
    assert f"Raw/{TRAIN}/10.wav" in message


@pytest.mark.parametrize(("label", "shown"), [("", "''"), ("good", "'good'"), ("4", "'4'"), ("nan", "'nan'")])
def test_a_label_that_is_no_sentiment_is_a_fault_that_names_its_clip(tmp_path: Path, label: str, shown: str) -> None:
    message = told(mmsa(tmp_path, label=label))
    assert f"{tmp_path / mosei.LABELS_CSV}: label must be a number from -3 to 3; found {shown} at '{TRAIN}$_$10'" in message


def test_an_unknown_split_is_a_fault_that_names_its_clip(tmp_path: Path) -> None:
    assert f"mode must be train, valid or test; found 'train2' at '{TRAIN}$_$10'" in told(mmsa(tmp_path, mode="train2"))


def test_all_faults_of_the_table_are_told_at_once(tmp_path: Path) -> None:
    _, report = read(mmsa(tmp_path, mode="", label=""))
    assert [message.split(": ")[1].split()[0] for message in report.messages] == ["label", "mode"]


def test_a_clip_that_is_listed_twice_is_a_fault(tmp_path: Path) -> None:
    root = mmsa(tmp_path / "MOSEI", video_id=CLIPS[0]["video_id"], clip_id=CLIPS[0]["clip_id"])
    assert "segment names must be unique" in refusal(root, tmp_path)


@pytest.mark.parametrize(
    "content", ["video_id,clip_id\n", "video_id,clip_id,text,label,mode\n", "video_id,clip_id,text,label\na,b,c,1\n"]
)
def test_a_table_without_its_columns_or_without_rows_is_a_fault_that_names_it(tmp_path: Path, content: str) -> None:
    write(tmp_path / mosei.LABELS_CSV, content)
    assert str(tmp_path / mosei.LABELS_CSV) in told(tmp_path)


def test_a_row_with_a_cell_too_many_is_a_fault_that_names_its_line(tmp_path: Path) -> None:
    path = write_mmsa(tmp_path) / mosei.LABELS_CSV
    write(path, path.read_text() + "train,abc,a text, unquoted,1,,Positive,1\n")
    assert f"{path}: line 6" in told(tmp_path)


def test_labels_that_have_gone_since_are_a_fault(tmp_path: Path) -> None:
    assert "neither CMU_MOSEI_Labels.csd nor label.csv" in told(tmp_path)
