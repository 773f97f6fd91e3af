"""DAIC-WOZ as a whole: the manifest, who is in which split with which label, and where its parts may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.daic_trees import (
    SCORES,
    TALK,
    edit,
    faults,
    lines,
    read,
    source,
    write_daic,
    write_transcript,
)
from trainables.corpora.manifest import COLUMNS
from trainables.corpora.readers import daic_woz
from trainables.corpora.registry import detect_reader, open_corpora
from trainables.errors import Faults, UserError

DEV = "dev_split_Depression_AVEC2017.csv"
TRAIN = "train_split_Depression_AVEC2017.csv"


def test_the_manifest_has_the_turns_of_both_with_the_sessions_labels(tmp_path: Path) -> None:
    table, report = read(write_daic(tmp_path))
    assert list(table.columns) == [*COLUMNS, "depressed", "gender", "phq8"]
    assert all(table[name].dtype == "float64" for name in ("start", "end", "depressed", "phq8"))
    rows = table[table["session"] == "304"].to_dict("records")
    shared = {"recording": "304_P/304_AUDIO.wav", "session": "304", "split": "train", "depressed": 1.0, "phq8": 12.0}
    ellie = {"segment": "304_0001", "start": 0.5, "end": 1.0, "speaker": "ellie", "talker": "interviewer", "gender": ""}
    participant = {"segment": "304_0002", "start": 1.25, "end": 2.0, "speaker": "304", "talker": "subject", "gender": "female"}
    assert rows == [{**shared, **ellie, "text": "how are you"}, {**shared, **participant, "text": "i'm fine"}]
    assert report.skipped == {}


def test_the_official_tables_give_splits_scores_and_gender_whatever_the_case_of_their_columns_and_the_8(tmp_path: Path) -> None:
    table, _ = read(write_daic(tmp_path))
    subjects = table[table["talker"] == "subject"].set_index("session")
    found = {
        split: {
            session: (row["phq8"], ("male", "female").index(row["gender"]), row["depressed"])
            for session, row in subjects[subjects["split"] == split].iterrows()
        }
        for split in SCORES
    }
    assert found == {
        split: {session: (score, gender, score >= 10) for session, (score, gender) in people.items()}
        for split, people in SCORES.items()
    }


def test_without_the_full_test_table_the_test_sessions_have_no_diagnosis_and_are_left_out(tmp_path: Path) -> None:
    table, report = read(write_daic(tmp_path, full_test=False))
    assert set(table["session"]) == {"302", "303", "304", "305"}
    assert list(report.skipped.values()) == [["300", "301"]]


def test_the_diagnosis_is_made_from_the_score_where_the_binary_column_contradicts_it(tmp_path: Path) -> None:
    root = write_daic(tmp_path, {**SCORES, "train": {"303": (0, 0), "409": (10, 1)}})
    edit(root / TRAIN, lambda text: text.replace("409,1,10", "409,0,10"))
    table, report = read(root)
    assert set(table.loc[table["session"] == "409", "depressed"]) == {1.0}
    assert report.noted == {"binary labels that contradict the PHQ-8 score (made anew from the score)": ["409"]}
    assert report.skipped == {}


def test_an_empty_item_cell_windows_lines_a_byte_order_mark_and_decimal_ids_are_read(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    text = (root / TRAIN).read_text().replace("303,0,0,0,0,", "303.0,0,0.0,0.0,,").replace("\n", "\r\n\r\n")
    (root / TRAIN).write_bytes(b"\xef\xbb\xbf" + text.encode())
    table, _ = read(root)
    assert set(table.loc[table["session"] == "303", "phq8"]) == {0.0}


def test_every_fault_of_the_tables_is_told_at_once_with_file_and_participant(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    edit(root / TRAIN, lambda text: text.replace("303,0,0,0", "303,0,25,0").replace("304,1,12,1", "304,1,12,2"))
    edit(root / DEV, lambda text: text.replace("302,0,4", "302,0,") + "301,0,2,0,,,,,,,,\n")
    (root / "full_test_split.csv").write_text("Participant,PHQ_Score\n300,2\n")
    messages = "\n".join(faults(root))
    assert "train_split_Depression_AVEC2017.csv: participant 303 has the PHQ-8 score '25'; expected 0 to 24" in messages
    assert "participant 304 has the gender '2'" in messages
    assert "dev_split_Depression_AVEC2017.csv: participant 302 has the PHQ-8 score ''" in messages
    assert messages.count("mend it, or leave the session out with exclude") == 3
    assert "full_test_split.csv: no column Participant_ID; found Participant, PHQ_Score" in messages


def test_exclude_rescues_from_a_row_that_cannot_be_read_and_from_one_that_is_listed_twice(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    edit(root / TRAIN, lambda text: text.replace("304,1,12,1", "304,1,,1"))
    edit(root / DEV, lambda text: text + "303,0,2,0,,,,,,,,\n")
    assert len(faults(root)) == 2
    table, report = read(root, exclude=[303, 304, 302])
    assert set(table["session"]) == {"300", "301", "305"}
    assert report.skipped == {"left out by exclude in corpora.toml": ["302", "303", "304"]}


def test_an_unlabelled_test_session_that_is_excluded_is_told_once(tmp_path: Path) -> None:
    _, report = read(write_daic(tmp_path, full_test=False), exclude=[300])
    assert report.skipped == {
        "left out by exclude in corpora.toml": ["300"],
        "sessions without a score (DAIC-WOZ's test scores are in full_test_split.csv)": ["301"],
    }


def test_a_message_of_a_table_has_the_files_own_columns_and_says_what_separates_them(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    edit(root / TRAIN, lambda text: text.replace("PHQ8_Score", "PHQ8_Total"))
    edit(root / DEV, lambda text: text.replace(",", ";"))
    dev, train = sorted(faults(root))
    assert "no column PHQ8_Score; found Participant_ID, PHQ8_Binary, PHQ8_Total, Gender" in train
    assert "found Participant_ID;PHQ8_Binary;PHQ8_Score;Gender" in dev
    assert "save it with commas between the cells" in dev


def test_a_participant_in_two_splits_is_a_fault(tmp_path: Path) -> None:
    root = write_daic(tmp_path, {**SCORES, "dev": {"303": (0, 0), "305": (10, 0)}})
    assert any("listed more than once: '303'" in message for message in faults(root))


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_missing_split_table_is_a_fault(tmp_path: Path, split: str) -> None:
    root = write_daic(tmp_path)
    (root / f"{split}_split_Depression_AVEC2017.csv").unlink()
    assert any(f"no table of the {split} split" in message for message in faults(root))


def test_without_a_test_table_the_corpus_is_read_without_that_split_and_the_facts_count_it(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    for name in ("test_split_Depression_AVEC2017.csv", "full_test_split.csv"):
        (root / name).unlink()
    table, report = read(root)
    assert set(table["split"]) == {"train", "dev"}
    assert report.skipped == {
        "splits without a table (copy it beside the others to read their sessions)": ["test"],
        "sessions in no split (342, 394, 398, 460 were excluded by the authors)": ["300", "301"],
    }
    found = {fact.name: (fact.expected, fact.found) for fact in daic_woz.facts(table, source(root), 1.0)}
    assert found["sessions listed in test"] == (47, 0)


def test_missing_transcripts_are_a_fault_that_names_them(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    for session in ("301", "304"):
        (root / f"{session}_P" / f"{session}_TRANSCRIPT.csv").unlink()
    (message,) = faults(root)
    assert "2 of 6 sessions have no transcript: '301_P/301_TRANSCRIPT.csv', '304_P/304_TRANSCRIPT.csv'" in message


def test_excluded_sessions_and_macos_leavings_are_ignored(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    expected, _ = read(root)
    for session in ("342", "394", "398", "460"):
        write_transcript(root, session)
    (root / "301_P" / "._301_TRANSCRIPT.csv").write_bytes(b"\x00\x05\x16\x07")
    (root / "._train_split_Depression_AVEC2017.csv").write_bytes(b"\x00\x05\x16\x07")
    (root / "301_P" / ".~lock.301_TRANSCRIPT.csv#").write_bytes(b"x")
    os.mkdir(os.fsencode(root) + b"/\xcf\xe0\xcd\xac")  # a folder named in GBK
    table, report = read(root)
    assert table.equals(expected)
    assert list(report.skipped.values()) == [["342", "394", "398", "460"]]


def test_sessions_can_be_left_out_and_are_then_told(tmp_path: Path) -> None:
    table, report = read(write_daic(tmp_path), exclude=[304, "301"])
    assert not {"301", "304"} & set(table["session"])
    assert report.skipped == {"left out by exclude in corpora.toml": ["301", "304"]}


def test_a_session_to_leave_out_that_is_in_no_split_is_a_fault(tmp_path: Path) -> None:
    assert any(
        "exclude names sessions that are in no split: '999'" in message for message in faults(write_daic(tmp_path), exclude=[999])
    )


@pytest.mark.parametrize("value", ["304", [30.5], {"304": 1}])
def test_exclude_must_be_a_list_of_sessions(value: object) -> None:
    messages = Faults("settings")
    daic_woz.options_from({"exclude": value}, messages)
    assert "exclude must be a list of sessions" in messages.messages[0]


@pytest.mark.parametrize("layout", ["folders", "a level down", "twice", "flat"])
def test_sessions_are_found_in_folders_a_level_down_in_a_folder_twice_and_flat(tmp_path: Path, layout: str) -> None:
    root = write_daic(tmp_path)
    folder = {"folders": "{0}_P", "a level down": "data/{0}_P", "twice": "{0}_P/{0}_P", "flat": ""}[layout]
    for people in SCORES.values():
        for session in people:
            (root / f"{session}_P" / f"{session}_TRANSCRIPT.csv").unlink()
            write_transcript(root, session, folder=folder.format(session))
    recordings = set(read(root)[0]["recording"])
    assert recordings == {
        f"{folder.format(session)}/{session}_AUDIO.wav".removeprefix("/") for people in SCORES.values() for session in people
    }


def test_of_several_transcripts_the_one_beside_the_recording_is_read(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    write_transcript(root, "304", [*TALK, (3, 4, "Participant", "more")], folder="again/304_P")
    (root / "again" / "304_P" / "304_AUDIO.wav").write_bytes(b"")
    table, report = read(root)
    assert set(table.loc[table["session"] == "304", "recording"]) == {"again/304_P/304_AUDIO.wav"}
    assert report.skipped == {
        "further copies of a session's transcript (one with a recording beside it is read)": ["304_P/304_TRANSCRIPT.csv"]
    }


def test_names_of_transcripts_and_recordings_are_matched_in_any_case(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    (root / "304_P" / "304_TRANSCRIPT.csv").rename(root / "304_P" / "304_Transcript.CSV")
    (root / "304_P" / "304_audio.WAV").write_bytes(b"")
    table, _ = read(root)
    assert set(table.loc[table["session"] == "304", "recording"]) == {"304_P/304_audio.WAV"}


@pytest.mark.parametrize("given", [".", "..", "300_P"])
def test_the_root_may_be_given_a_level_too_high_or_too_low(tmp_path: Path, given: str) -> None:
    root = write_daic(tmp_path / "a" / "daic")
    assert daic_woz.find_root((root / given).resolve()) == root
    assert detect_reader((root / given).resolve(), "daic_woz") == "daic_woz"


def test_another_corpus_folder_is_not_taken_for_this_one(tmp_path: Path) -> None:
    lines(tmp_path / "b" / "corpus" / "train_split.csv", ["file,label", "a.wav,1"])
    assert daic_woz.find_root(tmp_path / "b" / "corpus") is None


def test_a_folder_with_both_editions_is_a_fault(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    lines(root / "labels" / "train_split.csv", ["Participant_ID,PHQ_Score", "300,2"])
    assert "holds the split tables of E-DAIC and DAIC-WOZ" in faults(root)[0]


def test_the_published_facts_hold_for_a_whole_corpus_and_not_for_a_part(tmp_path: Path) -> None:
    ids = [str(number) for number in range(300, 493) if number not in (342, 394, 398, 460)]
    parts = {"train": (ids[:107], 31), "dev": (ids[107:142], 12), "test": (ids[142:], 14)}
    scores = {
        split: {session: (10 if at < depressed else 9, 1) for at, session in enumerate(sessions)}
        for split, (sessions, depressed) in parts.items()
    }
    root = write_daic(tmp_path, scores)
    for session in ("451", "458", "480"):
        write_transcript(root, session, [TALK[1]])
    table, _ = read(root)
    found = daic_woz.facts(table, source(root), 50.0)
    assert {fact.name: fact.found for fact in found} == {
        "sessions in train": 107,
        "depressed in train, %": 29.0,
        "sessions in dev": 35,
        "depressed in dev, %": 34.3,
        "sessions in test": 47,
        "mean length of a recording, min": pytest.approx(60 * 50 / 189),
        "sessions without Ellie's turns": 3,
    }
    assert all(fact.holds for fact in found)
    (length,) = (fact for fact in daic_woz.facts(table, source(root), 40.0) if "length" in fact.name)
    assert not length.holds
    (root / "full_test_split.csv").unlink()
    unlabelled = {fact.name: (fact.expected, fact.found) for fact in daic_woz.facts(read(root)[0], source(root), 38.0)}
    assert unlabelled["sessions listed in test"] == (47, 47)


def test_a_session_that_is_excluded_excuses_no_other_one_of_another_split(tmp_path: Path) -> None:
    ids = [str(number) for number in range(300, 442)]
    scores = {
        "train": {session: (10 * (at < 30), 1) for at, session in enumerate(ids[:107])},
        "dev": {session: (10 * (at < 12), 1) for at, session in enumerate(ids[107:])},
    }
    root = write_daic(tmp_path, scores)

    def deviating(**settings: object) -> list[str]:
        found = daic_woz.facts(read(root, **settings)[0], source(root, **settings), 142 * 16 / 60)
        return [fact.name for fact in found if not fact.holds and "test" not in fact.name]

    assert deviating() == []
    assert deviating(exclude=[ids[0], ids[1]]) == []
    edit(root / DEV, lambda text: text[: text.index(f"{ids[-1]},")])
    assert deviating() == ["sessions in dev"]
    assert deviating(exclude=[ids[0]]) == ["sessions in dev"]


def test_a_test_session_without_a_score_may_be_named_in_exclude(tmp_path: Path) -> None:
    assert len(read(write_daic(tmp_path, full_test=False), exclude=[300, 342])[0]) == 8


def test_a_corpus_with_recordings_opens_in_its_role_and_a_missing_recording_is_a_fault(tmp_path: Path, tone: Callable) -> None:
    root = write_daic(tmp_path / "daic")
    for session in ("300", "301", "302", "303", "304", "305"):
        tone(root / f"{session}_P" / f"{session}_AUDIO.wav", 2.5, rate=8000, channels=2)
    tone(root / "342_P" / "342_AUDIO.wav", 1)
    spec = tmp_path / "corpora.toml"
    spec.write_text('[daic_woz]\nroot = "daic"\n')
    corpus = open_corpora(str(spec), tmp_path / "home", ["daic_woz"])["daic_woz"]
    assert (corpus.reader, len(corpus.manifest())) == ("daic_woz", 12)
    (root / "303_P" / "303_AUDIO.wav").unlink()
    with pytest.raises(UserError, match=r"303_AUDIO\.wav"):
        open_corpora(str(spec), tmp_path / "home", ["daic_woz"])
