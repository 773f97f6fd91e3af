"""Contract of trainables/utterances.py: the utterances of a corpus as rows, none too long for a Transformer."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.checks import check_corpora
from orchestrator.execution.job import StageFailed
from tests.trainables.fake_context import FakeContext
from tests.trainables.spoken_corpora import CORPUS, finished, open_spoken, write_spoken_corpora
from trainables import utterances
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.tasks import TASKS
from trainables.turns import turn_table
from trainables.units import read_units
from trainables.utterances import Utterances

STAGE, INTERVIEWS = Utterances(corpus=CORPUS), Utterances(corpus="daic_woz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_spoken_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def corpora(folder):
    return open_spoken(folder)


@pytest.mark.parametrize("stage", [STAGE, INTERVIEWS], ids=["whole files", "spans of files"])
def test_the_rows_are_the_subjects_utterances_in_the_order_of_all_stages_without_their_words(corpora, tmp_path, stage):
    directory = finished(corpora, stage, tmp_path / "store")
    table = pd.read_parquet(directory / "segments.parquet")
    pd.testing.assert_frame_equal(table, turn_table(corpora[stage.corpus], "utterance"))
    assert "text" not in table
    assert not table["speaker"].eq("doctor").any()
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics == {
        "utterances": len(table),
        "speakers": table["speaker"].nunique(),
        "hours": pytest.approx(table["seconds"].sum() / 3600),
    }


def test_units_of_a_task_can_be_read_of_it_and_their_segments_are_its_row_numbers(corpora, tmp_path):
    directory = finished(corpora, STAGE, tmp_path / "store")
    table, units = pd.read_parquet(directory / "segments.parquet"), read_units(directory, TASKS["emotion4"])
    rows = [int(segments[0]) for segments in units.segments]
    assert all(len(segments) == 1 for segments in units.segments)
    assert table.loc[rows, "unit"].tolist() == units.table["unit"].tolist()
    assert sorted(rows) == table.index[table["emotion"].isin(["ang", "hap", "neu", "sad"])].tolist()


def test_no_sound_is_decoded(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.corpora.audio._read_span", None)  # whoever decodes fails
    assert finished(corpora, STAGE, tmp_path / "store").is_dir()


def test_a_corpus_that_is_no_longer_the_planned_one_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    corpora = open_spoken(tmp_path / "copy")
    manifest = Path(corpora[CORPUS].root) / "metadata.csv"
    manifest.write_text(manifest.read_text().replace(",ang", ",sad"))
    with pytest.raises(StageFailed, match="has changed since it was opened"):
        finished(corpora, STAGE, tmp_path / "store")


def test_utterances_too_long_for_a_transformer_are_told_before_anything_is_computed(corpora, monkeypatch):
    monkeypatch.setattr(utterances, "LONGEST_SECONDS", 0.9)
    assert STAGE.corpus_fault(corpora[CORPUS]) is None  # its manifest has no ends
    with pytest.raises(UserError, match=r"found 4 utterances .* above 0\.9 s, the longest of 1 s.*p0.*p1.*start and end"):
        check_corpora([INTERVIEWS], corpora)


def test_those_that_show_only_in_the_files_are_named_when_the_stage_runs(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr(utterances, "LONGEST_SECONDS", 0.55)
    context = FakeContext(tmp_path / "out", {})
    context.corpus = corpora.__getitem__
    with pytest.raises(UserError, match=r"found 2 utterances .*c6.*c7"):
        STAGE.run(context)
    monkeypatch.setattr(utterances, "LONGEST_SECONDS", 0.75)
    STAGE.run(context)


def test_nothing_is_learnt():
    assert STAGE.exposure() == Exposure(features=STAGE)
