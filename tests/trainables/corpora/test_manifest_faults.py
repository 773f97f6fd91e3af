"""Every fault that a user can make in a manifest is told when the corpus is opened, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import CorpusSource

Rows = list[dict[str, str]]


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        (1, {"talker": "robot"}, "talker must be one of 'subject', 'interviewer'; found 'robot'"),
        (1, {"start": "-0.1"}, "negative times: segments 'a.wav:-0.1-1.0'"),
        (1, {"start": "soon"}, "start must be a number; found 'soon'"),
        (1, {"end": "0.4"}, "end is not after start"),
        (1, {"end": "1.2"}, "segments end after their recording does: 'a.wav:0.4-1.2'"),
        (1, {"start": "0", "end": "0.4"}, "segment names must be unique; found more than once: 'a.wav:0-0.4'"),
        (1, {"speaker": ""}, "speaker is empty in 1 row;"),
        (1, {"depressed": "0"}, "depressed must be constant within a session; it is not in '1'"),
        (1, {"depressed": "2"}, "depressed must be 0 or 1; found '2.0'"),
        (1, {"depressed": "rather"}, "depressed must be a number; found 'rather'"),
        (3, {"talker": "interviewer"}, "sessions without any turn of the subject: '2'"),
        (1, {"path": "../elsewhere.wav"}, "recordings outside the root: '../elsewhere.wav'"),
    ],
)
def test_one_wrong_cell_is_one_clear_fault(
    faults_of: Callable[..., str], interviews: Rows, row: int, change: dict[str, str], message: str
) -> None:
    interviews[row] |= change
    assert message in faults_of("mdd", interviews)


def test_two_speakers_of_each_class_and_both_signs_are_needed(
    faults_of: Callable[..., str], interviews: Rows, sentences: Rows
) -> None:
    message = faults_of("mdd", interviews[:2])
    assert "needs at least 2 depressed speakers (depressed = 1), found 1" in message
    assert "needs at least 2 healthy speakers (depressed = 0), found 0" in message
    assert "needs at least 1 negative sentence (sentiment < 0), found 0" in faults_of("mosei", sentences[:1])


def test_two_emotions_of_two_speakers_each_and_three_speakers_are_needed(
    open_corpus: Callable[..., CorpusSource], faults_of: Callable[..., str]
) -> None:
    def rows(*spoken: tuple[str, str]) -> Rows:
        return [
            {"file_name": f"{name}.wav", "speaker": speaker, "emotion": emotion}
            for name, (speaker, emotion) in zip("abcd", spoken, strict=True)
        ]

    message = faults_of("iemocap", rows(("x", "ang"), ("x", "neu"), ("y", "neu"), ("y", "sad")))
    assert "needs at least 3 speakers, found 2" in message
    assert "needs at least 2 emotions (ang, hap or exc, sad, fru, neu) that two or more speakers have, found 1" in message
    open_corpus("iemocap", rows(("x", "hap"), ("y", "exc"), ("y", "neu"), ("z", "neu")))


def test_a_speaker_of_many_sessions_and_an_interviewer_are_no_second_speaker_of_a_class(
    faults_of: Callable[..., str], interviews: Rows
) -> None:
    interviews[5]["speaker"] = "-x"
    message = faults_of("mdd", interviews)
    assert "2 healthy speakers (depressed = 0), found 1" in message
    assert "depressed speakers" not in message


def test_sessions_of_two_subjects_are_a_fault_that_names_ten_and_counts_the_rest(faults_of: Callable[..., str]) -> None:
    rows = [
        {"path": "a.wav", "segment": f"{n}-{who}", "speaker": f"{n}-{who}", "session": f"{n:02d}", "depressed": str(n % 2)}
        for n in range(12)
        for who in ("x", "y")
    ]
    message = faults_of("mdd", rows)
    assert "must have one speaker; they have several in '00', '01'" in message
    assert "'09' and 2 more" in message


def test_sentences_of_several_speakers_may_share_a_session(open_corpus: Callable, sentences: Rows) -> None:
    rows = [{**row, "session": "talk"} for row in sentences]
    assert open_corpus("mosei", rows).manifest()["speaker"].tolist() == ["s1", "s2"]


def test_a_session_without_its_label_is_a_fault_and_a_turn_without_it_is_not(
    open_corpus: Callable, faults_of: Callable[..., str], interviews: Rows
) -> None:
    interviews[0]["depressed"] = ""
    assert open_corpus("mdd", interviews).manifest()["depressed"].tolist() == [1, 1, 0, 0, 1, 0]
    interviews[1]["depressed"] = ""
    assert "depressed is missing: segments 'a.wav:0.4-1.0'" in faults_of("mdd", interviews)


def test_a_speaker_in_two_splits_and_half_filled_splits_are_faults(faults_of: Callable[..., str], sentences: Rows) -> None:
    rows = [{**row, "split": split, "speaker": "s"} for row, split in zip(sentences, ("Train", "validation"), strict=True)]
    assert "one speaker must be in one split; in several are 's'" in faults_of("mosei", rows)
    rows = [{**row, "split": split} for row, split in zip(sentences, ("train", ""), strict=True)]
    assert "split is empty in 1 of 2 rows" in faults_of("mosei", rows)


def test_an_interviewer_may_appear_in_several_splits(open_corpus: Callable, interviews: Rows) -> None:
    splits = ["train", "train", "test", "test", "train", "test"]
    rows = [{**row, "split": split} for row, split in zip(interviews, splits, strict=True)]
    assert open_corpus("mdd", rows).manifest()["split"].tolist() == splits


def test_an_unknown_split_is_a_fault_that_says_how_to_map_it(faults_of: Callable[..., str], sentences: Rows) -> None:
    rows = [{**row, "split": "Test1"} for row in sentences]
    assert "found 'Test1': map them in corpora.toml, for example [mosei.split] Test1 = 'test2'" in faults_of("mosei", rows)


def test_missing_files_are_listed_up_to_ten_and_counted(faults_of: Callable[..., str], sentences: Rows) -> None:
    rows = sentences + [{"file_name": f"no{i:02d}.wav", "speaker": f"x{i}", "sentiment": "1"} for i in range(14)]
    message = faults_of("mosei", rows)
    assert "14 audio files are missing" in message
    assert "'no09.wav' and 4 more" in message
    assert "'no10.wav'" not in message


def test_empty_and_damaged_audio_is_found_when_the_corpus_is_opened(
    faults_of: Callable[..., str], sentences: Rows, tmp_path: Path
) -> None:
    (tmp_path / "corpus").mkdir()
    soundfile.write(tmp_path / "corpus" / "a.wav", np.zeros(0), 16000)
    (tmp_path / "corpus" / "b.wav").write_bytes(b"\x00\x05\x16\x07 AppleDouble" * 9)
    message = faults_of("mosei", sentences)
    assert "a.wav: holds no audio" in message
    assert "b.wav: cannot be read as audio" in message


def test_all_faults_of_a_manifest_are_told_together(faults_of: Callable[..., str], interviews: Rows) -> None:
    interviews[0]["talker"] = "robot"
    interviews[1]["start"] = "-1"
    interviews[2]["path"] = "none.wav"
    message = faults_of("mdd", interviews)
    assert "talker must be" in message
    assert "negative times" in message
    assert "1 audio file is missing: 'none.wav';" in message


def test_a_manifest_without_rows_is_a_fault(faults_of: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "manifest.csv").write_text("path,speaker,sentiment\n")
    assert "the manifest has no rows" in faults_of("mosei", None)
