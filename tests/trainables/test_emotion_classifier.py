"""Cnn10 fine-tuned on utterances: where its weights come from, which epoch counts, that it resumes; the same for the reference."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.trainables.fake_context import FakeContext
from trainables.chance import ChanceClassifier
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_classifier import EmotionClassifier
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.metrics import classification_scores
from trainables.models.cnn10 import ClassificationHead, Cnn10
from trainables.models.weights import load_encoder, save_encoder
from trainables.numerics import seeded
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_70_30
from trainables.stage import StopRequested
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units

SMALL = {"hop": 5000, "mels": 16}  # 16 frames a segment
FEATURES = LogMelFeatures(corpus="iemocap", unit="utterance", **SMALL)
SPEECH = LogMelFeatures(corpus="mdd", unit="session", **SMALL)
PRETRAINED = ContrastivePretraining(features=SPEECH, objective="simclr", width=2, mask_time_width=8)
EMOTIONS = ("ang", "exc", "sad", "fru", "neu", "xxx")


def stage(initial=PRETRAINED, cls=EmotionClassifier, **settings):
    chosen = {"width": 2, "epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "precision": "float32", **settings}
    if cls is EmotionClassifier:
        chosen = {"initial": initial, "task": "emotion5", "protocol": SPEAKERS_70_30, **chosen}
    return cls(features=FEATURES, **chosen)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Features of 10 speakers with 6 utterances of 1 to 3 segments each, louder in a place of the spectrum by emotion; weights."""
    folder, rng = tmp_path_factory.mktemp("upstream"), np.random.default_rng(0)
    rows, features = [], []
    for number in range(60):
        emotion = number % 6
        for position in range(rng.integers(1, 4)):
            unit = {"unit": f"u{number:02d}", "position": position, "seconds": 5.0, "speaker": f"v{number // 6}", "split": ""}
            rows.append({**unit, "session": "", "emotion": EMOTIONS[emotion], "sentiment": (1, 1, -1, -1, 0, 0)[emotion]})
            spectrum = rng.normal(-40, 5, (16, 16))
            spectrum[:, 2 * emotion : 2 * emotion + 3] += 15
            features.append(spectrum)
    np.save(folder / "features.npy", np.array(features, np.float32))
    pd.DataFrame(rows).to_parquet(folder / "segments.parquet", index=False)
    (folder / "pretrained").mkdir()
    torch.manual_seed(1)
    save_encoder(folder / "pretrained", Cnn10(16, 2))
    return folder


def run(which, home, directory, **context):
    context = FakeContext(directory, {FEATURES: home, PRETRAINED: home / "pretrained"}, **context)
    which.run(context)
    return context


def predictions(directory):
    return pd.read_parquet(directory / "predictions.parquet")


def test_fine_tuning_is_plain_training_from_the_pretrained_weights_and_a_seeded_head(tmp_path, home):
    """Against a plainly written loop; an utterance's probabilities are the normalised geometric mean of its segments'."""
    which = stage(seed=3)
    run(which, home, tmp_path / "result")
    features = torch.from_numpy(np.load(home / "features.npy"))
    sets = divide(read_units(home, TASKS["emotion5"]), SPEAKERS_70_30, 3)
    rows = torch.from_numpy(np.concatenate(sets["train"].segments))
    labels = torch.tensor([t for t, s in zip(sets["train"].truth, sets["train"].segments, strict=True) for _ in s])

    torch.manual_seed(seeded(3, "initialisation"))
    model = torch.nn.Sequential(load_encoder(home / "pretrained"), ClassificationHead(16, 5)).train()
    optimizer, order = torch.optim.Adam(model.parameters(), lr=1e-3), EpochOrder(len(rows), 16, 3)
    for step in range(2 * order.steps_per_epoch):
        torch.manual_seed(seeded(3, "noise", step, 0))
        optimizer.zero_grad()
        F.cross_entropy(model(features[rows[order[step]]]), labels[order[step]]).backward()
        optimizer.step()
    model.eval()
    expected = []
    for segments in sets["test"].segments:
        geometric = model(features[segments]).softmax(dim=1).prod(dim=0) ** (1 / len(segments))
        expected.append((geometric / geometric.sum()).tolist())
    found = predictions(tmp_path / "result")[["p0", "p1", "p2", "p3", "p4"]].to_numpy()
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_pretrained_and_random_weights_give_different_results_and_share_the_test_set(tmp_path, home):
    for name, initial in (("pretrained", PRETRAINED), ("random", None)):
        run(stage(initial), home, tmp_path / name)
    one, other = predictions(tmp_path / "pretrained"), predictions(tmp_path / "random")
    assert one["unit"].tolist() == other["unit"].tolist()
    assert not np.allclose(one["p0"], other["p0"])


