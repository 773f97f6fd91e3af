"""Manifests of lhotse, written by the package itself, become a manifest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.open_trees import opened, refused, write_text, write_tone
from trainables.corpora.readers import lhotse_manifests

lhotse = pytest.importorskip("lhotse", reason="an optional extra")


def recording(root: Path, name: str, channels: int = 1) -> lhotse.Recording:
    path = write_tone(root / "audio" / f"{name}.wav", 0.5, channels=channels)
    found = lhotse.Recording.from_file(path, recording_id=name)
    found.sources[0].source = path.relative_to(root).as_posix()
    return found


def supervisions(name: str, emotions: tuple[str, ...] = ("happy", "sad")) -> list[lhotse.SupervisionSegment]:
    return [
        lhotse.SupervisionSegment(
            id=f"{name}-{number}",
            recording_id=name,
            start=0.2 * number,
            duration=0.2,
            text="so what",
            speaker=f"spk-{name}",
            gender="female",
            custom={"emotion": emotion, "phq8": 7, "ignored": [1, 2]},
        )
        for number, emotion in enumerate(emotions)
    ]


def write_part(root: Path, part: str, names: tuple[str, ...] = ("a", "b")) -> None:
    names = tuple(f"{part}-{name}" for name in names)
    lhotse.RecordingSet.from_recordings(recording(root, name) for name in names).to_file(root / f"x_recordings_{part}.jsonl.gz")
    segments = [segment for name in names for segment in supervisions(name)]
    lhotse.SupervisionSet.from_segments(segments).to_file(root / f"x_supervisions_{part}.jsonl.gz")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_part(tmp_path / "corpus", "train")
    write_part(tmp_path / "corpus", "test")
    return tmp_path / "corpus"


def test_supervisions_become_rows_with_custom_labels_and_splits(tmp_path: Path, root: Path) -> None:
    source, _ = opened(tmp_path, "msp_podcast", root)
    table = source.manifest().set_index("segment")
    assert source.reader == "lhotse"
    assert table["split"].value_counts().to_dict() == {"train": 4, "test": 4}
    row = table.loc["train-a-1"]
    assert (row["recording"], row["speaker"], row["emotion"], row["gender"]) == (
        "audio/train-a.wav",
        "spk-train-a",
        "sad",
        "female",
    )
    assert (row["start"], row["end"], row["phq8"], row["text"]) == (pytest.approx(0.2), pytest.approx(0.4), 7.0, "so what")


def test_cuts_give_times_within_the_recording(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    whole = [
        lhotse.MonoCut(id=name, start=0, duration=0.5, channel=0, recording=recording(root, name), supervisions=supervisions(name))
        for name in ("a", "b")
    ]
    lhotse.CutSet.from_cuts(cut.truncate(offset=0.1) for cut in whole).to_file(root / "cuts.jsonl.gz")
    table = opened(tmp_path, "msp_podcast", root, "split = {}")[0].manifest().set_index("segment")
    assert table.loc["a-1", ["start", "end"]].tolist() == pytest.approx([0.2, 0.4])
    assert table.loc["a-0", "start"] == pytest.approx(0.0)


def test_supervisions_on_several_channels_of_a_recording_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    segments = supervisions("a")
    segments[1].channel = 1
    lhotse.RecordingSet.from_recordings([recording(root, "a", channels=2)]).to_file(root / "recordings.jsonl.gz")
    lhotse.SupervisionSet.from_segments(segments).to_file(root / "supervisions.jsonl.gz")
    assert "different channels of recordings 'a'" in refused(tmp_path, "msp_podcast", root)


def test_a_recording_that_is_a_command_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    commanded = recording(root, "a")
    commanded.sources[0].type, commanded.sources[0].source = "command", "cat a.wav"
    lhotse.RecordingSet.from_recordings([commanded]).to_file(root / "recordings.jsonl.gz")
    lhotse.SupervisionSet.from_segments(supervisions("a")).to_file(root / "supervisions.jsonl.gz")
    assert "recordings 'a' are not one unchanged file each" in refused(tmp_path, "msp_podcast", root)


def test_a_supervision_without_recording_and_a_damaged_file_are_faults(tmp_path: Path, root: Path) -> None:
    lhotse.SupervisionSet.from_segments(supervisions("ghost")).to_file(root / "x_supervisions_train.jsonl.gz")
    assert "recordings 'ghost' are not in x_recordings_train.jsonl.gz" in refused(tmp_path, "msp_podcast", root)
    (root / "x_supervisions_train.jsonl.gz").write_bytes(b"\x1f\x8b cut short")
    assert "x_supervisions_train.jsonl.gz: lhotse cannot read it" in refused(tmp_path, "msp_podcast", root)


def test_only_pairs_and_cuts_are_taken_for_lhotses(tmp_path: Path, root: Path) -> None:
    assert lhotse_manifests.find_root(root) == root
    for path in root.glob("*recordings*"):
        path.unlink()
    assert lhotse_manifests.find_root(root) is None
    write_text(root / "shortcuts.jsonl", "{}\n")
    assert lhotse_manifests.find_root(root) is None


def test_without_the_package_the_fault_says_how_to_install_it(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lhotse", None)
    assert "pip install 'speech-orchestrator[manifests]'" in refused(tmp_path, "msp_podcast", root)
