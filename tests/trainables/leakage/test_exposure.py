"""Every stage declares what it learns from, and does as it declares: other test units leave what it has learnt as it was."""

import importlib
import json
import pkgutil

import numpy as np
import pandas as pd
import pytest

import trainables
from tests.trainables.fake_context import FakeContext
from trainables.divided import DividedStage
from trainables.emotion_classifier import EmotionClassifier
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import divide
from trainables.protocols.catalogue import HELD_OUT_30, OWN_SPLITS
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier
from trainables.session_probe import SessionProbe
from trainables.stage import Stage
from trainables.tasks import TASKS
from trainables.units import read_units

FEATURES = LogMelFeatures(corpus="mdd", unit="session", hop=5000, mels=16)
EMBEDDINGS = SegmentEmbeddings(encoder=EmotionReference(features=FEATURES), features=FEATURES)
STAGES = {
    "session classifier": SessionClassifier(embeddings=EMBEDDINGS, protocol=OWN_SPLITS, hidden_size=4, epochs=3),
    "emotion classifier": EmotionClassifier(
        features=FEATURES,
        task="emotion5",
        protocol=OWN_SPLITS,
        width=2,
        epochs=4,
        batch_size=16,
        learning_rate=0.01,
        precision="float32",
    ),
    "probe": SessionProbe(embeddings=EMBEDDINGS, protocol=HELD_OUT_30),
}
CODES = ("ang", "hap", "sad", "fru", "neu")


def stage_classes():
    for module in pkgutil.walk_packages(trainables.__path__, "trainables."):
        if not module.name.startswith(("trainables.corpora", "trainables.models")):
            found = vars(importlib.import_module(module.name)).values()
            yield from (cls for cls in found if isinstance(cls, type) and issubclass(cls, Stage) and cls.__module__ == module.name)


def test_every_stage_declares_what_it_learns_from():
    silent = [cls for cls in stage_classes() if cls.exposure is Stage.exposure and "run" in vars(cls) and cls is not Stage]
    assert not silent


def write(folder, changed=()):
    """Features, embeddings and labels of 60 units of 2 segments; of the speakers in ``changed`` quite other ones."""
    folder.mkdir()
    rng, rows, spectra, vectors = np.random.default_rng(0), [], [], []
    for number in range(60):
        speaker, label = f"p{number // 2:02d}", number // 2 % 5
        for position in range(2):
            unit = {"unit": f"u{number:02d}", "position": position, "seconds": 5.0, "speaker": speaker, "session": f"u{number:02d}"}
            spectrum, vector = rng.normal(-40, 5, (16, 16)), rng.standard_normal(8)
            spectrum[:, 3 * label : 3 * label + 3] += 15
            vector[label % 2] += 2
            if speaker in changed:
                spectrum, vector = spectrum[::-1, ::-1] + 30, 1000 * vector
            shown = 0 if speaker in changed and number % 2 else label  # every class stays, in other numbers
            split = ("train", "train", "train", "dev", "test")[number // 10 % 5 if number < 50 else 4]
            rows.append({**unit, "split": split, "emotion": CODES[shown], "depressed": float(shown % 2)})
            spectra.append(spectrum)
            vectors.append(vector)
    pd.DataFrame(rows).to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "features.npy", np.array(spectra, np.float32))
    np.save(folder / "embeddings.npy", np.array(vectors, np.float32))
    return folder


def learnt(stage, corpus, directory):
    """The curves of the training, the development scores among them, and what is said of a test unit that stays as it is."""
    context = FakeContext(directory, {FEATURES: corpus, EMBEDDINGS: corpus})
    stage.run(context)
    if not isinstance(stage, DividedStage):
        return json.loads((directory / "metrics.json").read_text())
    said = pd.read_parquet(directory / "predictions.parquet").set_index("unit")
    return context.reports, said.loc["u58"].drop("truth").tolist()


@pytest.mark.parametrize("name", STAGES)
def test_test_units_decide_nothing_of_what_a_stage_learns_and_training_units_do(name, tmp_path):
    stage, corpus = STAGES[name], write(tmp_path / "corpus")
    exposure = stage.exposure()
    assert (exposure.fitted, exposure.features) == ("training", FEATURES)
    units = read_units(corpus, TASKS[exposure.task])
    speakers = {part: set(found.table["speaker"]) for part, found in divide(units, stage.protocol, 0).items()}
    before = learnt(stage, corpus, tmp_path / "before")
    other = write(tmp_path / "other test", speakers["test"] - {"p29"} if isinstance(stage, DividedStage) else speakers["test"])
    assert learnt(stage, other, tmp_path / "after") == before
    for part in ("train", "dev"):
        if part in speakers:
            changed = write(tmp_path / f"other {part}", speakers[part])
            heard = part == "train" or exposure.selected == part
            assert (learnt(stage, changed, tmp_path / f"after {part}") != before) is heard, part


@pytest.mark.parametrize("scored_on", ["test", "dev"])
def test_a_stage_that_chooses_an_epoch_declares_the_set(scored_on):
    own = EmotionClassifier(features=FEATURES, task="emotion5", protocol=OWN_SPLITS, scored_on=scored_on)
    held = EmotionClassifier(features=FEATURES, task="emotion5", protocol=HELD_OUT_30, scored_on=scored_on)
    assert own.exposure().selected == "dev"
    assert held.exposure().selected == ("dev" if scored_on == "dev" else "nothing")
