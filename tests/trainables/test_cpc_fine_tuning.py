"""Both ways of fine-tuning, and what they share, on an encoder that was pretrained by CPC: the whole chains on tiny corpora."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch

from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.spoken_corpora import finished
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.registry import open_corpora
from trainables.cpc_pretraining import CpcPretraining
from trainables.direct_fine_tuning import DirectFineTuning
from trainables.encoder_similarity import EncoderSimilarity
from trainables.filterbank_features import FilterbankFeatures
from trainables.models.cpc import CpcNetwork
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.pooled_classifier import PooledClassifier
from trainables.protocols.catalogue import SPEAKERS_4_FOLD, SPEAKERS_5_FOLD
from trainables.stage import from_config, to_config
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

ENCODER = CpcPretraining(
    frames=FilterbankFeatures(corpus="librispeech", unit="utterance", deltas=False, hop=320),
    size=16,
    encoder_layers=1,
    negatives=16,
    batch_size=8,
    epochs=2,
    learning_rate=2e-3,
    precision="float32",
)
OWN = TrainingSet(utterances=Utterances(corpus="iemocap"), task="emotion4", protocol=SPEAKERS_5_FOLD)
OTHER = TrainingSet(utterances=Utterances(corpus="casia"), task="casia6", protocol=SPEAKERS_4_FOLD)
SCORED = {"utterances": OWN.utterances, "task": OWN.task, "protocol": OWN.protocol}
SMALL = {"batch_size": 8, "precision": "float32"}
TUNED = SupervisedContrastive(encoder=ENCODER, sources=(OWN, OTHER), batch_size=16, epochs=2, learning_rate=3e-3)
STAGES = {
    "two stages": PooledClassifier(tuned=TUNED, epochs=6, learning_rate=0.01, decay_from=5, **SCORED, **SMALL),
    "directly": DirectFineTuning(encoder=ENCODER, epochs=3, learning_rate=0.01, **SCORED, **SMALL),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """From a stage to where its result lies."""
    folder = tmp_path_factory.mktemp("computed")
    corpora = open_corpora(str(write_tiny_corpora(folder / "corpora")), folder, ["librispeech", "iemocap", "casia"])
    return lambda stage, store="store": finished(corpora, stage, folder / store)


def of_part(network, part):
    return {name: value for name, value in network.state_dict().items() if name.startswith(part)}


def same(left, right):
    return all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.mark.parametrize("way", STAGES)
def test_emotions_of_unseen_speakers_are_told_apart_by_their_tones(result, way):
    metrics = json.loads((result(STAGES[way]) / "metrics.json").read_text())
    assert metrics["uar"] > 0.5, "four classes"


def test_stage_one_tunes_the_gru_and_leaves_what_is_frozen_as_pretraining_left_it(result):
    before, after = CpcNetwork.load(result(ENCODER)), EmotionEncoder.load(result(TUNED)).encoder.network
    for part in ("encoder.", "predictors.", "mean", "scale"):
        assert same(of_part(before, part), of_part(after, part)), part
    assert not same(of_part(before, "recurrence."), of_part(after, "recurrence."))


def test_kept_convolved_features_give_the_predictions_that_convolving_anew_gives(result):
    convolved = ConvolutionalFeatures(encoder=ENCODER, utterances=OWN.utterances)
    direct = STAGES["directly"].with_upstream({}, epochs=1)
    anew, kept = (
        result(stage, store) for stage, store in ((direct, "anew"), (direct.with_upstream({}, convolved=convolved), "kept"))
    )
    pd.testing.assert_frame_equal(*(pd.read_parquet(home / "predictions.parquet") for home in (anew, kept)))
    assert anew.relative_to(anew.parents[2]) == kept.relative_to(kept.parents[2]), "one identity"


@pytest.mark.parametrize("tuned", [None, TUNED])
def test_similarity_is_measured_where_the_gru_begins_and_where_it_ends(result, tuned):
    stage = EncoderSimilarity(encoder=ENCODER, tuned=tuned, sources=(OWN, OTHER))
    table = pd.read_parquet(result(stage) / "similarity.parquet")
    assert sorted(set(table["layer"])) == [0, 1]
    assert table["mean"].between(-1, 1).all()


@pytest.mark.parametrize("way", STAGES)
def test_the_chain_can_be_rebuilt_from_its_description(way):
    assert from_config(json.loads(json.dumps(to_config(STAGES[way])))) == STAGES[way]
