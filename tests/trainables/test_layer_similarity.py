"""Contract of trainables/layer_similarity.py."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from search_spaces.study import study
from search_spaces.table import Column, Row, TableSpec
from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage.manifests import kinds, utterances
from trainables.encoder_similarity import EncoderSimilarity
from trainables.errors import UserError
from trainables.initial_encoder import InitialEncoder
from trainables.layer_similarity import LayerSimilarity
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.protocols.catalogue import CASIA_4_SPEAKERS, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.stage import from_config, to_config
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

ENCODER = InitialEncoder(architecture="wavlm")
SOURCES = (
    TrainingSet(utterances=Utterances(corpus="iemocap"), task="emotion4", protocol=SPEAKERS_5_FOLD, fold=2, seed=3),
    TrainingSet(utterances=Utterances(corpus="casia"), task="casia6", protocol=CASIA_4_SPEAKERS, fold=1, seed=3),
)
TUNED = SupervisedContrastive(encoder=ENCODER, sources=SOURCES)
SIMILARITY = EncoderSimilarity(encoder=ENCODER, tuned=TUNED, sources=SOURCES)
ONE = LayerSimilarity(similarity=SIMILARITY, layer=1)


@pytest.fixture
def folder(tmp_path):
    """Two layers' similarities."""
    rows = [(0, "positive", 0.9, 10), (0, "negative", 0.8, 20), (1, "positive", 0.5, 10), (1, "negative", -0.25, 20)]
    pd.DataFrame(rows, columns=["layer", "kind", "mean", "pairs"]).to_parquet(tmp_path / "similarity.parquet", index=False)
    return tmp_path


def test_it_tells_the_two_means_of_its_layer_and_how_far_they_are_apart(folder):
    ONE.run(FakeContext(folder / "out", {SIMILARITY: folder}))
    assert json.loads((folder / "out" / "metrics.json").read_text()) == {"positive": 0.5, "negative": -0.25, "gap": 0.75}


def test_a_layer_that_the_encoder_does_not_have_is_refused_with_those_it_has(folder):
    with pytest.raises(UserError, match="layer 2: the encoder has layers 0 to 1; choose one of them"):
        LayerSimilarity(similarity=SIMILARITY, layer=2).run(FakeContext(folder / "out", {SIMILARITY: folder}))


def test_its_division_is_that_of_the_first_source_and_survives_a_description():
    assert (ONE.protocol, ONE.fold, ONE.seed) == (SPEAKERS_5_FOLD, 2, 3)
    assert from_config(json.loads(json.dumps(to_config(ONE)))) == ONE


def test_another_division_is_refused_for_the_pairs_would_be_of_other_utterances():
    with pytest.raises(
        UserError, match="fold 2 of 'speakers-5-fold' scores, seed 3, and cannot be had with another protocol, fold"
    ):
        LayerSimilarity(similarity=SIMILARITY, layer=1, protocol=SPEAKERS_70_30, fold=0)
    column = Column(metric="gap", title="gap", percent=False, higher_is_better=None)
    spec = TableSpec(study="toy", title="", source="", row_titles=("",), rows=(), columns=(column,), headline="gap")
    whole = study(spec, [(Row(key="one", label=("",)), lambda seed: ONE)], protocol="")
    with pytest.raises(UserError, match="--protocol: row 'one' cannot be had under 'speakers-70-30'"):
        whole.under(SPEAKERS_70_30).chains["one"](0)


def test_the_audit_finds_no_leak_and_one_where_the_encoder_has_heard_those_who_are_scored():
    manifests = {"iemocap": utterances(splits=False), "casia": utterances(speakers=4, splits=False)}
    audit = ChainAudit({role: AuditedCorpus(role, manifest) for role, manifest in manifests.items()})
    assert kinds(audit.find(ONE)) == set()
    heard = SupervisedContrastive(encoder=ENCODER, sources=(SOURCES[0].with_upstream({}, fold=1),))
    unsound = ONE.model_copy(update={"similarity": SIMILARITY.model_copy(update={"tuned": heard})})  # which the stages refuse
    assert kinds(audit.find(unsound)) == {"supervised on test speakers"}
