"""A Kaldi data folder becomes a manifest, and no command of its wav.scp is run."""

from __future__ import annotations

from pathlib import Path

from tests.trainables.corpora.readers.open_trees import APPLE_DOUBLE, opened, refused, write_text, write_tone
from trainables.corpora.readers import kaldi

FILES = {
    "wav.scp": "rec1 audio/rec1.wav\nrec2 audio/rec two.wav\n",
    "segments": "u1 rec1 0.00 0.25\nu2 rec1 0.25 -1\n-007 rec2 0.1 0.5\nu3 rec2 0 0.1\n",
    "utt2spk": "u1 a\nu2 b\n-007 007\nu3 b\n",
    "text": "u1 good day\nu2\n-007 so what\nu3 no\n",
    "spk2gender": "a f\nb m\n007 f\n",
    "utt2emo": "u1 happy\nu2 sad\n-007 sad\nu3 Glee\n",
    "utt2dur": "u1 0.25\n",
    "spk2utt": "a u1\nb u2\n007 -007\n",
    "spk2phq8": "a 3\nb 12\n",
}


def write_data(folder: Path, **changes: str) -> Path:
    for name, text in (FILES | {name.replace("_scp", ".scp"): text for name, text in changes.items()}).items():
        write_text(folder / name, text)
    (folder / "._utt2emo").write_bytes(APPLE_DOUBLE)
    return folder


def write_audio(root: Path) -> None:
    for name in ("rec1", "rec two"):
        write_tone(root / "audio" / f"{name}.wav", 0.5)


def test_utterances_have_their_spans_speakers_texts_and_labels(tmp_path: Path) -> None:
    root = write_data(tmp_path / "kaldi")
    write_audio(root)
    source, _ = opened(tmp_path, "msp_podcast", root, "emotion = { glee = 'hap' }")
    table = source.manifest().set_index("segment")
    assert source.reader == "kaldi"
    assert table.loc["u1", ["recording", "start", "end"]].tolist() == ["audio/rec1.wav", 0.0, 0.25]
    assert table["end"].isna().to_dict() == {"u1": False, "u2": True, "-007": False, "u3": False}
    assert table["speaker"].to_dict() == {"u1": "a", "u2": "b", "-007": "007", "u3": "b"}
    assert table["text"].to_dict() == {"u1": "good day", "u2": "", "-007": "so what", "u3": "no"}
    assert table["gender"].to_dict() == {"u1": "female", "u2": "male", "-007": "female", "u3": "male"}
    assert table["emotion"].to_dict() == {"u1": "hap", "u2": "sad", "-007": "sad", "u3": "hap"}
    assert table["phq8"].fillna(-1).to_dict() == {"u1": 3.0, "u2": 12.0, "-007": -1.0, "u3": 12.0}


def test_without_segments_a_recording_is_an_utterance_and_windows_lines_are_read(tmp_path: Path) -> None:
    root = write_data(tmp_path / "kaldi", wav_scp="u1 audio/rec1.wav\r\nu2 audio/rec two.wav\r\n", utt2spk="u1 a\r\nu2 b\r\n")
    (root / "segments").unlink()
    write_audio(root)
    table = opened(tmp_path, "librispeech", root)[0].manifest()
    assert table["recording"].tolist() == ["audio/rec two.wav", "audio/rec1.wav"]
    assert table["end"].isna().all()


def test_train_dev_and_test_folders_are_splits_with_paths_relative_to_the_root(tmp_path: Path) -> None:
    root = tmp_path / "recipe"
    for split in ("train", "dev", "test"):
        write_text(root / "data" / split / "wav.scp", f"{split}1 wav/{split}.wav\n")
        write_text(root / "data" / split / "utt2spk", f"{split}1 {split}\n")
        write_tone(root / "wav" / f"{split}.wav")
    source, _ = opened(tmp_path, "librispeech", root)
    assert source.manifest().set_index("recording")["split"].to_dict() == {f"wav/{s}.wav": s for s in ("train", "dev", "test")}
    chosen = opened(tmp_path, "librispeech", root, 'manifest = "data"')[0]
    assert chosen.digest == source.digest
    write_data(root / "data" / "train_sp")
    assert "say which with `manifest = " in refused(tmp_path, "librispeech", root)


def test_a_command_is_a_fault_and_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    root = write_data(tmp_path / "kaldi", wav_scp=f"rec1 touch {trace} |\nrec2 audio/rec two.wav\n")
    assert "wav.scp: commands instead of files for 'rec1'" in refused(tmp_path, "librispeech", root)
    assert not trace.exists()


def test_damaged_files_are_faults_that_name_file_and_line(tmp_path: Path) -> None:
    segments = "u1 rec1 0.00 0.25\nu2 rec9 0.25 0.5\nu3 rec1 0.5\n"
    root = write_data(tmp_path / "kaldi", segments=segments, utt2spk="u9 a\n")
    write_audio(root)
    message = refused(tmp_path, "librispeech", root)
    assert "segments: line 2 is not `utterance recording start end`" in message
    assert "segments: line 3" in message
    assert "utt2spk: no speaker for 'u1'" in message
    write_data(root, wav_scp="rec1 a.wav\nrec1 b.wav\n")
    assert "wav.scp: line 2 gives 'rec1' again" in refused(tmp_path, "librispeech", root)


def test_without_utt2spk_a_speaker_pattern_is_asked_for_and_mends_it(tmp_path: Path) -> None:
    root = write_data(tmp_path / "kaldi")
    (root / "utt2spk").unlink()
    write_audio(root)
    assert "speaker_pattern" in refused(tmp_path, "librispeech", root)
    table = opened(tmp_path, "librispeech", root, "speaker_pattern = 'rec(.*)[.]wav'")[0].manifest()
    assert set(table["speaker"]) == {"1", "two"}


def test_a_folder_with_a_table_of_its_own_is_no_kaldi_folder(tmp_path: Path) -> None:
    write_data(tmp_path / "data" / "train")
    assert kaldi.find_root(tmp_path) == tmp_path
    write_text(tmp_path / "metadata.csv", "file_name,speaker\n")
    assert kaldi.find_root(tmp_path) is None


def test_lines_that_no_row_is_made_of_are_noted(tmp_path: Path) -> None:
    root = write_data(tmp_path / "kaldi", wav_scp=FILES["wav.scp"] + "rec3 audio/rec3.wav\n", utt2emo=FILES["utt2emo"] + "u9 sad\n")
    write_audio(root)
    source, report = opened(tmp_path, "msp_podcast", root, "emotion = { glee = 'hap' }")
    assert len(source.manifest()) == 4
    assert report.noted == {
        f"recordings of {root / 'wav.scp'} that no segment is of": ["rec3"],
        f"lines of {root / 'utt2emo'} on utterances that do not exist": ["u9"],
    }


def test_a_manifest_named_by_way_of_a_link_to_the_root_is_found_and_one_outside_it_is_a_fault(tmp_path: Path) -> None:
    root = write_data(tmp_path / "corpus" / "data").parent
    write_audio(root)
    (tmp_path / "link").symlink_to(root)
    table = opened(tmp_path, "librispeech", root, f'reader = "kaldi"\nmanifest = "{tmp_path / "link" / "data"}"')[0].manifest()
    assert set(table["recording"]) == {"audio/rec1.wav", "audio/rec two.wav"}
    write_data(tmp_path / "other")
    message = refused(tmp_path, "librispeech", root, f'reader = "kaldi"\nmanifest = "{tmp_path / "other"}"')
    assert f"is not below the root {root}" in message
