"""Training of the attribute recogniser: the loss of whole batches, windows, which epoch counts, who decides, that it resumes."""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tests.trainables.emotion_corpora import FRAMES, INTERVIEW_FRAMES, ONE_DIALOGUE_OUT, ONE_SPEAKER_OUT, dialogues
from tests.trainables.fake_context import FakeContext
from trainables.attribute_regression import AttributeRegression
from trainables.attributes import ATTRIBUTES
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.metrics import prediction_scores
from trainables.models.attribute_recogniser import AttributeRecogniser
from trainables.numerics import seeded
from trainables.protocols import divide
from trainables.protocols.catalogue import HELD_OUT_30, OWN_SPLITS
from trainables.stage import StopRequested
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units

SMALL = {"heads": 2, "attention_size": 8, "window_seconds": 2.0, "epochs": 2, "batch_size": 16, "precision": "float32"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return dialogues(tmp_path_factory.mktemp("corpus"))


def regression(**settings):
    return AttributeRegression(**{"frames": FRAMES, "protocol": ONE_DIALOGUE_OUT, **SMALL, **settings})


def run(which, corpus, directory, **context):
    context = FakeContext(directory, corpus, **context)
    which.run(context)
    return context


def predictions(directory, name="predictions"):
    return pd.read_parquet(directory / f"{name}.parquet")


def plain_windows(corpus, training):
    """Windows ``(turn, frames)`` of at most 20 frames, standardised by the training turns, by loops over plain lists."""
    table = pd.read_parquet(corpus[FRAMES] / "segments.parquet")
    frames = np.load(corpus[FRAMES] / "frames.npy").astype(np.float64)
    turns = [frames[first : first + length] for first, length in table[["first_frame", "frames"]].to_numpy()]
    known = np.concatenate([turns[row] for row in training])
    windows = []
    for row, turn in enumerate(turns):
        count = math.ceil(len(turn) / 20)
        bounds = [number * len(turn) // count for number in range(count + 1)]
        standardised = (turn - known.mean(axis=0)) / known.std(axis=0)
        windows += [(row, torch.tensor(standardised[begin:end], dtype=torch.float32)) for begin, end in pairwise(bounds)]
    return windows


def plain_ccc(truth, predicted):
    """By Lin's definition, from Pearson's coefficient and the deviations."""
    rho = torch.corrcoef(torch.stack([truth, predicted]))[0, 1]
    x, y = truth.std(correction=0), predicted.std(correction=0)
    return rho * 2 * x * y / (x**2 + y**2 + (truth.mean() - predicted.mean()) ** 2)


def test_training_minimises_the_ccc_loss_of_each_batch_and_an_utterance_is_the_mean_of_its_windows(tmp_path, corpus):
    """Against a loop that takes utterance by utterance, without padding, and the loss of all of a batch."""
    run(regression(seed=3, alpha=0.5, beta=0.2), corpus, tmp_path / "result")
    sets = divide(read_units(corpus[FRAMES], TASKS["attributes"]), ONE_DIALOGUE_OUT, 3)
    rows = {name: np.concatenate(part.segments).tolist() for name, part in sets.items()}
    windows = plain_windows(corpus, rows["train"])
    values = sets["train"].table[list(ATTRIBUTES)].to_numpy()
    truth = dict(zip(rows["train"], torch.tensor(values, dtype=torch.float32), strict=True))
    mean, deviation = (torch.tensor(found, dtype=torch.float32) for found in (values.mean(axis=0), values.std(axis=0)))

    torch.manual_seed(seeded(3, "initialisation"))
    network = AttributeRecogniser(8, 8, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def said_of(batch):
        said = [network(frames[None], torch.tensor([len(frames)])) for _, frames in batch]
        return torch.cat(said) * deviation + mean

    training = [window for window in windows if window[0] in truth]
    order = EpochOrder(len(training), 16, 3)
    for step in range(2 * order.steps_per_epoch):
        batch = [training[i] for i in order[step].tolist()]
        wanted, said = torch.stack([truth[row] for row, _ in batch]), said_of(batch)
        agreement = [plain_ccc(wanted[:, column], said[:, column]) for column in range(3)]
        loss = 1 - 0.5 * agreement[0] - 0.2 * agreement[1] - 0.3 * agreement[2]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    expected = [said_of([window for window in windows if window[0] == row]).mean(dim=0).tolist() for row in rows["test"]]
    found = predictions(tmp_path / "result")
    assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
    assert found[[f"{name}_predicted" for name in ATTRIBUTES]].to_numpy() == pytest.approx(np.array(expected), abs=2e-3)
    spread = found["valence_predicted"].std()
    assert spread > 0.02, "or nearly anything would be equal"


def test_no_more_frames_of_an_utterance_are_computed_together_than_a_window_has(tmp_path, corpus, monkeypatch):
    longest, forward = [], AttributeRecogniser.forward

    def watching(self, frames, lengths):
        longest.append(frames.shape[1])
        return forward(self, frames, lengths)

    monkeypatch.setattr(AttributeRecogniser, "forward", watching)
    run(regression(epochs=1), corpus, tmp_path / "result")
    assert max(longest) == 20, "2 s; the longest turn has 64"


def test_with_a_development_set_the_epoch_with_the_best_mean_ccc_counts_and_its_scores_are_told(tmp_path, corpus):
    """What is scored is what a training of just so many epochs gives."""
    settings = {"protocol": OWN_SPLITS, "learning_rate": 0.1}
    context = run(regression(epochs=8, **settings), corpus, tmp_path / "long")
    curve = [metrics["dev_ccc"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 7, "or this test could not tell the best epoch from the last"
    run(regression(epochs=best + 1, **settings), corpus, tmp_path / "short")
    for name in ("predictions.parquet", "predictions_dev.parquet", "metrics.json"):
        assert (tmp_path / "long" / name).read_bytes() == (tmp_path / "short" / name).read_bytes(), name
    metrics = json.loads((tmp_path / "long/metrics.json").read_text())
    assert metrics["dev_ccc"] == pytest.approx(max(curve))
    found = prediction_scores(predictions(tmp_path / "long", "predictions_dev"))
    assert {f"dev_{name}": value for name, value in found.items()}.items() <= metrics.items()
    for name in ATTRIBUTES:
        assert context.reports[best][1][f"dev_ccc_{name}"] == pytest.approx(metrics[f"dev_ccc_{name}"])


@pytest.mark.parametrize("which", [regression(), regression(protocol=OWN_SPLITS, epochs=4)])
def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path, corpus, which):
    run(which, corpus, tmp_path / "whole")
    for stop_after in (2, 7):
        with pytest.raises(StopRequested):
            run(which, corpus, tmp_path / "cut", stop_after=stop_after)
    run(which, corpus, tmp_path / "cut")
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert {"metrics.json", "predictions.parquet"} <= set(files)
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("inner", [None, 0], ids=["the partner trains", "the partner is the development set"])
def test_the_tested_speaker_decides_nothing_of_what_is_learnt_though_the_partner_does(tmp_path, inner):
    """Frames and ratings of the speaker who is tested are others: curves and statistics are the same."""
    which = regression(protocol=ONE_SPEAKER_OUT, inner=inner)  # fold 0 tests v0F, whose partner is v0M
    selected = "nothing" if inner is None else "dev"
    assert which.exposure() == Exposure(FRAMES, "training", "attributes", normalised="training", selected=selected)
    learnt = {}
    for changed in ("", "v0F", "v0M"):
        found = dialogues(tmp_path / f"corpus {changed}", changed=changed)
        context = run(which, found, tmp_path / f"result {changed}")
        learnt[changed] = context.reports, predictions(tmp_path / f"result {changed}")
    assert learnt["v0F"][0] == learnt[""][0]
    assert learnt["v0M"][0] != learnt[""][0], "or this test could not fail"
    assert learnt["v0M"][1]["unit"].tolist() == learnt[""][1]["unit"].tolist()
    assert not learnt["v0F"][1].equals(learnt[""][1]), "it is scored all the same"


def test_one_tested_utterance_decides_nothing_of_what_is_said_of_another(tmp_path, corpus):
    table = pd.read_parquet(corpus[FRAMES] / "segments.parquet")
    frames = np.load(corpus[FRAMES] / "frames.npy")
    tested = table[table["session"] == "d0"]
    first, other = tested.iloc[0], tested.iloc[1]
    frames[first["first_frame"] : first["first_frame"] + first["frames"]] += 7
    (tmp_path / "changed").mkdir()
    table.to_parquet(tmp_path / "changed/segments.parquet")
    np.save(tmp_path / "changed/frames.npy", frames)
    run(regression(), corpus, tmp_path / "before")
    run(regression(), {FRAMES: tmp_path / "changed"}, tmp_path / "after")
    before, after = (predictions(tmp_path / name).set_index("unit") for name in ("before", "after"))
    assert after.loc[other["turn"]].equals(before.loc[other["turn"]])
    assert not after.loc[first["turn"]].equals(before.loc[first["turn"]])


@pytest.mark.parametrize("scored_on", ["test", "dev"])
def test_a_drawn_division_selects_on_a_development_set_only_while_that_is_scored(scored_on):
    exposure = regression(protocol=HELD_OUT_30, scored_on=scored_on).exposure()
    assert exposure.selected == ("dev" if scored_on == "dev" else "nothing")


def test_an_utterance_without_a_rating_is_a_fault_that_is_told_before_training(tmp_path):
    lacking = dialogues(tmp_path / "lacking", lacking=("d0_02", "d3_11"))
    with pytest.raises(UserError, match="'valence' is missing for 'd0_02', 'd3_11'"):
        run(regression(), lacking, tmp_path / "result")


def test_a_training_that_diverges_says_so(tmp_path, corpus):
    with pytest.raises(UserError, match="lower learning_rate"):
        run(regression(protocol=OWN_SPLITS, learning_rate=1e30), corpus, tmp_path / "result")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": INTERVIEW_FRAMES}, "unit='utterance'"),
        ({"heads": 3}, "attention_size=8 cannot be shared by heads=3"),
        ({"alpha": 0.7, "beta": 0.4}, "alpha=0.7 and beta=0.4"),
        ({"shuffled_labels": True}, "ratings are none"),
        ({"batch_size": 1}, "greater than 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        regression(**settings)


def test_all_three_attributes_weigh_the_same_and_a_window_holds_every_utterance_of_msp_podcast():
    found = AttributeRegression(frames=FRAMES.model_copy(update={"hop": 160}), protocol=OWN_SPLITS)
    assert (found.alpha, found.beta, 1 - found.alpha - found.beta) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found.window_frames == 3000 > 1100
