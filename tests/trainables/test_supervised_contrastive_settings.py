"""Contract of trainables.supervised_contrastive: its settings, and what a plan learns from them."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tests.trainables.contrastive_sources import CONVOLVED, ENCODER, SOURCES, stage
from trainables.identity import fingerprint, weights_key
from trainables.initial_encoder import InitialEncoder
from trainables.leakage.exposure import Exposure
from trainables.stage import from_config, to_config
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances


def test_the_defaults_are_the_papers_settings():
    paper = SupervisedContrastive(encoder=ENCODER, sources=SOURCES)
    assert (paper.temperature, paper.alpha, paper.margin) == (0.07, 0.5, 0.4)
    assert (paper.epochs, paper.batch_size, paper.learning_rate, paper.encoder_rate) == (50, 32, 1e-4, 0.4)
    assert (paper.halve_from, paper.halve_every) == (25, 5)


@pytest.mark.parametrize("convolved", [(), CONVOLVED])
def test_a_stage_is_rebuilt_from_its_description(convolved):
    assert from_config(json.loads(json.dumps(to_config(stage(convolved=convolved))))) == stage(convolved=convolved)


OTHER = InitialEncoder(architecture="hubert")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": (), "convolved": ()}, "at least 1 item"),
        ({"sources": SOURCES[:1] * 2, "convolved": ()}, "iemocap is given more than once"),
        (
            {"sources": (SOURCES[0].with_upstream({}, task="attributes"),), "convolved": ()},
            "the sets of iemocap are of ratings, which are no classes; give emotions",
        ),
        ({"convolved": CONVOLVED[:1]}, "convolved is of iemocap, sources are of iemocap, casia; give one for each source"),
        ({"convolved": CONVOLVED[::-1]}, "convolved is of casia, iemocap, sources are of iemocap, casia"),
        ({"encoder": OTHER}, "convolved was computed by another encoder"),
        ({"batch_size": 10}, "multiple of 4"),
    ],
)
def test_contradictory_settings_are_refused_with_what_to_do(changes, message):
    with pytest.raises(ValidationError, match=message):
        stage(**changes)


def test_one_corpus_and_three_are_possible():
    third = SOURCES[0].with_upstream({"utterances": Utterances(corpus="msp_podcast")})
    assert len(stage(sources=(*SOURCES, third), convolved=()).sources) == 3
    assert len(stage(sources=SOURCES[:1], convolved=()).sources) == 1


@pytest.mark.parametrize(
    ("batch_size", "workers", "advice"),
    [(8, 1, None), (8, 4, None), (32, 8, None), (8, 3, "nearest is 12"), (32, 3, "nearest is 24 or 36"), (8, 8, "nearest is 16")],
)
def test_workers_must_share_positives_and_negatives_equally(batch_size, workers, advice):
    answer = stage(batch_size=batch_size).validate_workers(workers)
    assert answer is None if advice is None else advice in answer


def test_it_would_convolve_every_source_once_an_epoch_and_a_plan_can_spare_it_that():
    bare = stage(convolved=(), epochs=7)
    spared = bare.repeated()
    assert spared == {f"convolved.{number}": (features, 7.0) for number, features in enumerate(CONVOLVED)}
    filled = bare.with_upstream({}, convolved=tuple(features for features, _ in spared.values()))
    assert filled == stage(epochs=7)
    assert filled.repeated() == {}
    digests = {"iemocap": "i", "casia": "c"} | {weights_key(name): "w" for name in ENCODER.pretrained().values()}
    assert fingerprint(filled, digests) == fingerprint(bare, digests)


def test_its_own_declaration_adds_nothing_to_that_of_its_training_sets():
    assert stage().exposure() == Exposure()
    assert [source.exposure().fitted for source in stage().chain() if isinstance(source, TrainingSet)] == ["training"] * 2
