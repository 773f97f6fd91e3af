"""IEMOCAP in its official layout: what a turn's row says, which audio it names, and what is left out."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.iemocap_trees import (
    APPLE_DOUBLE,
    DIALOGUES,
    TURN_SECONDS,
    edit,
    manifest,
    read,
    write,
    write_iemocap,
    write_wav,
)
from trainables.corpora.audio import read_audio
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.readers import iemocap
from trainables.corpora.registry import detect_reader, open_corpora

EVALUATION = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
TRANSCRIPT = "Session1/dialog/transcriptions/Ses01F_impro01.txt"


def opened(root: Path, home: Path) -> tuple[object, dict]:
    spec = write(home / "corpora.toml", f'[iemocap]\nroot = "{root}"\n')
    reports: dict = {}
    return open_corpora(str(spec), home / "home", ["iemocap"], reports)["iemocap"], reports


def test_a_turn_has_the_documented_columns_with_their_types(tmp_path: Path) -> None:
    table = manifest(write_iemocap(tmp_path))
    labels = ["emotion", "valence", "activation", "dominance", "gender", "style", "prompt", "conversation_start"]
    assert list(table.columns) == [*COLUMNS, *labels]
    for name, column in (COLUMNS | LABELS).items():
        if name in table:
            assert (table[name].dtype == "float64") == (column.kind is float)
    assert table["end"].isna().all()
    assert table[table["segment"] == "Ses01F_impro01_M000"].drop(columns="end").to_dict("records") == [
        {
            "segment": "Ses01F_impro01_M000",
            "recording": "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
            "start": 0.0,
            "speaker": "Ses01M",
            "talker": "subject",
            "session": "Ses01F_impro01",
            "split": "",
            "text": "Yeah.",
            "emotion": "fru",
            "valence": 1.5,
            "activation": 2.5,
            "dominance": 3.5,
            "gender": "male",
            "style": "improvised",
            "prompt": "",
            "conversation_start": TURN_SECONDS,
        }
    ]


def test_every_labelled_turn_is_one_row_with_the_files_own_code(tmp_path: Path) -> None:
    table = manifest(write_iemocap(tmp_path))
    wanted = {f"{dialogue}_{turn.token}": turn.emotion for dialogue, turns in DIALOGUES.items() for turn in turns}
    assert dict(zip(table["segment"], table["emotion"], strict=True)) == wanted


def test_the_speaker_is_who_talks_and_not_who_wears_the_markers(tmp_path: Path) -> None:
    table = manifest(write_iemocap(tmp_path)).set_index("segment")
    talkers = {"F": "female", "M": "male"}
    for name, row in table.iterrows():
        letter = name.rsplit("_", 1)[1][0]
        assert (row["speaker"], row["gender"]) == (name[:5] + letter, talkers[letter])
    assert set(table["speaker"]) == {f"Ses0{session}{letter}" for session in (1, 2, 3) for letter in "FM"}


def test_the_speakers_first_letters_are_the_recording_session(tmp_path: Path) -> None:
    table = manifest(write_iemocap(tmp_path))
    assert (table["speaker"].str[:5].str[-1] == table["recording"].str.removeprefix("Session").str[0]).all()


def test_scripted_turns_name_their_script_alike_in_all_sessions_and_improvised_ones_none(tmp_path: Path) -> None:
    table = manifest(write_iemocap(tmp_path)).groupby("session")[["style", "prompt"]].first()
    assert table.T.to_dict() == {
        "Ses01F_impro01": {"style": "improvised", "prompt": ""},
        "Ses01M_script01_1b": {"style": "scripted", "prompt": "script01_1"},
        "Ses02M_impro05a": {"style": "improvised", "prompt": ""},
        "Ses03F_script01_1": {"style": "scripted", "prompt": "script01_1"},
    }


def test_macos_leavings_and_the_raters_own_files_are_not_read(tmp_path: Path) -> None:
    before = manifest(write_iemocap(tmp_path))
    write(tmp_path / "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt", APPLE_DOUBLE)
    write(tmp_path / "Session1/dialog/transcriptions/._Ses01F_impro01.txt", APPLE_DOUBLE)
    write(tmp_path / "Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_F000.wav", APPLE_DOUBLE)
    write(tmp_path / "._Session1", APPLE_DOUBLE)
    write(tmp_path / "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt", "Ses01F_impro01_F000 :Neutral; ()\n")
    table, report = read(tmp_path)
    assert before.equals(table)
    assert report.messages == []
    assert list(report.skipped) == ["turns without a label and audio of their own (_XX)"]


def test_turns_without_a_label_are_left_out_and_counted_once(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    edit(tmp_path / EVALUATION, lambda text: text + "[9.0000 - 9.5000]\tSes01F_impro01_MXX0\txxx\t[0.0000, 0.0000, 0.0000]\n")
    table, report = read(tmp_path)
    assert not table["segment"].str.contains("XX").any()
    assert report.messages == []
    assert report.skipped == {"turns without a label and audio of their own (_XX)": sorted(f"{name}_MXX0" for name in DIALOGUES)}


def test_audio_without_a_label_is_left_out_and_named(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    write_wav(tmp_path / "Session2/sentences/wav/Ses02M_impro05a/Ses02M_impro05a_F009.wav", 0.1)
    table, report = read(tmp_path)
    assert "Ses02M_impro05a_F009" not in set(table["segment"])
    assert report.skipped["audio files without a label"] == ["Session2/sentences/wav/Ses02M_impro05a/Ses02M_impro05a_F009.wav"]


def test_without_sentences_turns_are_spans_of_the_dialogues_recordings(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path / "IEMOCAP", sentences=False, rate=44100, channels=2)
    write_wav(root / "Session1/dialog/wav/Ses01F_impro09.wav", 0.1)
    source, reports = opened(root, tmp_path)
    table = source.manifest()
    assert set(table["recording"]) == {f"Session{name[4]}/dialog/wav/{name}.wav" for name in DIALOGUES}
    turn = table[table["segment"] == "Ses01F_impro01_F001"].iloc[0]
    assert (turn["start"], turn["end"]) == pytest.approx((2 * TURN_SECONDS, 3 * TURN_SECONDS))
    audio = read_audio(source.audio_path(turn["recording"]), turn["start"], turn["end"])
    assert len(audio) == pytest.approx(16000 * TURN_SECONDS, abs=1)
    assert reports["iemocap"].skipped["audio files without a label"] == ["Session1/dialog/wav/Ses01F_impro09.wav"]


def test_sentences_are_preferred_where_both_are_there(tmp_path: Path) -> None:
    write_iemocap(tmp_path, sentences=False)
    table = manifest(write_iemocap(tmp_path))
    assert table["recording"].str.contains("/sentences/wav/").all()
    assert all(math.isnan(end) for end in table["end"])


def test_line_ends_a_byte_order_mark_and_bytes_that_are_no_utf8_do_not_matter(tmp_path: Path) -> None:
    before = manifest(write_iemocap(tmp_path))
    for path in (tmp_path / EVALUATION, tmp_path / TRANSCRIPT):
        write(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    with (tmp_path / EVALUATION).open("ab") as file:
        file.write(b"C-E9:\tOther;\t(d\xe9j\xe0 vu)\r\n")
    assert before.equals(manifest(tmp_path))


def test_a_turn_without_a_transcript_stays_with_an_empty_text_and_is_named(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    (tmp_path / TRANSCRIPT).unlink()
    table, report = read(tmp_path)
    assert (table.loc[table["session"] == "Ses01F_impro01", "text"] == "").all()
    assert report.messages == []
    missing = report.noted["turns without a transcript (they stay, with an empty text)"]
    assert not any("transcript" in reason for reason in report.skipped)
    assert missing == ["Ses01F_impro01_F000", "Ses01F_impro01_M000", "Ses01F_impro01_F001"]


def test_it_is_recognised_in_another_corpus_role(tmp_path: Path) -> None:
    assert detect_reader(write_iemocap(tmp_path), "msp_podcast") == "iemocap"


@pytest.mark.parametrize("given", ["", "above", "Session1"])
def test_the_root_may_be_one_level_too_high_or_too_low(tmp_path: Path, given: str) -> None:
    root = write_iemocap(tmp_path / "above" / "IEMOCAP_full_release")
    folder = tmp_path / "above" if given == "above" else root / given
    assert iemocap.find_root(folder) == root
    assert detect_reader(folder, "iemocap") == "iemocap"


def test_another_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "Session1" / "dialog" / "wav").mkdir(parents=True)
    assert iemocap.find_root(tmp_path) is None


def test_the_facts_count_the_usual_four_classes_in_every_session(tmp_path: Path) -> None:
    source, _ = opened(write_iemocap(tmp_path / "IEMOCAP"), tmp_path)
    found = {fact.name: fact.found for fact in iemocap.facts(source.manifest(), source, hours=12.4)}
    assert [found[f"turns of the four classes in session {session}"] for session in range(1, 6)] == [3, 2, 2, 0, 0]
    assert found["turns of the four classes (ang, sad, neu, hap with exc)"] == 7
    assert (found["turns"], found["speakers"], found["dialogues"]) == (9, 6, 4)
    assert (found["turns of men"], found["turns of women"]) == (4, 5)
    assert (found["scripted turns"], found["improvised turns"], found["turns labelled sad"]) == (4, 5, 2)
    assert found["hours of turns"] == 12.4


def test_the_hours_of_turns_do_not_depend_on_the_layout(tmp_path: Path) -> None:
    source, _ = opened(write_iemocap(tmp_path / "IEMOCAP", sentences=False), tmp_path)
    found = {fact.name: fact.found for fact in iemocap.facts(source.manifest(), source, hours=99.0)}
    assert found["hours of turns"] == pytest.approx(9 * TURN_SECONDS / 3600)


def test_the_documented_counts_agree_with_one_another(tmp_path: Path) -> None:
    source, _ = opened(write_iemocap(tmp_path / "IEMOCAP"), tmp_path)
    expected = {fact.name: fact.expected for fact in iemocap.facts(source.manifest(), source, hours=12)}
    labels = {name.removeprefix("turns labelled "): count for name, count in expected.items() if "labelled" in name}
    four = sum(labels[code] for code in ("ang", "sad", "neu", "hap", "exc"))
    assert sum(labels.values()) == expected["turns"] == expected["scripted turns"] + expected["improvised turns"]
    assert expected["turns of men"] + expected["turns of women"] == expected["turns"]
    assert four == expected["turns of the four classes (ang, sad, neu, hap with exc)"]
    assert four == sum(count for name, count in expected.items() if "classes in session" in name)
