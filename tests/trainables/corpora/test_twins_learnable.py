"""The demo is learnable and not trivial: a linear model on log-mel statistics is above chance, below perfect, by speaker."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.corpora.audio import read_audio
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.tasks import TASKS


def statistics(source: CorpusSource, rows: pd.DataFrame) -> np.ndarray:
    """Mean and standard deviation over time of the log-mel spectrogram of the rows' sound, one after the other; [128]."""
    spans = rows[["recording", "start", "end"]].itertuples(index=False)
    sound = np.concatenate([read_audio(source.audio_path(name), start, end) for name, start, end in spans])
    power = librosa.feature.melspectrogram(y=sound, sr=16000, n_fft=512, hop_length=160, n_mels=64, fmin=50)
    mel = librosa.power_to_db(power)
    return np.concatenate([mel.mean(axis=1), mel.std(axis=1)])


def emotion_recall(source: CorpusSource) -> float:
    """Unweighted average recall of the five classes of emotion."""
    table = source.manifest()
    table = table.assign(label=table["emotion"].map(TASKS["emotion5"].class_of)).dropna(subset="label")
    turns = [statistics(source, table.loc[[row]]) for row in table.index]
    return average_recall(turns, table["label"].tolist(), table["speaker"].tolist())


def average_recall(features: list[np.ndarray], labels: list[int] | list[str], speakers: list[str]) -> float:
    """Unweighted average recall of logistic regression, five folds by speaker, mean of three shuffles."""
    x, y = np.stack(features), np.array(labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = [StratifiedGroupKFold(5, shuffle=True, random_state=seed) for seed in range(3)]
    predictions = [cross_val_predict(model, x, y, groups=np.array(speakers), cv=fold) for fold in folds]
    return float(np.mean([recall_score(y, predicted, average="macro") for predicted in predictions]))


@pytest.mark.slow
def test_a_linear_model_finds_sentiment_and_depression_in_the_demo_and_nothing_in_the_interviewers(tmp_path: Path) -> None:
    sources = open_corpora("demo", tmp_path, ["mdd", "mosei"])
    table = sources["mosei"].manifest()
    table = table[table["sentiment"] != 0]
    utterances = [statistics(sources["mosei"], table.loc[[row]]) for row in table.index]
    sentiment = average_recall(utterances, (table["sentiment"] > 0).astype(int).tolist(), table["speaker"].tolist())
    assert 0.65 < sentiment < 0.9

    recall = {}
    for talker, rows in sources["mdd"].manifest().groupby("talker"):
        sessions = [(session, turns) for session, turns in rows.groupby("session")]
        features = [statistics(sources["mdd"], turns) for _, turns in sessions]
        labels = [int(turns["depressed"].iloc[0]) for _, turns in sessions]
        recall[talker] = average_recall(features, labels, [session for session, _ in sessions])
    assert 0.68 < recall["subject"] < 0.95
    assert recall["interviewer"] < 0.68


@pytest.mark.slow
def test_a_linear_model_finds_emotions_in_the_demo_and_none_where_nothing_is_planted(tmp_path: Path) -> None:
    assert 0.32 < emotion_recall(open_corpora("demo", tmp_path, ["iemocap"])["iemocap"]) < 0.7
    (tmp_path / "corpora.toml").write_text('[iemocap]\nreader = "twin"\nplanted = false\n')
    assert emotion_recall(open_corpora(str(tmp_path / "corpora.toml"), tmp_path, ["iemocap"])["iemocap"]) < 0.27
