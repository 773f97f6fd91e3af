"""The stages of the ReCLR chain on a few seconds of sound: what they write, what their seeds control, that they resume."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from search_spaces import reclr_iemocap, reclr_mosei
from search_spaces._reclr import iemocap, mdd, mosei
from search_spaces.reclr_lambda import STUDY
from search_spaces.scale import find_scale
from tests.tiny_corpora import write_tiny_corpora
from trainables.chance import ChanceClassifier
from trainables.corpora.registry import open_corpora
from trainables.crnn import CrnnClassifier
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.metrics import classification_scores
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_70_30
from trainables.protocols.draws import split_by_speaker
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier
from trainables.tasks import TASKS
from trainables.units import read_units

SMOKE = find_scale("smoke")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def executor(home):
    corpora = open_corpora(str(write_tiny_corpora(home / "corpora")), home, ["mdd", "mosei", "iemocap"])
    return LocalExecutor(Setting(corpora=corpora, store=str(home / "store"), code=code_version()), lambda *call: None)


def result(executor, stage) -> Path:
    executor.finish_chain(stage)
    return ArtifactStore(executor.setting.store).path(executor.setting.fingerprint(stage))


def manifest(executor, role):
    return executor.setting.corpora[role].manifest()


def chain(row, seed=0):
    return SMOKE.apply(STUDY.chains[row](seed))


def test_a_sessions_subject_turns_are_joined_then_cut_and_the_interviewer_is_left_out(executor):
    segments = pd.read_parquet(result(executor, SMOKE.apply(mdd)) / "segments.parquet")
    table = manifest(executor, "mdd")
    assert "interviewer" in set(table["talker"])
    for session, turns in table[table["talker"] == "subject"].groupby("session"):
        spoken = (turns["end"] - turns["start"]).sum()
        lengths = segments[segments["unit"] == session].sort_values("position")["seconds"].tolist()
        assert lengths[:-1] == [5.0] * (len(lengths) - 1)
        dropped = spoken - sum(lengths)
        assert 0 <= dropped + 1e-3 < 1.0 + 1e-3, "only a last piece of less than a second may be missing"
    assert set(segments["speaker"]) == set(table[table["talker"] == "subject"]["speaker"])


def test_an_utterance_keeps_its_label_and_is_padded_with_silence(executor):
    directory = result(executor, SMOKE.apply(mosei))
    segments, features = pd.read_parquet(directory / "segments.parquet"), np.load(directory / "features.npy", mmap_mode="r")
    assert len(segments) == len(features)
    assert dict(zip(segments["unit"], segments["sentiment"], strict=True)) == dict(
        zip(manifest(executor, "mosei")["segment"], manifest(executor, "mosei")["sentiment"], strict=True)
    )
    short = int(segments["seconds"].argmin())
    silent = features[short][int(segments["seconds"][short] * 20) + 2 :]  # 20 frames a second at this scale
    assert len(silent) > 10
    assert (silent == -100).all()


def test_a_segments_features_are_those_of_its_own_samples(executor):
    """Against librosa on samples that are read and joined here by hand."""
    import librosa

    stage = SMOKE.apply(mdd)
    features = np.load(result(executor, stage) / "features.npy", mmap_mode="r")
    turns = manifest(executor, "mdd").query("session == 's03' and talker == 'subject'").sort_values("start")
    root = Path(executor.setting.corpora["mdd"].root)
    pieces = []
    for turn in turns.itertuples():
        samples, rate = soundfile.read(root / turn.recording, dtype="float32")
        pieces.append(samples[round(turn.start * rate) : round(turn.end * rate)])
    second = np.concatenate(pieces)[80000:160000]
    power = librosa.feature.melspectrogram(
        y=second, sr=16000, n_fft=512, hop_length=stage.hop, n_mels=stage.mels, fmin=50, fmax=8000, pad_mode="reflect"
    )
    expected = librosa.power_to_db(power, top_db=None).T[: stage.frames]
    units = read_units(result(executor, stage), TASKS["depression"])
    row = units.segments[units.table["unit"].tolist().index("s03")][1]
    assert np.abs(features[row] - expected).max() < 0.05  # float16


def test_every_unreadable_recording_is_named(tmp_path):
    corpora = open_corpora(str(write_tiny_corpora(tmp_path / "corpora")), tmp_path, ["mdd"])
    for name in ("s01.wav", "s04.wav"):  # after the corpus was opened and found good
        (tmp_path / "corpora" / "mdd" / name).write_bytes(b"RIFF")
    executor = LocalExecutor(Setting(corpora=corpora, store=str(tmp_path / "store"), code=code_version()), lambda *call: None)
    with pytest.raises(StageFailed, match=r"2 faults[\s\S]*s01\.wav[\s\S]*s04\.wav"):
        executor.finish_chain(SMOKE.apply(mdd))


def test_the_reference_keeps_the_epoch_that_was_best_on_the_validation_set(executor):
    stage = EmotionReference(features=SMOKE.apply(mosei), width=1, epochs=4, batch_size=16, precision="float32")
    directory = result(executor, stage)
    curve = [value for name, value, *_ in json.loads((directory / "history.json").read_text()) if name == "dev_f1_macro"]
    metrics = json.loads((directory / "metrics.json").read_text())
    assert len(curve) == 4
    assert (metrics["dev_f1_macro"], metrics["best_epoch"]) == (max(curve), curve.index(max(curve)))


def test_reference_predictions_are_of_the_test_speakers_alone(executor):
    stage = EmotionReference(features=SMOKE.apply(mosei), width=1, epochs=1, batch_size=16, precision="float32")
    predictions = pd.read_parquet(result(executor, stage) / "predictions.parquet")
    table = manifest(executor, "mosei").set_index("segment")
    assert set(predictions["unit"]) == set(table[table["split"] == "test"].index)
    assert (predictions["truth"].to_numpy() == (table.loc[predictions["unit"], "sentiment"] > 0).to_numpy()).all()


def test_there_is_one_embedding_per_segment(executor):
    stage = chain("coclr").embeddings
    embeddings = np.load(result(executor, stage) / "embeddings.npy")
    assert embeddings.shape == (len(pd.read_parquet(result(executor, stage.features) / "segments.parquet")), 8)
    assert np.isfinite(embeddings).all()


def test_only_a_stage_that_trains_an_encoder_can_embed():
    with pytest.raises(ValidationError, match="does not train an encoder"):
        SegmentEmbeddings(encoder=mdd, features=mdd)


@pytest.mark.parametrize("row", ["chance", "majority", "simclr", "crnn_random", "crnn_coclr"])
def test_every_row_scores_the_same_test_speakers_for_a_seed_and_its_numbers_follow_from_its_predictions(executor, row):
    directory = result(executor, chain(row))
    predictions = pd.read_parquet(directory / "predictions.parquet")
    units = read_units(result(executor, SMOKE.apply(mdd)), TASKS["depression"])
    assert predictions["unit"].tolist() == split_by_speaker(units, 0.3, seed=0)["test"].table["unit"].tolist()
    scores = classification_scores(predictions["truth"].to_numpy(), predictions["predicted"].to_numpy())
    scores["auc"] = roc_auc_score(predictions["truth"], predictions["p1"])
    assert json.loads((directory / "metrics.json").read_text()) == pytest.approx(scores)


@pytest.mark.parametrize("row", ["chance", "majority", "random", "simclr"])
@pytest.mark.parametrize(
    ("table", "features", "protocol"),
    [
        (reclr_iemocap.STUDY, iemocap, SPEAKERS_70_30),
        (reclr_mosei.STUDY, mosei, OWN_SPLITS),
    ],
    ids=["Table 3", "Table 4"],
)
def test_every_row_of_the_emotion_tables_scores_the_same_test_speakers(executor, table, features, protocol, row):
    stage = SMOKE.apply(table.chains[row](0))
    predictions = pd.read_parquet(result(executor, stage) / "predictions.parquet")
    sets = divide(read_units(result(executor, SMOKE.apply(features)), TASKS[stage.task]), protocol, 0)
    assert predictions["unit"].tolist() == sets["test"].table["unit"].tolist()
    assert not set(predictions["speaker"]) & set(sets["train"].table["speaker"])
    assert [name for name in predictions if name[1:].isdigit()] == [
        f"p{number}" for number in range(len(sets["test"].task.classes))
    ]


def test_a_session_classifier_learns_what_is_there_to_learn(executor):
    """The planted tone is in the features themselves, so embeddings of a random encoder carry it."""
    embeddings = chain("simclr").embeddings
    stage = SessionClassifier(embeddings=embeddings, hidden_size=8, epochs=60, learning_rate=0.01)
    curve = [value for _, value, *_ in json.loads((result(executor, stage) / "history.json").read_text())]
    assert curve[-1] < 0.3 < curve[0]


def test_majority_says_the_training_majority_and_chance_guesses(executor):
    features = SMOKE.apply(mdd)

    def predictions(strategy, seed=0):
        stage = ChanceClassifier(features=features, strategy=strategy, seed=seed)
        return pd.read_parquet(result(executor, stage) / "predictions.parquet")

    assert predictions("most_frequent")["predicted"].nunique() == 1
    guesses = [predictions("uniform", seed) for seed in range(6)]
    assert {0, 1} == {label for table in guesses for label in table["predicted"]}


def test_the_crnns_width_must_be_that_of_its_first_weights():
    initial = chain("crnn_coclr").initial
    with pytest.raises(ValidationError, match="make them equal"):
        CrnnClassifier(features=initial.features, initial=initial, width=2)


@pytest.mark.parametrize("row", ["simclr", "crnn_random"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(executor, home, row):
    elsewhere = executor.setting.model_copy(update={"store": str(home / "again")})
    twice = LocalExecutor(elsewhere, lambda *call: None)
    first, again = (result(run, chain(row)) / "predictions.parquet" for run in (executor, twice))
    assert first.read_bytes() == again.read_bytes()
    other = result(executor, chain(row, seed=1)) / "predictions.parquet"
    assert pd.read_parquet(other)["unit"].tolist() != pd.read_parquet(first)["unit"].tolist()


def test_default_settings_are_the_papers():
    features = LogMelFeatures(corpus="mdd", unit="session")
    assert (features.segment_seconds, features.frames, features.mels) == (5.0, 500, 64)
    pretraining = STUDY.chains["reclr_0.4"](0).embeddings.encoder
    assert (pretraining.batch_size, pretraining.top_k, pretraining.temperature, pretraining.learning_rate) == (64, 5, 0.1, 0.1)
    assert (pretraining.epochs, pretraining.iterations_per_epoch, pretraining.lambda_) == (200, 2000, 0.4)
    assert STUDY.chains["simclr"](0).protocol.test_fraction == 0.3
