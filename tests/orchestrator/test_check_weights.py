"""Pretrained weights and transcripts are looked for when a command is checked, before anything is computed."""

from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import constants

from orchestrator import checks
from orchestrator.checks import Options, check
from search_spaces.scale import Scale
from search_spaces.study import Study, study
from search_spaces.table import Column, Row, TableSpec
from tests.tiny_corpora import write_tiny_corpora
from tests.tiny_weights import write_tiny_bert
from trainables.errors import UserError
from trainables.pretrained import EMBEDDED
from trainables.sentence_embeddings import SentenceEmbeddings

BERT, OTHER = "google-bert/bert-base-uncased", "somebody/other-bert"


def words_study() -> Study:
    """A row with the default weights, and one that names others."""
    chains = {
        "default": lambda seed: SentenceEmbeddings(corpus="mdd", unit="session"),
        "other": lambda seed: SentenceEmbeddings(corpus="mdd", unit="session", model=OTHER),
    }
    table = TableSpec(
        study="words",
        title="Words",
        source="nowhere",
        row_titles=("row",),
        rows=(),
        columns=(Column(metric="f1_macro", title="F1", percent=False, higher_is_better=True),),
        headline="f1_macro",
    )
    return study(table, [(Row(key=key, label=(key,)), chain) for key, chain in chains.items()], "none")


@pytest.fixture
def corpora(tmp_path, monkeypatch) -> Path:
    """Tiny corpora with transcripts, and a study that reads them."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(checks, "find_search", lambda name, curve: None)
    monkeypatch.setattr(checks, "load_study", lambda name, curve: words_study())
    path = write_tiny_corpora(tmp_path / "corpora")
    manifest = path.parent / "mdd" / "metadata.csv"
    pd.read_csv(manifest).assign(text="it was good").to_csv(manifest, index=False)
    return path


def give(corpora: Path, **weights: str) -> None:
    lines = "".join(f'"{name}" = "{folder}"\n' for name, folder in weights.items())
    corpora.write_text(f"{corpora.read_text()}\n[pretrained]\n{lines}")


def options(corpora: Path, tmp_path: Path, scale: str, **settings: object) -> Options:
    return Options("words", corpora=str(corpora), scale=scale, results=tmp_path / "results", **settings)


def test_all_weights_that_are_missing_are_told_with_the_other_faults(corpora, tmp_path):
    (corpora.parent / "mdd" / "s03.wav").unlink()
    with pytest.raises(UserError) as caught:
        check(options(corpora, tmp_path, "paper", address="127.0.0.1:1"))
    message = str(caught.value)
    for part in (
        f"weights '{BERT}'",
        f"hf download {OTHER} --local-dir weights/other-bert",
        "[pretrained]",
        "s03.wav",
        "nobody answers",
    ):
        assert part in message


def test_the_setting_has_the_weights_of_the_scale_that_is_run(corpora, tmp_path, monkeypatch):
    scales = {"small": Scale("small", seeds=1, overlay={"SentenceEmbeddings": {"model": EMBEDDED}})}
    monkeypatch.setattr("search_spaces.scale.SCALES", scales | {"paper": Scale("paper", seeds=1)})
    bert, other = (write_tiny_bert(corpora.parent / "weights" / name, seed) for seed, name in enumerate(("bert", "other")))
    give(corpora, **{BERT: "weights/bert", OTHER: "weights/other"})
    at_paper, at_small = (check(options(corpora, tmp_path, scale)).setting for scale in ("paper", "small"))
    assert {name: found.path for name, found in at_paper.weights.items()} == {BERT: str(bert), OTHER: str(other)}
    assert {name: found.path for name, found in at_small.weights.items()} == {EMBEDDED: "", OTHER: str(other)}
    assert at_paper.weights[BERT].digest != at_paper.weights[OTHER].digest
    stage = SentenceEmbeddings(corpus="mdd", unit="session", model=OTHER)
    assert at_paper.fingerprint(stage) == at_small.fingerprint(stage)


def test_a_scale_that_does_not_exist_asks_for_no_weights(corpora, tmp_path):
    with pytest.raises(UserError, match="did you mean 'paper'") as caught:
        check(options(corpora, tmp_path, "papre"))
    assert "weights" not in str(caught.value)


def test_a_table_of_weights_with_a_fault_is_told(corpora, tmp_path):
    give(corpora, **{BERT: ""})
    with pytest.raises(UserError, match=f"{BERT}: expected a folder"):
        check(options(corpora, tmp_path, "paper"))


def test_a_corpus_without_transcripts_is_told(corpora, tmp_path):
    manifest = corpora.parent / "mdd" / "metadata.csv"
    pd.read_csv(manifest).drop(columns="text").to_csv(manifest, index=False)
    with pytest.raises(UserError, match="none of the 24 turns of corpus 'mdd' has a transcript"):
        check(options(corpora, tmp_path, "paper"))
