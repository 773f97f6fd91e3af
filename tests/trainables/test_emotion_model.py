"""The emotion model: what it is trained for, what it hears, which epoch counts, that it resumes."""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import mean_absolute_error
from torch.nn import functional as F

from tests.trainables.emotion_corpora import (
    FRAMES,
    INTERVIEW_SENTENCES,
    ONE_DIALOGUE_OUT,
    ONE_SPEAKER_OUT,
    SENTENCES,
    SMALL,
    dialogues,
    model,
)
from tests.trainables.fake_context import FakeContext
from trainables.emotion_model import ATTRIBUTES, EmotionModel
from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.metrics import prediction_scores
from trainables.models.emotion_net import EmotionBatch, EmotionNet
from trainables.numerics import seeded
from trainables.protocols import divide
from trainables.protocols.catalogue import HELD_OUT_30, OWN_SPLITS
from trainables.stage import StopRequested
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return dialogues(tmp_path_factory.mktemp("corpus"))


def run(which, corpus, directory, **context):
    context = FakeContext(directory, corpus, **context)
    which.run(context)
    return context


def predictions(directory):
    return pd.read_parquet(directory / "predictions.parquet")


def plain_inputs(corpus, training):
    """Windows ``(turn, frames)`` and the seven sentences of every turn, standardised, by loops over plain lists."""
    table = pd.read_parquet(corpus[FRAMES] / "segments.parquet")
    frames, vectors = np.load(corpus[FRAMES] / "frames.npy").astype(np.float64), np.load(corpus[SENTENCES] / "embeddings.npy")
    turns = [frames[first : first + length] for first, length in table[["first_frame", "frames"]].to_numpy()]
    known = np.concatenate([turns[row] for row in training])
    turns = [(turn - known.mean(axis=0)) / known.std(axis=0) for turn in turns]
    vectors = (vectors - vectors[training].mean(axis=0)) / vectors[training].std(axis=0)
    windows = []
    for row, turn in enumerate(turns):
        count = math.ceil(len(turn) / 20)
        bounds = [number * len(turn) // count for number in range(count + 1)]
        windows += [(row, turn[begin:end]) for begin, end in pairwise(bounds)]
    around = []
    for row, session in enumerate(table["session"]):
        near = range(row - 3, row + 4)
        around.append([vectors[n] if 0 <= n < len(table) and table["session"][n] == session else None for n in near])
    return windows, around


def plain_batch(windows, around):
    """A batch of windows, each sentence that is not there as zeros."""
    frames = torch.nn.utils.rnn.pad_sequence([torch.tensor(w, dtype=torch.float32) for _, w in windows], batch_first=True)
    present = torch.tensor([[vector is not None for vector in around[row]] for row, _ in windows])
    sentences = np.array([[np.zeros(5) if vector is None else vector for vector in around[row]] for row, _ in windows])
    lengths = torch.tensor([len(window) for _, window in windows])
    return EmotionBatch(frames, lengths, torch.tensor(sentences, dtype=torch.float32), present)


def test_training_minimises_cross_entropy_huber_loss_and_penalty_and_a_turn_is_the_mean_of_its_windows(tmp_path, corpus):
    """Against a plainly written loop over plainly made batches."""
    which = model(attributes=True, seed=3, attribute_weight=0.7, penalty_weight=0.3)
    run(which, corpus, tmp_path / "result")
    sets = divide(read_units(corpus[FRAMES], TASKS["emotion4"]), ONE_DIALOGUE_OUT, 3)
    rows = {name: np.concatenate(part.segments).tolist() for name, part in sets.items()}
    windows, around = plain_inputs(corpus, rows["train"])
    truth = dict(zip(rows["train"], sets["train"].truth.tolist(), strict=True))
    values = sets["train"].table[list(ATTRIBUTES)].to_numpy()
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scaled = dict(zip(rows["train"], torch.tensor((values - mean) / scale, dtype=torch.float32), strict=True))

    torch.manual_seed(seeded(3, "initialisation"))
    network = EmotionNet(8, 5, classes=4, attributes=3, width=4).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    training = [window for window in windows if window[0] in truth]
    order = EpochOrder(len(training), 16, 3)
    for step in range(2 * order.steps_per_epoch):
        torch.manual_seed(seeded(3, "noise", step, 0))
        batch = [training[i] for i in order[step].tolist()]
        output = network(plain_batch(batch, around))
        loss = F.cross_entropy(output.logits, torch.tensor([truth[row] for row, _ in batch])) + 0.3 * output.penalty
        error = (output.attributes - torch.stack([scaled[row] for row, _ in batch])).abs()
        loss = loss + 0.7 * torch.where(error < 1, 0.5 * error**2, error - 0.5).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    network.eval()
    expected, attributes = [], []
    for row in rows["test"]:
        output = network(plain_batch([window for window in windows if window[0] == row], around))
        geometric = output.logits.softmax(dim=1).prod(dim=0) ** (1 / len(output.logits))
        expected.append((geometric / geometric.sum()).tolist())
        attributes.append((output.attributes.mean(dim=0).detach().numpy() * scale + mean).tolist())
    found = predictions(tmp_path / "result")
    assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
    assert found[["p0", "p1", "p2", "p3"]].to_numpy() == pytest.approx(np.array(expected), abs=1e-4)
    assert found[[f"{name}_predicted" for name in ATTRIBUTES]].to_numpy() == pytest.approx(np.array(attributes), abs=1e-3)


@pytest.mark.parametrize("modality", ["audio", "text", "both"])
def test_each_modality_learns_emotions_and_attributes_of_unseen_speakers_and_tells_their_scores(tmp_path, corpus, modality):
    which = model(modality, attributes=True, epochs=20, learning_rate=0.01)
    assert which.modality == modality
    run(which, corpus, tmp_path / "result")
    table, metrics = predictions(tmp_path / "result"), json.loads((tmp_path / "result/metrics.json").read_text())
    of_attributes = {f"{kind}_{name}" for kind in ("mae", "ccc") for name in ATTRIBUTES}
    assert set(metrics) == {"f1_macro", "f1_micro", "uar", "ccc"} | of_attributes
    assert metrics == pytest.approx(prediction_scores(table))
    assert metrics["uar"] > 0.5, "four classes"
    guess = mean_absolute_error(table["valence"], np.full(len(table), table["valence"].mean()))
    assert metrics["mae_valence"] == pytest.approx(mean_absolute_error(table["valence"], table["valence_predicted"]))
    assert metrics["mae_valence"] < 0.9 * guess


def test_binary_sentiment_has_no_attributes_and_the_scores_of_the_positive_class(tmp_path, corpus):
    run(model(task="sentiment", protocol=OWN_SPLITS), corpus, tmp_path / "result")
    of_two_classes = {"f1_positive", "precision_positive", "recall_positive", "auc"}
    assert set(json.loads((tmp_path / "result/metrics.json").read_text())) == {"f1_macro", "f1_micro", "uar"} | of_two_classes
    assert list(predictions(tmp_path / "result")) == ["unit", "speaker", "truth", "predicted", "p0", "p1"]


def test_with_a_development_set_the_best_epoch_counts(tmp_path, corpus):
    """What is scored is what a training of just so many epochs gives."""
    settings = {"task": "sentiment", "protocol": OWN_SPLITS, "learning_rate": 0.02}
    context = run(model(epochs=8, **settings), corpus, tmp_path / "long")
    curve = [metrics["dev_f1_macro"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 7, "or this test could not tell the best epoch from the last"
    run(model(epochs=best + 1, **settings), corpus, tmp_path / "short")
    for name in ("predictions.parquet", "model.safetensors"):
        assert (tmp_path / "long" / name).read_bytes() == (tmp_path / "short" / name).read_bytes(), name


@pytest.mark.parametrize("which", [model(attributes=True), model("text", task="sentiment", protocol=OWN_SPLITS, epochs=4)])
@pytest.mark.parametrize("stop_after", [2, 7])
def test_an_interrupted_and_resumed_run_gives_the_same_bytes(tmp_path, corpus, which, stop_after):
    run(which, corpus, tmp_path / "whole")
    with pytest.raises(StopRequested):
        run(which, corpus, tmp_path / "cut", stop_after=stop_after)
    run(which, corpus, tmp_path / "cut")
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == ["metrics.json", "model.json", "model.safetensors", "predictions.parquet"]
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("inner", [None, 0], ids=["the partner trains", "the partner is the development set"])
def test_the_tested_speaker_decides_nothing_of_what_is_learnt_though_the_partner_does(tmp_path, inner):
    """Frames, sentences and labels of the speaker who is tested are others: curves and model are the same byte for byte."""
    which = model(attributes=True, protocol=ONE_SPEAKER_OUT, inner=inner)  # fold 0 tests v0F, whose partner is v0M
    selected = "nothing" if inner is None else "dev"
    assert which.exposure() == Exposure(FRAMES, "training", "emotion4", normalised="training", selected=selected)
    learnt = {}
    for changed in ("", "v0F", "v0M"):
        context = run(which, dialogues(tmp_path / f"corpus {changed}", changed=changed), tmp_path / f"result {changed}")
        learnt[changed] = context.reports, (tmp_path / f"result {changed}/model.safetensors").read_bytes()
    assert learnt["v0F"] == learnt[""]
    assert learnt["v0M"][0] != learnt[""][0], "or this test could not fail"


@pytest.mark.parametrize("scored_on", ["test", "dev"])
def test_a_drawn_division_selects_on_a_development_set_only_while_that_is_scored(scored_on):
    exposure = model(protocol=HELD_OUT_30, scored_on=scored_on).exposure()
    assert exposure.selected == ("dev" if scored_on == "dev" else "nothing")


def test_an_utterance_without_an_attribute_is_a_fault_that_is_told_before_training(tmp_path):
    """All are named; one without a class may lack it."""
    unlabelled = pd.read_parquet(dialogues(tmp_path / "whole")[FRAMES] / "segments.parquet").query("emotion == 'fru'")["turn"]
    with_class = sorted({"d0_02", "d1_09", "d3_11"} - set(unlabelled))
    assert len(with_class) >= 2
    lacking = dialogues(tmp_path / "lacking", lacking=(*with_class, *unlabelled))
    with pytest.raises(UserError, match="label 'valence' is missing for " + ", ".join(map(repr, with_class)) + "; fill it in"):
        run(model(attributes=True), lacking, tmp_path / "result")
    for home in lacking.values():
        table = pd.read_parquet(home / "segments.parquet")
        table.drop(columns=["activation", "dominance"]).to_parquet(home / "segments.parquet")
    with pytest.raises(UserError, match=r"3 faults(.|\n)*'activation' is missing; give it(.|\n)*'dominance' is missing"):
        run(model(attributes=True), lacking, tmp_path / "result")
    run(model(), lacking, tmp_path / "result")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filterbanks": None, "sentences": None}, "neither filterbanks nor sentences"),
        ({"sentences": SENTENCES.model_copy(update={"corpus": "mosei"})}, "two corpora, iemocap and mosei"),
        ({"filterbanks": None, "sentences": INTERVIEW_SENTENCES}, "unit='utterance'"),
        ({"shuffled_labels": True, "attributes": True}, "set attributes=False"),
    ],
)
def test_inputs_are_at_least_one_modality_of_one_corpus_by_utterance(settings, message):
    with pytest.raises(ValidationError, match=message):
        model(**settings)


def test_the_settings_are_the_papers():
    paper = EmotionModel(filterbanks=FilterbankFeatures(corpus="iemocap", unit="utterance"), task="emotion4", protocol=OWN_SPLITS)
    assert (paper.width, paper.window_frames) == (512, 1000)
    assert set(SMALL) <= set(EmotionModel.model_fields)
