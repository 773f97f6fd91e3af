"""An audformat database, written by the package itself, becomes a manifest."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.trainables.corpora.readers.open_trees import opened, refused, write_text, write_tone
from trainables.corpora.readers import audformat_db

audformat = pytest.importorskip("audformat", reason="an optional extra")

FILES = [f"audio/00{n}.wav" for n in range(4)]


def write_database(root: Path, segmented: bool = False, storage: str = "parquet") -> Path:
    """Two speakers in training and two in test, known in the labels of the scheme 'speaker'."""
    for file in FILES:
        write_tone(root / file, 0.5)
    database = audformat.Database("small")
    database.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad", "glee"])
    genders = {f"s{n}": {"gender": "female" if n % 2 else "male"} for n in range(4)}
    database.schemes["speaker"] = audformat.Scheme(labels=genders)
    database["files"] = audformat.Table(audformat.filewise_index(FILES))
    database["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    database["files"]["speaker"].set([f"s{n}" for n in range(4)])
    for split, files in (("train", FILES[:2]), ("test", FILES[2:])):
        database.splits[split] = audformat.Split(type=split)
        index = audformat.filewise_index(files)
        if segmented:
            starts, ends = [pd.Timedelta("0s"), pd.Timedelta("0.2s")], [pd.Timedelta("0.2s"), pd.NaT]
            index = audformat.segmented_index([file for file in files for _ in starts], starts * len(files), ends * len(files))
        table = database[f"emotion.{split}"] = audformat.Table(index, split_id=split)
        table["emotion"] = audformat.Column(scheme_id="emotion")
        table["emotion"].set((["happy", "sad"] * len(index))[: len(index)])
    database.save(root, storage_format=storage)
    return root


@pytest.mark.parametrize("storage", ["parquet", "csv"])
def test_labels_speakers_genders_and_splits_come_from_tables_schemes_and_splits(tmp_path: Path, storage: str) -> None:
    source, _ = opened(tmp_path, "msp_podcast", write_database(tmp_path / "db", storage=storage))
    table = source.manifest().set_index("recording")
    assert source.reader == "audformat"
    assert table["emotion"].to_dict() == dict(zip(FILES, ("hap", "sad", "hap", "sad"), strict=True))
    assert table["speaker"].to_dict() == {file: f"s{n}" for n, file in enumerate(FILES)}
    assert table["gender"].tolist() == ["male", "female", "male", "female"]
    assert table["split"].tolist() == ["train", "train", "test", "test"]


def test_segments_have_seconds_and_an_empty_end_is_the_files(tmp_path: Path) -> None:
    table = opened(tmp_path, "msp_podcast", write_database(tmp_path / "db", segmented=True))[0].manifest()
    first = table[table["recording"] == FILES[0]]
    assert first["start"].tolist() == [0.0, 0.2]
    assert first["end"].tolist()[0] == 0.2
    assert first["end"].isna().tolist() == [False, True]
    assert first["speaker"].tolist() == ["s0", "s0"]


def test_tables_chooses_whose_rows_are_read(tmp_path: Path) -> None:
    root = write_database(tmp_path / "db")
    table = opened(tmp_path, "msp_podcast", root, 'tables = ["emotion.train", "emotion.test"]')[0].manifest()
    assert len(table) == 4
    assert "tables: 'emotion' are not in" in refused(tmp_path, "msp_podcast", root, 'tables = ["emotion"]')


def test_a_scheme_that_is_missing_or_named_otherwise_is_told(tmp_path: Path) -> None:
    root = write_database(tmp_path / "db")
    assert "no column or scheme for depressed" in refused(tmp_path, "mdd", root, 'reader = "audformat"')
    settings = 'reader = "audformat"\ncolumns = { depressed = "emotion" }\ndepressed = { happy = 0, sad = 1 }'
    assert opened(tmp_path, "mdd", root, settings)[0].manifest()["depressed"].tolist() == [0, 1, 0, 1]


def test_a_root_one_level_too_high_is_the_same_database(tmp_path: Path) -> None:
    root = write_database(tmp_path / "in" / "db")
    assert audformat_db.find_root(root.parent) == audformat_db.find_root(root) == root
    write_text(root.parent / "metadata.csv", "file_name,speaker\n")
    assert audformat_db.find_root(root.parent) is None


def test_a_damaged_database_is_a_fault_with_its_name(tmp_path: Path) -> None:
    root = write_database(tmp_path / "db")
    (root / "db.emotion.train.parquet").write_bytes(b"PAR1 cut short")
    assert "db.yaml: audformat cannot read it" in refused(tmp_path, "msp_podcast", root)
    write_text(root / "db.yaml", "name: [")
    assert "db.yaml: audformat cannot read it" in refused(tmp_path, "msp_podcast", root)


def test_without_the_package_the_fault_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_database(tmp_path / "db")
    monkeypatch.setitem(sys.modules, "audformat", None)
    assert "pip install 'speech-orchestrator[manifests]'" in refused(tmp_path, "msp_podcast", root)
