"""The generic reader: every layout of corpora.toml's documentation gives the same manifest."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from trainables.corpora.manifest import COLUMNS
from trainables.corpora.reading import Report, describe_notes
from trainables.corpora.registry import open_corpora

Rows = list[dict[str, str]]


def test_columns_have_the_documented_names_types_and_order(open_corpus: Callable, interviews: Rows) -> None:
    table = open_corpus("mdd", interviews[::-1]).manifest()
    assert list(table.columns) == [*COLUMNS, "depressed"]
    assert table["session"].tolist() == ["1", "1", "2", "2", "3", "4"]
    assert table["start"].tolist() == [0.0, 0.4, 0.0, 0.4, 0.0, 0.0]
    assert table["depressed"].tolist() == [1, 1, 0, 0, 1, 0]
    assert math.isnan(table["end"].iloc[-1])


def test_ids_of_digits_or_with_a_leading_dash_stay_what_they_are(open_corpus: Callable, interviews: Rows) -> None:
    assert open_corpus("mdd", interviews).manifest()["speaker"].tolist() == ["eva", "007", "eva", "-x", "008", "y"]


def test_csv_tsv_json_lines_and_parquet_give_one_manifest_and_one_digest(
    open_corpus: Callable, sentences: Rows, tmp_path: Path
) -> None:
    digests = [open_corpus("mosei", sentences, manifest=name).digest for name in ("manifest.csv",)]
    root = tmp_path / "corpus"
    (root / "manifest.csv").unlink()
    digests.append(open_corpus("mosei", sentences, manifest="manifest.tsv").digest)
    (root / "manifest.tsv").unlink()
    typed = [{**row, "sentiment": float(row["sentiment"])} for row in sentences]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in typed))
    digests.append(open_corpus("mosei", None).digest)
    (root / "metadata.jsonl").unlink()
    pd.DataFrame(typed).to_parquet(root / "metadata.parquet")
    digests.append(open_corpus("mosei", None).digest)
    assert len(set(digests)) == 1


def test_a_byte_order_mark_windows_lines_semicolons_and_backslashes_are_read(open_corpus: Callable, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "sub").mkdir(parents=True)
    (tmp_path / "corpus" / "manifest.csv").write_bytes(
        b'\xef\xbb\xbfPath;Speaker;Sentiment;Text\r\n.\\a.wav;1;2;"so; good"\r\n\r\nb.wav;2;-1;bad\r\n'
    )
    table = open_corpus("mosei", None).manifest()
    assert table["recording"].tolist() == ["a.wav", "b.wav"]
    assert table["text"].tolist() == ["so; good", "bad"]


def test_audiofolder_split_folders_become_splits_and_paths_relative_to_the_root(
    open_corpus: Callable, tone: Callable, table: Callable, tmp_path: Path
) -> None:
    for folder, speaker in (("train", "s1"), ("validation", "s2"), ("test", "s3")):
        rows = [{"file_name": f"{n}.wav", "spk": speaker, "sentiment": score} for n, score in (("x", "1"), ("y", "-1"))]
        table(tmp_path / "corpus" / folder / "metadata.csv", rows)
        for row in rows:
            tone(tmp_path / "corpus" / folder / row["file_name"], 0.1)
    found = open_corpus("mosei", None).manifest()
    assert dict(zip(found["recording"], found["split"], strict=True)) == {
        f"{folder}/{name}.wav": split
        for folder, split in (("train", "train"), ("validation", "dev"), ("test", "test"))
        for name in ("x", "y")
    }


def test_files_that_no_row_names_are_left_alone(open_corpus: Callable, sentences: Rows, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "._manifest.csv").write_bytes(b"\x00\x05\x16\x07")
    (root / "._a.wav").write_bytes(b"\x00\x05\x16\x07")
    (root / "unlabelled.wav").write_bytes(b"")
    os.mkdir(os.fsencode(root) + b"/\xcf\xe0\xcd\xac")  # a folder named in GBK
    assert len(open_corpus("mosei", sentences).manifest()) == 2


def test_sentiment_is_the_sign_of_the_emotions_valence_where_there_is_none(open_corpus: Callable, sentences: Rows) -> None:
    rows = [{"file": "a.wav", "speaker": "1", "label": "Happiness"}, {"file": "b.wav", "speaker": "2", "label": "anger"}]
    assert open_corpus("mosei", rows).manifest()["sentiment"].tolist() == [1.0, -1.0]


def test_an_unknown_emotion_is_a_fault_that_says_how_to_map_it_and_the_map_mends_it(
    open_corpus: Callable, faults_of: Callable[..., str]
) -> None:
    rows = [{"file": "a.wav", "speaker": "1", "emotion": "glee"}, {"file": "b.wav", "speaker": "2", "emotion": "fear"}]
    message = faults_of("mosei", rows)
    assert "sentiment: no value is known for 'glee'" in message
    assert '[mosei.sentiment] "glee" = 0' in message
    assert open_corpus("mosei", rows, "sentiment = { glee = 2 }").manifest()["sentiment"].tolist() == [2.0, -1.0]


def test_words_for_emotions_become_iemocaps_codes_and_an_empty_one_stays_empty(open_corpus: Callable) -> None:
    words = [("1", "Anger"), ("2", "anger"), ("2", "neutral"), ("3", "neu"), ("3", "boredom"), ("3", "xxx"), ("3", "")]
    rows = [{"file": "a.wav", "start": str(n / 10), "speaker": speaker, "label": word} for n, (speaker, word) in enumerate(words)]
    assert open_corpus("iemocap", rows).manifest()["emotion"].tolist() == ["ang", "ang", "neu", "neu", "bor", "xxx", ""]


def test_an_unknown_word_for_an_emotion_is_a_fault_that_says_how_to_map_it_and_the_map_mends_it(
    open_corpus: Callable, faults_of: Callable[..., str]
) -> None:
    words = [("1", "Wut"), ("2", "Wut"), ("2", "neutral"), ("3", "neutral")]
    rows = [{"file": f"{name}.wav", "speaker": s, "emotion": word} for name, (s, word) in zip("abcd", words, strict=True)]
    message = faults_of("iemocap", rows)
    assert "emotion must be one of '', 'ang', 'hap'," in message
    assert "found 'Wut': map them in corpora.toml, for example [iemocap.emotion] Wut = 'oth'" in message
    table = open_corpus("iemocap", rows, 'emotion = { wut = "ang" }').manifest()
    assert table["emotion"].tolist() == ["ang", "ang", "neu", "neu"]


def test_one_column_of_the_table_can_serve_two_of_the_manifest(open_corpus: Callable) -> None:
    rows = [{"file": f"{name}.wav", "who": name, "mood": mood} for name, mood in zip("abcd", ("sad", "calm") * 2, strict=True)]
    settings = 'columns = { speaker = "who", depressed = "mood", emotion = "mood" }\ndepressed = { sad = 1, calm = 0 }'
    table = open_corpus("mdd", rows, settings).manifest()
    assert table["depressed"].tolist() == [1, 0, 1, 0]
    assert table["emotion"].tolist() == ["sad", "calm", "sad", "calm"]
    assert table["session"].tolist() == ["a", "b", "c", "d"]  # a diagnosis is a person's


def test_without_diagnoses_a_session_is_a_recording(open_corpus: Callable, sentences: Rows) -> None:
    assert open_corpus("mosei", sentences).manifest()["session"].tolist() == ["a.wav", "b.wav"]


def test_times_of_audformat_are_read(open_corpus: Callable, sentences: Rows) -> None:
    rows = [{**row, "start": "0 days 00:00:00.250000", "end": ""} for row in sentences]
    assert open_corpus("mosei", rows).manifest()["start"].tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,speaker\na.wav,1\n", "no column for sentiment (sentiment); name it in corpora.toml: [mosei.columns]"),
        (b"path,sentiment\na.wav,1\n", "no column for speaker (speaker, spk, speaker_id, spk_id)"),
        (b"path,speaker,sentiment\na.wav,1\n", "row 2 has 2 cells, the header 3"),
        (b"path,path,speaker\n1,2,3\n", "several columns have one name: 'path'"),
        ("path,speaker,sentiment,text\na.wav,1,1,好\n".encode("gbk"), "not UTF-8 text"),
        (b"", "is empty; its first line must name the columns"),
    ],
)
def test_a_table_that_cannot_be_a_manifest_is_one_clear_fault(
    faults_of: Callable[..., str], tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "manifest.csv").write_bytes(content)
    assert message in faults_of("mosei", None)


def test_a_root_one_level_too_high_is_a_fault_that_names_the_right_one(
    faults_of: Callable[..., str], table: Callable, sentences: Rows, tmp_path: Path
) -> None:
    table(tmp_path / "corpus" / "release" / "metadata.csv", sentences)
    assert f"is the root meant to be {tmp_path / 'corpus' / 'release'}?" in faults_of("mosei", None)


def test_several_manifests_in_one_folder_ask_for_a_choice(
    open_corpus: Callable, faults_of: Callable[..., str], sentences: Rows
) -> None:
    open_corpus("mosei", sentences)
    assert "holds several manifests (manifest.csv, metadata.csv)" in faults_of("mosei", sentences, manifest="metadata.csv")
    open_corpus("mosei", sentences, 'manifest = "metadata.csv"')


def test_unreadable_json_lines_name_their_line(faults_of: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "metadata.jsonl").write_text('{"file_name": "a.wav"}\n{oops\n')
    assert "line 2 is not JSON" in faults_of("mosei", None)


def test_scores_tasks_and_materials_are_found_under_their_usual_names(open_corpus: Callable, sentences: Rows) -> None:
    extra = {"PHQ_8": "7", "BDI-II": "14", "task": "interview", "emotional_valence": "negative", "speaking_style": "scripted"}
    rows = [{**row, **extra, "text_code": "a01"} for row in sentences]
    first = open_corpus("mosei", rows).manifest().iloc[0]
    found = first[["phq8", "bdi_ii", "task", "stimulus", "style", "prompt"]].tolist()
    assert found == [7.0, 14.0, "interview", "negative", "scripted", "a01"]


def test_words_for_a_diagnosis_are_understood(open_corpus: Callable, interviews: Rows) -> None:
    rows = [{**row, "depressed": "Patient" if row["depressed"] == "1" else "control"} for row in interviews]
    assert open_corpus("mdd", rows).digest == open_corpus("mdd", interviews).digest


def test_a_speaker_pattern_goes_before_a_column(open_corpus: Callable, sentences: Rows) -> None:
    table = open_corpus("mosei", sentences, "speaker_pattern = '([a-z])[.]wav$'").manifest()
    assert table["speaker"].tolist() == ["a", "b"]


def test_paths_of_all_kinds_are_relative_to_the_root(open_corpus: Callable, tone: Callable, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    tone(root / "sub" / "e.wav")
    paths = ["a.wav", "./b.wav", "sub/../c.wav", "sub\\e.wav", str(root / "d.wav"), "sub//e.wav"]
    rows = [{"file": path, "segment": str(n), "speaker": "1", "sentiment": str(n - 2)} for n, path in enumerate(paths)]
    found = open_corpus("mosei", rows).manifest().sort_values("segment")["recording"].tolist()
    assert found == ["a.wav", "b.wav", "c.wav", "sub/e.wav", "d.wav", "sub/e.wav"]


def test_numbers_are_read_to_the_last_digit_in_every_spelling_python_knows(open_corpus: Callable, sentences: Rows) -> None:
    words = ["0.1", "+.25e0", "00.30000000000000004", "1_0", "5.", "nan"]
    rows = [{**sentences[n % 2], "segment": str(n), "valence": word} for n, word in enumerate(words)]
    found = open_corpus("mosei", rows).manifest().sort_values("segment")["valence"].tolist()
    assert found[:5] == [float(word) for word in words[:5]]
    assert math.isnan(found[5])


@pytest.mark.parametrize("word", ["0x1", "1e999", "inf", "one"])
def test_what_is_no_finite_number_is_a_fault(faults_of: Callable[..., str], sentences: Rows, word: str) -> None:
    assert f"valence must be a number; found {word!r}" in faults_of("mosei", [{**row, "valence": word} for row in sentences])


@pytest.mark.parametrize("stem", ["manifest", "metadata"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_both_usual_names_are_looked_for_with_every_ending(
    open_corpus: Callable, sentences: Rows, tmp_path: Path, stem: str, ending: str
) -> None:
    path = tmp_path / "corpus" / f"{stem}.{ending}"
    path.parent.mkdir()
    frame = pd.DataFrame(sentences)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    assert open_corpus("mosei", None).manifest()["speaker"].tolist() == ["s1", "s2"]


def test_a_manifest_may_be_named_by_way_of_a_link_to_the_root_and_be_a_link_itself(
    open_corpus: Callable, sentences: Rows, tmp_path: Path
) -> None:
    expected = open_corpus("mosei", sentences, manifest="m.csv", settings='manifest = "m.csv"').digest
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    for named in (tmp_path / "corpus" / "m.csv", tmp_path / "link" / "m.csv", Path("..") / "link" / "m.csv"):
        assert open_corpus("mosei", None, f'manifest = "{named}"').digest == expected
    shutil.move(tmp_path / "corpus" / "m.csv", tmp_path / "elsewhere.csv")
    (tmp_path / "corpus" / "m.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert open_corpus("mosei", None, 'manifest = "m.csv"').digest == expected


@pytest.mark.parametrize("named", ["../m.csv", "{folder}/m.csv"])
def test_a_manifest_outside_the_root_is_a_fault(
    faults_of: Callable[..., str], sentences: Rows, table: Callable, tmp_path: Path, named: str
) -> None:
    table(tmp_path / "m.csv", sentences)
    message = faults_of("mosei", sentences, f'manifest = "{named.format(folder=tmp_path)}"')
    assert f"m.csv' is not below the root {tmp_path / 'corpus'}; give a root that holds it and the recordings" in message


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "NULL"])
@pytest.mark.parametrize("column", ["speaker", "session", "segment"])
def test_what_programs_write_for_nothing_is_nobodys_name(
    faults_of: Callable[..., str], sentences: Rows, column: str, word: str
) -> None:
    rows = [{**row, "session": f"v{n}", "segment": str(n)} for n, row in enumerate(sentences)]
    rows[0][column] = word
    assert f"{column} is empty in 1 row; fill it in (nan, none and null are empty, too)" in faults_of("mosei", rows)


def test_recordings_beside_the_named_ones_are_noted_and_not_left_out(tmp_path: Path, table: Callable, tone: Callable) -> None:
    rows = [{"file_name": f"{n}/{n}.wav", "speaker": str(n), "sentiment": str(2 * n - 1)} for n in (0, 1)]
    table(tmp_path / "c" / "metadata.csv", rows)
    for name in ("0/0.wav", "1/1.wav", "1/other.WAV", "elsewhere/x.wav"):
        tone(tmp_path / "c" / name)
    (tmp_path / "c" / "1" / "._1.wav").write_bytes(b"")
    (tmp_path / "c" / "1" / "notes.txt").write_bytes(b"")
    (tmp_path / "corpora.toml").write_text('[mosei]\nroot = "c"\n')
    reports: dict[str, Report] = {}
    source = open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", ["mosei"], reports)["mosei"]
    assert len(source.manifest()) == 2
    assert reports["mosei"].noted == {"recordings beside those of the manifest, which no row names": ["1/other.WAV"]}
    assert describe_notes(reports["mosei"])[0].startswith("1 recordings beside those")
    assert reports["mosei"].skipped == {}