def test_it_learns_the_five_emotions_and_tells_the_three_scores_of_unseen_speakers(tmp_path, home):
    run(stage(None, epochs=50, learning_rate=0.01, width=4), home, tmp_path / "result")
    table, metrics = predictions(tmp_path / "result"), json.loads((tmp_path / "result/metrics.json").read_text())
    assert set(metrics) == {"f1_macro", "f1_micro", "uar"}
    assert metrics == classification_scores(table["truth"].to_numpy(), table["predicted"].to_numpy())
    assert metrics["f1_macro"] > 0.6
    assert (table["speaker"].nunique(), len(table)) == (3, 15), "three of ten speakers, five utterances with a class each"


@pytest.mark.parametrize(
    "settings", [{"task": "emotion5", "protocol": SPEAKERS_70_30}, {"task": "sentiment", "protocol": OWN_SPLITS}]
)
def test_chance_and_majority_stand_on_the_same_utterances_at_every_seed(tmp_path, home, settings):
    for seed in (0, 1):
        run(stage(None, epochs=1, seed=seed, **settings), home, tmp_path / f"row{seed}")
        expected = predictions(tmp_path / f"row{seed}")
        for strategy in ("uniform", "most_frequent"):
            guess = ChanceClassifier(features=FEATURES, strategy=strategy, seed=seed, **settings)
            run(guess, home, tmp_path / f"{strategy}{seed}")
            found = predictions(tmp_path / f"{strategy}{seed}")
            assert list(found.columns) == list(expected.columns)
            assert found[["unit", "speaker", "truth"]].equals(expected[["unit", "speaker", "truth"]])
            assert found["predicted"].nunique() == 1 if strategy == "most_frequent" else found["predicted"].nunique() > 1
    drawn = set(predictions(tmp_path / "row0")["unit"]) != set(predictions(tmp_path / "row1")["unit"])
    assert drawn == (settings["protocol"] == SPEAKERS_70_30), "a corpus' own split is no matter of the seed"


@pytest.mark.parametrize("cls", [EmotionClassifier, EmotionReference])
def test_with_a_validation_set_the_best_epoch_counts(tmp_path, home, cls):
    """What is scored is what a training of just so many epochs gives."""
    settings = {"cls": cls, "learning_rate": 0.02}
    settings |= {"initial": None, "task": "sentiment", "protocol": OWN_SPLITS} if cls is EmotionClassifier else {}
    context = run(stage(epochs=8, **settings), home, tmp_path / "long")
    curve = [metrics["dev_f1_macro"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 7, "or this test could not tell the best epoch from the last"
    run(stage(epochs=best + 1, **settings), home, tmp_path / "short")
    assert predictions(tmp_path / "long").equals(predictions(tmp_path / "short"))


def test_without_a_validation_set_nothing_is_chosen(tmp_path, home):
    """The first test above shows that the last epoch's weights are scored."""
    context = run(stage(epochs=3), home, tmp_path / "result")
    assert [set(metrics) for _, metrics in context.reports] == [{"loss"}] * 3


@pytest.mark.parametrize(
    "which",
    [stage(epochs=3), stage(None, epochs=3, task="sentiment", protocol=OWN_SPLITS), stage(cls=EmotionReference, epochs=3)],
    ids=["random split", "corpus split", "reference"],
)
def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path, home, which):
    run(which, home, tmp_path / "whole")
    for stop_after in (2, 3):
        with pytest.raises(StopRequested):
            run(which, home, tmp_path / "cut", stop_after=stop_after)
    run(which, home, tmp_path / "cut")
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert {"predictions.parquet", "metrics.json"} <= set(files)
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_initial_weights_must_be_of_the_same_width_and_front_end_and_may_be_of_another_corpus():
    assert stage().initial.features.corpus == "mdd"
    with pytest.raises(ValidationError, match="initial weights have width 2; make them equal"):
        stage(width=4)
    other = LogMelFeatures(corpus="iemocap", unit="utterance", hop=2500, mels=32)
    with pytest.raises(ValidationError, match="other features: hop, mels differ"):
        EmotionClassifier(features=other, initial=PRETRAINED, task="emotion5", protocol=SPEAKERS_70_30, width=2)


def test_the_reference_trains_at_the_rate_for_random_weights_and_fine_tuning_at_a_tenth_of_it():
    tuned = EmotionClassifier(features=FEATURES, task="emotion5", protocol=SPEAKERS_70_30)
    assert (tuned.learning_rate, EmotionReference(features=FEATURES).learning_rate) == (1e-4, 1e-3)
    assert tuned.protocol.test_fraction == 0.3
