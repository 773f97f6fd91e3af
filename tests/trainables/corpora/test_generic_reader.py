"""The generic reader: every layout of corpora.toml's documentation gives the same manifest."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from trainables.corpora.manifest import COLUMNS

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
    assert open_corpus("iemocap", rows).manifest()["emotion"].tolist() == ["ang", "ang", "neu", "neu", "oth", "xxx", ""]


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
