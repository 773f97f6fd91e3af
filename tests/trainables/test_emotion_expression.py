"""What emotion the healthy and the depressed express: whose turns are averaged, how, and that nothing is learnt from them."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tests.trainables.emotion_corpora import FRAMES, INTERVIEW_FRAMES, INTERVIEW_SENTENCES, SENTENCES, dialogues, interviews, model
from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage import manifests
from trainables.emotion_expression import EmotionExpression
from trainables.emotion_features import EmotionFeatures
from trainables.errors import UserError
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.exposure import Exposure
from trainables.leakage.overlaps import find_overlaps
from trainables.leakage.sets import BITS
from trainables.protocols.catalogue import DAIC_DEV_AS_TEST, DAIC_POOLED_NESTED, OWN_SPLITS

FEATURES = EmotionFeatures(model=model(attributes=True), filterbanks=INTERVIEW_FRAMES, sentences=INTERVIEW_SENTENCES)
BY_UTTERANCE = EmotionFeatures(model=FEATURES.model, filterbanks=FRAMES, sentences=SENTENCES)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Emotion features of eight sessions, of which four train, two are for development and two for testing."""
    folder = tmp_path_factory.mktemp("described")
    results = dialogues(folder / "dialogues") | interviews(folder / "interviews")
    for stage in (FEATURES.model, FEATURES):
        results[stage] = folder / type(stage).__name__
        stage.run(FakeContext(results[stage], results))
    return results[FEATURES]


def expression(output="valence", **settings):
    return EmotionExpression(**{"features": FEATURES, "output": output, **settings})


def run(which, described, directory):
    which.run(FakeContext(directory, {FEATURES: described}))
    return pd.read_parquet(directory / "predictions.parquet"), json.loads((directory / "metrics.json").read_text())


@pytest.mark.parametrize(("output", "column"), [("valence", "valence"), ("sad", "p_sad")])
def test_turns_are_averaged_within_sessions_and_sessions_within_diagnoses(tmp_path, described, output, column):
    """Who talks much counts no more than others."""
    table, metrics = run(expression(output), described, tmp_path / "result")
    turns = pd.read_parquet(described / "segments.parquet").assign(value=pd.read_parquet(described / "outputs.parquet")[column])
    expected = {name: np.mean(turns.loc[turns["unit"] == name, "value"]) for name in ("s0", "s1", "s2", "s3")}
    assert list(table.columns) == ["unit", "speaker", "truth", "value"]
    assert table["unit"].tolist() == list(expected)
    assert table["speaker"].tolist() == ["p0", "p1", "p2", "p3"]
    assert table["truth"].tolist() == [0, 1, 0, 1]
    assert table["value"].tolist() == pytest.approx(list(expected.values()))
    healthy, depressed = (expected["s0"] + expected["s2"]) / 2, (expected["s1"] + expected["s3"]) / 2
    assert metrics == pytest.approx({"healthy": healthy, "depressed": depressed, "difference": depressed - healthy})
    pooled = np.mean(turns.loc[turns["unit"].isin(["s0", "s2"]), "value"])
    assert metrics["healthy"] != pytest.approx(pooled), "or this test could not tell sessions from turns"


@pytest.mark.parametrize("settings", [{}, {"protocol": DAIC_DEV_AS_TEST}, {"scored_on": "dev"}, {"seed": 7}], ids=str)
def test_the_training_participants_are_measured_as_in_the_paper_whatever_else_is_asked(tmp_path, described, settings):
    table, _ = run(expression(**settings), described, tmp_path / "result")
    assert table["unit"].tolist() == ["s0", "s1", "s2", "s3"]


def test_both_diagnoses_must_be_among_those_who_are_measured(tmp_path, described):
    home = tmp_path / "without"
    home.mkdir()
    rows = ~pd.read_parquet(described / "segments.parquet")["unit"].isin(["s0", "s2"]).to_numpy()  # the healthy who train
    for name in ("segments.parquet", "outputs.parquet"):
        pd.read_parquet(described / name)[rows].to_parquet(home / name, index=False)
    with pytest.raises(UserError, match="train set has no unit of class healthy"):
        run(expression(), home, tmp_path / "result")


def test_nothing_is_learnt_from_those_who_are_measured_and_the_audit_finds_no_leak():
    features = FEATURES.model_copy(update={"model": model(attributes=True, protocol=OWN_SPLITS)})
    which = expression(features=features)
    assert which.exposure() == Exposure(features=features, task="depression")
    split = dict(zip(sorted(f"s{n:02d}" for n in range(16)), ["train"] * 8 + ["dev"] * 4 + ["test"] * 4, strict=True))
    table = manifests.interviews(16)
    table = table.assign(split=table["session"].map(split))
    corpus = AuditedCorpus("mdd", table, manifests.inventory(table))
    audit = ChainAudit({"mdd": corpus, "iemocap": AuditedCorpus("iemocap", manifests.utterances())})
    bits = audit.bits(which)
    scored = set(table.loc[bits & BITS["test"] > 0, "session"])
    assert scored == {name for name, part in split.items() if part == "train"}
    assert not (bits & (BITS["train"] | BITS["dev"])).any(), "they are in no other set"
    assert audit.find(which) == []
    assert find_overlaps(corpus, bits, which.protocol, "session") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "joy"}, "'joy': the emotion model has angry, happy, sad, neutral, valence, activation, dominance; choose one"),
        ({"shuffled_labels": True}, "nothing is trained here"),
        ({"features": BY_UTTERANCE}, "unit='session'"),
    ],
)
def test_an_output_of_the_model_is_measured_by_session(settings, message):
    with pytest.raises(ValidationError, match=message):
        expression(**settings)


def test_a_protocol_with_folds_is_refused_in_words():
    with pytest.raises(UserError, match="the folds of 'daic-pooled-nested' mean nothing"):
        expression(protocol=DAIC_POOLED_NESTED)
