"""The recogniser over given frames: it learns ratings of unseen speakers, from filterbanks and from contexts."""

import json

import pandas as pd
import pytest
from pydantic import ValidationError

from tests.trainables.cpc_networks import CONTEXTS, OTHERS, SIZES, pretrained
from tests.trainables.emotion_corpora import FRAMES, ONE_DIALOGUE_OUT, dialogues
from tests.trainables.fake_context import FakeContext
from trainables.attribute_regression import AttributeRegression
from trainables.attributes import ATTRIBUTES
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining
from trainables.cross_validation import CrossValidation
from trainables.metrics import prediction_scores
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    found = dialogues(tmp_path_factory.mktemp("corpus"))
    return found | pretrained(tmp_path_factory.mktemp("pretrained"), found[FRAMES])


@pytest.mark.parametrize("frames", [FRAMES, CONTEXTS], ids=["filterbanks", "contexts"])
def test_it_learns_ratings_of_unseen_speakers_and_tells_their_scores(tmp_path, corpus, frames):
    """Valence rises and activation falls with the emotion that is in the frames; dominance is chance. The training mean has 0."""
    which = AttributeRegression(
        frames=frames, protocol=ONE_DIALOGUE_OUT, heads=2, attention_size=16, epochs=20, batch_size=16, learning_rate=0.01
    )
    context = FakeContext(tmp_path / "result", corpus)
    which.run(context)
    metrics = json.loads((tmp_path / "result/metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "result/predictions.parquet")
    expected = ["unit", "speaker", *(f"{name}{end}" for name in ATTRIBUTES for end in ("", "_predicted"))]
    assert sorted(table) == sorted(expected)
    assert metrics == pytest.approx(prediction_scores(table))
    assert min(metrics["ccc_valence"], metrics["ccc_activation"]) > 0.5
    assert abs(metrics["ccc_dominance"]) < 0.4
    first, last = context.reports[0][1], context.reports[-1][1]
    assert last["loss"] < 0.7 * first["loss"]
    assert set(last) == {"loss", "ccc_loss"}


def test_a_window_of_contexts_is_as_long_as_one_of_their_frames():
    stages = [AttributeRegression(frames=frames, protocol=OWN_SPLITS, window_seconds=3) for frames in (FRAMES, CONTEXTS)]
    assert [stage.window_frames for stage in stages] == [30, 30]


def test_what_was_pretrained_on_a_training_set_of_the_scored_corpus_gets_the_division_of_every_fold():
    """So a protocol or a fold that is asked for of the last stage alone tests nobody who was heard before."""
    utterances = Utterances(corpus="iemocap")
    within = TrainingSet(utterances=utterances, task="attributes", protocol=OWN_SPLITS)
    contexts = CpcContexts(encoder=CpcPretraining(frames=FRAMES, within=within, **SIZES), frames=FRAMES)
    first = AttributeRegression(frames=contexts, protocol=ONE_DIALOGUE_OUT, seed=7)
    folds = CrossValidation(folds=tuple(first.with_upstream({}, fold=fold) for fold in range(4)))
    for fold, stage in enumerate(folds.folds):
        heard = stage.frames.encoder.within
        # The division is the same for all seeds, and so is the pretraining.
        assert heard == TrainingSet(utterances=utterances, task="attributes", protocol=ONE_DIALOGUE_OUT, fold=fold)
    drawn = AttributeRegression(frames=contexts, protocol=SPEAKERS_5_FOLD, seed=7)
    assert drawn.frames.encoder.within.seed == 7
    other = within.with_upstream({}, task="emotion4")
    contexts = CpcContexts(encoder=CpcPretraining(frames=FRAMES, within=other, **SIZES), frames=FRAMES)
    with pytest.raises(ValidationError, match="training set of 'emotion4'; give one with task='attributes'"):
        AttributeRegression(frames=contexts, protocol=ONE_DIALOGUE_OUT)


def test_what_was_pretrained_on_another_corpus_stays_as_it_is():
    assert AttributeRegression(frames=CONTEXTS, protocol=OWN_SPLITS).frames == CONTEXTS
    elsewhere = TrainingSet(utterances=Utterances(corpus="librispeech"), task="attributes", protocol=OWN_SPLITS)
    contexts = CpcContexts(encoder=CpcPretraining(frames=OTHERS, within=elsewhere, **SIZES), frames=FRAMES)
    assert AttributeRegression(frames=contexts, protocol=OWN_SPLITS, seed=3).frames == contexts
