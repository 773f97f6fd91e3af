"""A trained emotion model applied to another corpus: what it writes, what it rests on, and what it must be applied to."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tests.trainables.emotion_corpora import (
    FRAMES,
    INTERVIEW_FRAMES,
    INTERVIEW_SENTENCES,
    SENTENCES,
    dialogues,
    interviews,
    model,
)
from tests.trainables.fake_context import FakeContext
from trainables.emotion_features import EmotionFeatures, session_emotions
from trainables.emotion_model import ATTRIBUTES
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.tasks import TASKS
from trainables.units import read_units

SIZES = {"audio": 128, "text": 320, "both": 448}
CLASSES = ("p_angry", "p_happy", "p_sad", "p_neutral")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return dialogues(tmp_path_factory.mktemp("dialogues"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """Results of one model of each modality, by the model."""
    found = {}
    for modality in SIZES:
        which = model(modality, attributes=True)
        found[which] = tmp_path_factory.mktemp("models") / modality
        which.run(FakeContext(found[which], corpus))
    return found


def applied(modality="both", frames=INTERVIEW_FRAMES, sentences=INTERVIEW_SENTENCES):
    which = model(modality, attributes=True)
    inputs = {"filterbanks": frames if which.filterbanks else None, "sentences": sentences if which.sentences else None}
    return EmotionFeatures(model=which, **inputs)


def run(which, results, directory):
    which.run(FakeContext(directory, results))
    return directory


def rows(directory):
    table = pd.read_parquet(directory / "segments.parquet")
    return table.assign(vector=list(np.load(directory / "embeddings.npy")), **pd.read_parquet(directory / "outputs.parquet"))


@pytest.mark.parametrize("modality", SIZES)
def test_every_turn_has_a_feature_and_outputs_in_the_order_of_the_turns(tmp_path, trained, modality):
    given = interviews(tmp_path / "corpus")
    home = run(applied(modality), given | trained, tmp_path / "result")
    turns = pd.read_parquet(given[INTERVIEW_SENTENCES] / "segments.parquet")
    assert pd.read_parquet(home / "segments.parquet").equals(turns), "as every stage of turn features has them"
    vectors, outputs = np.load(home / "embeddings.npy"), pd.read_parquet(home / "outputs.parquet")
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(turns), SIZES[modality]))
    assert list(outputs) == [*CLASSES, *ATTRIBUTES] == list(applied(modality).outputs.values())
    assert outputs[list(CLASSES)].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(turns)))
    assert json.loads((home / "metrics.json").read_text()) == {"turns": len(turns), "dimensions": SIZES[modality]}
    assert sum(map(len, read_units(home, TASKS["depression"]).segments)) == len(turns)


@pytest.mark.parametrize("modality", SIZES)
def test_on_the_corpus_that_it_was_scored_on_it_says_what_the_models_predictions_say(tmp_path, corpus, trained, modality):
    which = applied(modality, FRAMES, SENTENCES)
    said = rows(run(which, corpus | trained, tmp_path / "result")).set_index("turn")
    scored = pd.read_parquet(trained[which.model] / "predictions.parquet").set_index("unit")
    assert said.loc[scored.index, list(CLASSES)].to_numpy() == pytest.approx(scored[["p0", "p1", "p2", "p3"]].to_numpy(), abs=1e-5)
    predicted = scored[[f"{name}_predicted" for name in ATTRIBUTES]].to_numpy()
    assert said.loc[scored.index, list(ATTRIBUTES)].to_numpy() == pytest.approx(predicted, abs=1e-4)


def test_a_session_is_described_by_itself_whoever_else_is_in_the_corpus_and_however_they_sound(tmp_path, trained):
    """Statistics of standardisation are the model's; nothing is learnt of the corpus."""
    one, other, fewer = (
        rows(run(applied(), interviews(tmp_path / f"corpus {name}", **settings) | trained, tmp_path / f"result {name}"))
        for name, settings in {"as it is": {}, "moved": {"shift": 30.0}, "fewer": {"sessions": 5}}.items()
    )
    for found, kept in ((other, one["unit"] != "s7"), (fewer, one["unit"] <= "s4")):
        same, expected = found[found["unit"].isin(one["unit"][kept])], one[kept]
        assert np.stack(same["vector"]) == pytest.approx(np.stack(expected["vector"]), abs=1e-5)
        assert same[list(CLASSES)].to_numpy() == pytest.approx(expected[list(CLASSES)].to_numpy(), abs=1e-5)
    last = one["unit"] == "s7"
    assert not np.allclose(np.stack(other["vector"][last]), np.stack(one["vector"][last])), "or this test could not fail"


