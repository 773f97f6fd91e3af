"""Transcripts of DAIC-WOZ and E-DAIC: what is mended, what is left out and told, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.daic_trees import (
    TALK,
    Row,
    faults,
    lines,
    read,
    source,
    write_daic,
    write_edaic,
    write_transcript,
)
from trainables.corpora.readers import daic_woz
from trainables.corpora.readers.daic_transcripts import Turn, read_turns
from trainables.corpora.reading import Report
from trainables.errors import UserError

ELLIE: Row = (0, 1, "Ellie", "hi")


def turns_of(folder: Path, session: str, rows: Iterable[Row]) -> tuple[list[Turn], dict[str, list[str]]]:
    report = Report("daic_woz")
    return read_turns(write_transcript(folder, session, rows), session, report), report.skipped


@pytest.mark.parametrize(
    ("session", "start"), [("318", "44.319917"), ("321", "13.8379167"), ("341", "16.1892"), ("362", "26.8582"), ("319", "10")]
)
def test_transcripts_that_began_late_are_moved_to_the_audios_time(tmp_path: Path, session: str, start: str) -> None:
    turns, _ = turns_of(tmp_path, session, [ELLIE, (10, 11, "Participant", "yes")])
    assert turns[1].start == pytest.approx(float(start))
    assert turns[1].end == pytest.approx(float(start) + 1)


@pytest.mark.parametrize(("session", "first", "last"), [("373", 352, 428), ("444", 286, 387)])
def test_turns_that_overlap_an_interruption_are_left_out(tmp_path: Path, session: str, first: int, last: int) -> None:
    times = [(first - 2, first), (first - 1, first + 1), (first + 5, last - 5), (last - 1, last + 1), (last, last + 2)]
    rows = [ELLIE, *((start, end, speaker, "x") for start, end in times for speaker in ("Ellie", "Participant"))]
    turns, skipped = turns_of(tmp_path, session, rows)
    assert [(turn.start, turn.end) for turn in turns[1::2]] == [times[0], times[-1]]
    assert len(skipped["interruptions of the interviews 373 and 444"]) == 6
    assert len(turns_of(tmp_path, "374", rows)[0]) == len(rows)


def test_what_is_said_before_ellies_first_turn_is_set_up_talk_and_left_out(tmp_path: Path) -> None:
    rows = [(1, 2, "Participant", "is it on"), (3, 4, "Ellie", "hi"), (3.5, 5, "Participant", "hello")]
    turns, skipped = turns_of(tmp_path, "300", rows)
    assert [turn.text for turn in turns] == ["hi", "hello"]
    assert skipped == {"set-up talk before Ellie's first turn": ["300_0001"]}


def test_a_mark_of_synchronisation_is_no_turn_of_ellies_so_set_up_talk_after_it_is_left_out_too(tmp_path: Path) -> None:
    rows = [(0, 0.5, "Ellie", "<synch>"), (1, 2, "Participant", "is it on"), (3, 4, "Ellie", "hi"), (5, 6, "Participant", "hello")]
    turns, skipped = turns_of(tmp_path, "300", rows)
    assert [turn.text for turn in turns] == ["hi", "hello"]
    assert skipped == {"marks of synchronisation": ["300_0001"], "set-up talk before Ellie's first turn": ["300_0002"]}


@pytest.mark.parametrize("session", ["451", "458", "480"])
def test_sessions_without_ellie_keep_all_their_turns(tmp_path: Path, session: str) -> None:
    turns, skipped = turns_of(tmp_path, session, [(1, 2, "Participant", "yes"), (3, 4, "Participant", "no")])
    assert [turn.text for turn in turns] == ["yes", "no"]
    assert skipped == {}


@pytest.mark.parametrize(
    ("session", "value", "text"),
    [
        ("364", "yeah3 (yeah)", "yeah"),
        ("492", "IntroV4Confirmation (hi i'm ellie (the robot) ok)", "hi i'm ellie (the robot) ok"),
        ("400", "so how are you (today)", "so how are you (today)"),
        ("363", "yeah3 (yeah)", "yeah3 (yeah)"),
    ],
)
def test_ellies_turns_lose_their_identifier_in_sessions_after_363(tmp_path: Path, session: str, value: str, text: str) -> None:
    turns, _ = turns_of(tmp_path, session, [(0, 1, "Ellie", value), (1, 2, "Participant", "well1 (yeah)")])
    assert [turn.text for turn in turns] == [text, "well1 (yeah)"]


def test_scrubbed_spans_and_marks_of_synchronisation_are_left_out_and_other_marks_stay(tmp_path: Path) -> None:
    words = ["scrubbed_entry", "my name is scrubbed_entry", "<synch>", "[sync]", "[syncing]", "<sync>"]
    kept = ["<laughter>", "xxx", "people <peop>", "in sync with him"]
    rows = [ELLIE, *((number, number + 1, "Participant", word) for number, word in enumerate([*words, *kept], 1))]
    turns, skipped = turns_of(tmp_path, "300", rows)
    assert [turn.text for turn in turns[1:]] == kept
    assert skipped == {
        "scrubbed entries (silenced in the audio)": ["300_0002", "300_0003"],
        "marks of synchronisation": ["300_0004", "300_0005", "300_0006", "300_0007"],
    }


def test_blank_lines_are_nothing_and_rows_without_times_or_speaker_are_left_out(tmp_path: Path) -> None:
    path = write_transcript(
        tmp_path, "300", [ELLIE, ("", "", "", ""), ("nan", "NaN", "Participant", "a"), (1, 2, "", "b"), TALK[1]]
    )
    path.write_text(path.read_text().replace("\n", "\n\n") + "\t\t\t\n5\t6\tParticipant")
    report = Report("daic_woz")
    turns = read_turns(path, "300", report)
    assert [turn.text for turn in turns] == ["hi", "i'm fine", ""]
    assert report.skipped == {"transcript rows without times or speaker": ["300_0002", "300_0003"]}


def test_turns_without_length_or_before_the_recording_are_left_out_and_overlapping_and_long_ones_stay(tmp_path: Path) -> None:
    times = [(2, 2), (4, 3), (5, 500), (6, 7), (6.5, 8)]
    turns, skipped = turns_of(tmp_path, "451", [(-1, 1, "Participant", "x"), *((*time, "Participant", "x") for time in times)])
    assert [(turn.start, turn.end) for turn in turns] == times[2:]
    assert skipped == {"turns without length or before the recording": ["451_0001", "451_0002", "451_0003"]}


def test_quotes_windows_lines_a_byte_order_mark_and_other_encodings_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "300_P" / "300_TRANSCRIPT.csv"
    path.parent.mkdir()
    header = b"\xef\xbb\xbfStart_Time\tstop_time\tspeaker\tvalue,\r\n\r\n"
    path.write_bytes(header + b'0\t1\tELLIE \t"so\r\n1\t2\tparticipant\tshe said "no", caf\xe9\r\n')
    turns = read_turns(path, "300", Report("daic_woz"))
    assert [(turn.talker, turn.text) for turn in turns] == [("interviewer", '"so'), ("subject", 'she said "no", caf�')]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ELLIE, (1, 2, "Bob", "x")], "row 2 has the speaker 'Bob'; expected Ellie or Participant"),
        ([ELLIE, ("1:30", 2, "Participant", "x")], "row 2 has the time '1:30'; expected seconds"),
        ([ELLIE, (1, "inf", "Participant", "x")], "row 2 has the time 'inf'; expected seconds"),
        ([ELLIE], "no turn of the participant is left"),
        ([(1, 2, "Participant", "x"), (3, 4, "Ellie", "x")], "no turn of the participant is left"),
        ([(1, 2, "Participant", "x\ty")], "line 2 has 5 cells"),
    ],
)
def test_a_damaged_transcript_is_refused_with_its_name(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        turns_of(tmp_path, "300", rows)
    assert "300_TRANSCRIPT.csv" in str(caught.value)


def test_a_file_that_is_no_transcript_is_a_fault_and_all_are_told_at_once(tmp_path: Path) -> None:
    root = write_daic(tmp_path)
    lines(root / "300_P" / "300_TRANSCRIPT.csv", ["frame,confidence", "1,0.9"])
    (root / "301_P" / "301_TRANSCRIPT.csv").write_bytes(b"")
    assert [name for name in ("300", "301") for message in faults(root) if f"{name}_TRANSCRIPT.csv" in message] == ["300", "301"]


def test_edaic_is_known_by_its_header_and_all_its_turns_are_the_subjects(tmp_path: Path) -> None:
    table, report = read(write_edaic(tmp_path))
    assert set(table["talker"]) == {"subject"}
    assert (table["speaker"] == table["session"]).all()
    first = table[table["session"] == "304"].iloc[0]
    assert (first["recording"], first["start"], first["end"]) == ("data/304_P/304_AUDIO.wav", 14.3, 15.1)
    assert (first["text"], first["gender"], first["phq8"], first["split"]) == ('so, I said "no"', "female", 12.0, "train")
    assert report.skipped == {}
    assert daic_woz.find_root(tmp_path / "labels") == daic_woz.find_root(tmp_path / "data") == tmp_path


def test_edaics_test_table_without_scores_is_that_of_an_unlabelled_split(tmp_path: Path) -> None:
    root = write_edaic(tmp_path)
    lines(root / "labels" / "test_split.csv", ["Participant_ID,Gender", "300,male", "301,female"])
    table, report = read(root)
    assert set(table["split"]) == {"train", "dev"}
    assert report.skipped == {
        "sessions without a score (DAIC-WOZ's test scores are in full_test_split.csv)": ["300", "301"],
    }
    found = {fact.name: (fact.expected, fact.found) for fact in daic_woz.facts(table, source(root), 1.0)}
    assert found["sessions listed in test"] == (56, 2)


def test_a_missing_transcript_of_edaic_is_named_as_edaic_names_it(tmp_path: Path) -> None:
    root = write_edaic(tmp_path)
    (root / "data" / "303_P" / "303_Transcript.csv").unlink()
    (message,) = faults(root)
    assert "1 of 6 sessions have no transcript: 'data/303_P/303_Transcript.csv'" in message


def test_edaics_facts_are_its_own(tmp_path: Path) -> None:
    root = write_edaic(tmp_path)
    found = daic_woz.facts(read(root)[0], source(root), 70.0)
    assert [(fact.name, fact.expected) for fact in found] == [
        ("sessions in train", 163),
        ("sessions in dev", 56),
        ("sessions in test", 56),
    ]


def test_edaics_times_are_its_recognisers_and_are_not_moved(tmp_path: Path) -> None:
    path = lines(tmp_path / "318_Transcript.csv", ["Start_Time,End_Time,Text,Confidence", "10,11,yes,0.9"])
    assert read_turns(path, "318", Report("daic_woz"))[0].start == 10
