"""Contract of the training set: which utterances it lists, and that none that is scored further down is among them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage.manifests import kinds, utterances
from trainables.chance import ChanceClassifier
from trainables.divided import shuffle_labels
from trainables.errors import UserError
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.protocols import Protocol, divide
from trainables.protocols.catalogue import CASIA_MIXED_5, IEMOCAP_10_SPEAKERS, OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet
from trainables.units import read_units
from trainables.utterances import Utterances

ENGLISH, CHINESE = Utterances(corpus="iemocap"), Utterances(corpus="casia")
CODES = ("ang", "exc", "sad", "neu", "fea", "hap")
WORDS = {"ang": "angry", "exc": "happy", "sad": "sad", "neu": "neutral", "hap": "happy"}
FOUR_SPEAKERS = Protocol(name="four", sentence="", source="test", scheme="k_fold", folds=4, inner_folds=3)


def training_set(utterances=ENGLISH, **settings):
    return TrainingSet(**{"utterances": utterances, "task": "emotion4", "protocol": SPEAKERS_5_FOLD, **settings})


def table(changed=()):
    """60 utterances of ten speakers, in an order that is not that of their names; every sixth is in no class of emotion4."""
    rows = []
    for number in range(60):
        speaker, code = f"v{number % 10}", CODES[number // 10]
        if speaker in changed and code != "fea":
            code = CODES[(CODES.index(code) + 1) % 4]
        place = {"unit": f"u{(number * 7) % 60:02d}", "position": 0, "seconds": 2.0, "turn": f"u{(number * 7) % 60:02d}"}
        spoken = {"recording": f"{number}.wav", "start": 0.0, "end": 2.0, "speaker": speaker, "session": f"d{number % 5}"}
        split = "train" if number % 10 < 6 else "dev" if number % 10 < 8 else "test"
        rows.append({**place, **spoken, "split": split, "emotion": code})
    return pd.DataFrame(rows)


def listed(stage, directory, **changed):
    """``training.parquet`` and ``metrics.json`` of a stage on :func:`table`."""
    directory.mkdir()
    home = directory / "utterances"
    home.mkdir()
    table(**changed).to_parquet(home / "segments.parquet", index=False)
    stage.run(FakeContext(directory / "result", {stage.utterances: home}))
    metrics = json.loads((directory / "result" / "metrics.json").read_text())
    return pd.read_parquet(directory / "result" / "training.parquet"), metrics, home


@pytest.mark.parametrize(
    "settings",
    [
        {"fold": 3, "seed": 1},
        {"fold": 2, "inner": 1, "seed": 2},
        {"fold": 2, "inner": 1, "scored_on": "dev"},
        {"protocol": OWN_SPLITS},
        {"protocol": CASIA_MIXED_5, "fold": 4},
        {"protocol": SPEAKERS_70_30, "seed": 5},
    ],
    ids=str,
)
def test_it_lists_the_protocols_training_utterances_in_the_order_of_the_table_with_the_tasks_words(tmp_path, settings):
    stage = training_set(**settings)
    found, metrics, home = listed(stage, tmp_path / "run")
    units = read_units(home, TASKS["emotion4"])
    own = {name: getattr(stage, name) for name in ("fold", "inner", "scored_on")}
    names = set(divide(units, stage.protocol, stage.seed, **own)["train"].table["unit"])
    whole = table()
    expected = whole[whole["unit"].isin(names)]
    assert list(found) == ["row", "unit", "speaker", "emotion"]
    assert found["row"].tolist() == expected.index.tolist()
    assert found["unit"].tolist() == expected["unit"].tolist()
    assert found["speaker"].tolist() == expected["speaker"].tolist()
    assert found["emotion"].tolist() == [WORDS[code] for code in expected["emotion"]]
    assert metrics == {"utterances": len(found), **found["emotion"].value_counts().to_dict()}


@pytest.mark.parametrize("settings", [{"fold": 1}, {"fold": 1, "inner": 2}, {"protocol": OWN_SPLITS}], ids=str)
def test_labels_of_those_who_are_scored_or_selected_on_decide_nothing_and_those_of_training_speakers_do(tmp_path, settings):
    stage = training_set(**settings)
    before, _, home = listed(stage, tmp_path / "before")
    sets = stage.sets(read_units(home, TASKS["emotion4"]))
    speakers = {name: set(part.table["speaker"]) for name, part in sets.items()}
    outside = set.union(*(found for name, found in speakers.items() if name != "train"))
    assert outside
    assert listed(stage, tmp_path / "others", changed=outside)[0].equals(before)
    assert not listed(stage, tmp_path / "own", changed=speakers["train"])[0].equals(before)


def test_shuffled_labels_are_a_permutation_by_the_seed_of_the_same_utterances(tmp_path):
    plain, metrics, home = listed(training_set(), tmp_path / "plain")
    stage = training_set(shuffled_labels=True)
    shuffled, same, _ = listed(stage, tmp_path / "shuffled")
    assert shuffled.drop(columns="emotion").equals(plain.drop(columns="emotion"))
    assert (shuffled["emotion"] != plain["emotion"]).any()
    assert same == metrics
    expected = shuffle_labels(training_set().sets(read_units(home, TASKS["emotion4"]))["train"], 0, "train")
    words = dict(zip(expected.table["unit"], (expected.task.classes[number] for number in expected.truth), strict=True))
    assert shuffled["emotion"].tolist() == [words[name] for name in shuffled["unit"]]


def test_what_a_corpus_lacks_for_the_protocol_or_the_task_is_told(tmp_path):
    with pytest.raises(UserError, match="leaves one of 12 speakers out"):
        listed(training_set(protocol=IEMOCAP_10_SPEAKERS.model_copy(update={"folds": 12})), tmp_path / "folds")
    with pytest.raises(UserError, match="label 'sentiment' is missing"):
        listed(training_set(task="sentiment"), tmp_path / "task")


def scored(features=ENGLISH, **settings):
    return ChanceClassifier(
        **{"features": features, "strategy": "uniform", "task": "emotion4", "protocol": SPEAKERS_5_FOLD, **settings}
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"fold": 4, "seed": 3},
        {"fold": 2, "inner": 1, "scored_on": "dev"},
        {"protocol": OWN_SPLITS, "seed": 3},
        {"shuffled_labels": True},
    ],
    ids=str,
)
def test_a_set_of_the_corpus_that_is_scored_is_divided_as_the_stage_that_scores_it(settings):
    before = training_set(fold=1, seed=9)
    assert before.aligned(scored(**settings)) == training_set(**settings)


@pytest.mark.parametrize(("folds", "fold", "own"), [(4, 3, 3), (5, 4, 0), (5, 3, 3)])
def test_a_set_of_another_corpus_takes_the_fold_of_the_same_number_and_changes_in_nothing_else(folds, fold, own):
    before = training_set(CHINESE, protocol=FOUR_SPEAKERS, seed=9, inner=1)
    other = SPEAKERS_5_FOLD if folds == 5 else FOUR_SPEAKERS
    stage = scored(protocol=other, fold=fold, seed=2, shuffled_labels=True)
    assert before.aligned(stage) == training_set(CHINESE, protocol=FOUR_SPEAKERS, seed=9, inner=1, fold=own)
    undivided = training_set(CHINESE, protocol=OWN_SPLITS)
    assert undivided.aligned(stage) == undivided


def test_one_training_on_both_corpora_serves_the_fold_of_either():
    sets = training_set(), training_set(CHINESE, protocol=FOUR_SPEAKERS)
    for fold in range(4):
        english, chinese = scored(fold=fold), scored(CHINESE, protocol=FOUR_SPEAKERS, fold=fold)
        assert [own.aligned(english) for own in sets] == [own.aligned(chinese) for own in sets]


class ScoredOnTop(ChanceClassifier):
    """A stage that is scored above something that was trained on several corpora."""

    sources: tuple[TrainingSet, ...]


@pytest.mark.parametrize("fold", range(5))
@pytest.mark.parametrize("protocol", [SPEAKERS_5_FOLD, CASIA_MIXED_5], ids=lambda protocol: protocol.name)
def test_an_aligned_set_is_no_leak_and_one_of_another_fold_is(protocol, fold):
    manifests = {"iemocap": utterances(splits=False), "casia": utterances(speakers=4, splits=False)}
    audit = ChainAudit({role: AuditedCorpus(role, manifest) for role, manifest in manifests.items()})
    sets = training_set(protocol=protocol), training_set(CHINESE, protocol=FOUR_SPEAKERS)
    stage = scored(protocol=protocol, fold=fold, seed=3)

    def found(sources):
        settings = {name: getattr(stage, name) for name in ("features", "strategy", "task", "protocol", "fold", "seed")}
        return kinds(audit.find(ScoredOnTop(sources=tuple(sources), **settings)))

    aligned = [own.aligned(stage) for own in sets]
    assert found(aligned) == set()
    wrong = aligned[0].with_upstream({}, fold=(fold + 1) % 5)
    assert found([wrong, aligned[1]]) == {"supervised on test speakers"}