def test_the_same_bytes_come_out_twice(tmp_path, trained):
    given = interviews(tmp_path / "corpus") | trained
    one, two = (run(applied(), given, tmp_path / name) for name in ("one", "two"))
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def test_the_model_must_be_whole(tmp_path, trained):
    which = applied("audio")
    home = tmp_path / "damaged"
    home.mkdir()
    for path in trained[which.model].iterdir():
        (home / path.name).write_bytes(path.read_bytes())
    described = json.loads((home / "model.json").read_text())
    (home / "model.json").write_text(json.dumps(described | {"network": described["network"] | {"width": 5}}))
    with pytest.raises(UserError, match=r"weights do not fit model.json(.|\n)*train again"):
        run(which, interviews(tmp_path / "corpus") | {which.model: home}, tmp_path / "result")


@pytest.mark.parametrize(
    ("modality", "given", "message"),
    [
        ("both", {"filterbanks": INTERVIEW_FRAMES}, "sentences: the model was trained on some; give those of this corpus"),
        (
            "audio",
            {"filterbanks": INTERVIEW_FRAMES, "sentences": INTERVIEW_SENTENCES},
            "sentences: the model has none; leave them out",
        ),
        (
            "audio",
            {"filterbanks": INTERVIEW_FRAMES.model_copy(update={"mels": 8, "deltas": False})},
            "other filterbanks: mels, deltas differ",
        ),
        ("text", {"sentences": INTERVIEW_SENTENCES.model_copy(update={"model": "other"})}, "sentences of google-bert"),
        (
            "both",
            {"filterbanks": INTERVIEW_FRAMES, "sentences": INTERVIEW_SENTENCES.model_copy(update={"corpus": "daic_woz"})},
            "differ in their corpus",
        ),
    ],
)
def test_modality_and_front_end_must_be_those_that_the_model_was_trained_on(modality, given, message):
    with pytest.raises(ValidationError, match=message):
        EmotionFeatures(model=model(modality), **given)


def test_corpus_and_unit_are_those_of_what_is_described_and_nothing_is_learnt():
    which = applied()
    assert (which.corpus, which.unit, which.model.turns.corpus) == ("mdd", "session", "iemocap")
    assert which.exposure() == Exposure(features=INTERVIEW_FRAMES)
    assert applied("text").exposure() == Exposure(features=INTERVIEW_SENTENCES)


def test_a_case_study_has_each_sessions_mean_outputs_dominant_class_and_shares_of_turns(tmp_path, trained):
    home = run(applied(), interviews(tmp_path / "corpus") | trained, tmp_path / "result")
    table, found = rows(home), session_emotions(home)
    assert found.index.tolist() == sorted(set(table["unit"]))
    for session in found.index:
        turns = table[table["unit"] == session]
        means = {name: float(np.mean(turns[name])) for name in (*CLASSES, *ATTRIBUTES)}
        assert found.loc[session, list(means)].tolist() == pytest.approx(list(means.values()))
        assert found.loc[session, "dominant"] == max(CLASSES, key=means.get).removeprefix("p_")
        counted = Counter(max(CLASSES, key=turn.get) for turn in turns.to_dict("records"))
        shares = [counted[name] / len(turns) for name in CLASSES]
        assert found.loc[session, [f"share_{name.removeprefix('p_')}" for name in CLASSES]].tolist() == pytest.approx(shares)
        assert found.loc[session, "turns"] == len(turns)
