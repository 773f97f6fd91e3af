"""Every labelled twin: a linear model on three simple statistics finds the labels in new speakers where they are planted, and only
there. A few turns of each are spoken by the built-in synthesiser; what a model makes of whole twins is in test_twins_learnable.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.recipe import RECIPES, AnyRecipe, DaicWozRecipe, Synthesiser
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.speech import speak
from trainables.corpora.twins.turns import Turn
from trainables.corpora.twins.voices import Voice

FORMANT = Synthesiser(name="formant", version="1")
STATISTICS = ["level", "spread", "pace"]
CHANCE = {"daic_woz": 1 / 2, "sre": 1 / 2, "msp_podcast": 1 / 2, "casia": 1 / 6}
TURNS = {"daic_woz": 3, "sre": 2, "msp_podcast": 5, "casia": 24}
"""Of each speaker, to keep the test quick."""
DIRECT = DaicWozRecipe(effects=ClinicalEffects(direct=True))
"""As it is, this twin's diagnoses are in many turns' emotions and not in three turns' statistics (test_planted_emotion)."""


def turns(role: str, recipe: AnyRecipe) -> Iterator[Turn]:
    """The first turns of each subject; of the tasks, those in own words on negative material."""
    left: dict[Voice, int] = {}
    for recording in write_script(recipe):
        for turn in recording.turns:
            if turn.talker != "subject" or (role == "sre" and not told_of_something_bad(turn)):
                continue
            left[turn.voice] = left.get(turn.voice, TURNS[role]) - 1
            if left[turn.voice] >= 0:
                yield turn


def told_of_something_bad(turn: Turn) -> bool:
    return turn.labels["stimulus"] == "negative" and turn.labels["task"] in ("interview", "picture description")


def statistics(turn: Turn) -> list[float]:
    """Level in dB, its standard deviation over frames of 25 ms, and s per letter."""
    sound = speak(turn.text, turn.voice, turn.style, turn.seed, FORMANT) / 32768
    frames = sound[: len(sound) // 400 * 400].reshape(-1, 400)
    levels = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-4)
    return [float(levels.mean()), float(levels.std()), len(sound) / 16000 / len(turn.text)]


def label(role: str, turn: Turn) -> str | int:
    if role in ("daic_woz", "sre"):
        return int(turn.labels["depressed"])
    return int(float(turn.labels["activation"]) > 4) if role == "msp_podcast" else str(turn.labels["emotion"])


def recall(role: str, recipe: AnyRecipe) -> float:
    """Unweighted average recall in new speakers; a diagnosis is a speaker's, whose statistics are averaged."""
    rows = [[*statistics(turn), label(role, turn), str(turn.voice)] for turn in turns(role, recipe)]
    table = pd.DataFrame(rows, columns=[*STATISTICS, "label", "voice"])
    if role in ("daic_woz", "sre"):
        table = table.groupby("voice", sort=False).agg({**dict.fromkeys(STATISTICS, "mean"), "label": "first"}).reset_index()
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = GroupKFold(min(5, table["voice"].nunique()))
    predicted = cross_val_predict(model, table[STATISTICS], table["label"], groups=table["voice"], cv=folds)
    return float(balanced_accuracy_score(table["label"], predicted))


@pytest.mark.parametrize("role", CHANCE)
def test_labels_can_be_learnt_where_they_are_planted_and_only_there(role: str) -> None:
    recipe = DIRECT if role == "daic_woz" else RECIPES[role]
    nothing = recipe.model_copy(update={"effects": type(recipe.effects).nothing()})
    planted, null = recall(role, recipe), recall(role, nothing)
    assert planted > CHANCE[role] + 0.15
    assert null < CHANCE[role] + 0.1
