"""The paper's procedure as a chain: what each step begins with, who trains in it, which results are shared, and that it resumes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from search_spaces.scale import Scale
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage.manifests import interviews
from tests.trainables.tiny_segments import FEATURES, SMALL, files, finish, write_segments
from trainables.corpora.registry import open_corpora
from trainables.cross_validation import CrossValidation
from trainables.head_training import HeadTraining
from trainables.identity import fingerprint
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.learning_rate_range import LearningRateRange
from trainables.mfcc_segments import MfccSegments
from trainables.models.attention_resnet import AttentionResnet
from trainables.protocols.catalogue import HELD_OUT_30, OWN_SPLITS, SEGMENTS_70_30, SPEAKERS_4_FOLD, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.resnet_classifier import ResnetClassifier
from trainables.stage import StopRequested, from_config, to_config
from trainables.training import EpochOrder

DIGESTS = {"sre": "0"}


def stage(**settings):
    return ResnetClassifier(features=FEATURES, **{**SMALL, "head_epochs": 1, "epochs": 2, **settings})


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("segments") / "features")


@pytest.fixture(scope="module")
def steps(tmp_path_factory, segments):
    """Results of the steps before that of :func:`stage` on the corpus' own splits, with a development set."""
    which, results = stage(protocol=OWN_SPLITS), dict(segments)
    for above in which.upstream().values():
        finish(above, results, tmp_path_factory.mktemp("steps"))
    return results


def run(which, directory, results, **changes):
    context = FakeContext(directory, results, **changes)
    which.run(context)
    return context


def at_rate(rate, which, steps, folder):
    """The results of the steps before it, but for the rate that the second range test suggests."""
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"learning_rate": rate}))
    return {**steps, which.rate_range(): folder}


def numbers(directory):
    return json.loads((directory / "metrics.json").read_text())


# The steps.


def test_the_steps_before_it_are_stages_in_the_papers_order():
    which = stage()
    kinds = [(type(each), getattr(each, "head", None) is not None) for each in which.chain()]
    expected = [(MfccSegments, False), (LearningRateRange, False), (HeadTraining, False), (LearningRateRange, True)]
    assert kinds == [*expected, (ResnetClassifier, False)]
    assert set(which.upstream()) == {"features", "head", "range"}
    assert which.upstream()["range"].head == which.upstream()["head"]


def test_without_range_tests_both_trainings_have_the_rate_of_table_4():
    which = stage(range_test=False)
    assert [type(each) for each in which.chain()] == [MfccSegments, HeadTraining, ResnetClassifier]
    assert which.trained_head().learning_rate == which.learning_rate == 1e-3
    assert stage(range_test=False, learning_rate=0.02).trained_head().learning_rate == 0.02


@pytest.mark.parametrize(
    "division",
    [
        {"protocol": SPEAKERS_70_30, "seed": 3},
        {"protocol": HELD_OUT_30, "scored_on": "dev"},
        {"protocol": SPEAKERS_5_FOLD, "fold": 4},
        {"shuffled_labels": True},
        {"task": "severity", "depth": 34, "attention": "blocks", "shortcut": "projection", "width": 3},
        {"batch_size": 5, "momentum": 0.5, "weight_decay": 0.0, "precision": "bfloat16"},
    ],
)
def test_every_step_has_the_settings_of_the_last_one(division):
    above = stage().with_upstream({}, **division).upstream()
    for each in (above["head"], above["range"], above["range"].head, above["head"].rate_range()):
        assert {name: getattr(each, name) for name in division} == division


def test_the_steps_of_each_fold_train_on_that_fold():
    folds = tuple(stage(protocol=SPEAKERS_4_FOLD, fold=number) for number in range(4))
    whole = CrossValidation(folds=folds)
    heads = [fold.trained_head() for fold in whole.folds]
    assert [head.fold for head in heads] == [fold.rate_range().fold for fold in whole.folds] == [0, 1, 2, 3]
    assert from_config(json.loads(json.dumps(to_config(whole)))) == whole


def test_steps_are_shared_where_nothing_that_differs_can_change_them():
    def steps_of(**settings):
        which = stage(**settings)
        return which.trained_head().rate_range(), which.trained_head(), which.rate_range()

    assert steps_of() == steps_of(epochs=9)
    assert steps_of() == steps_of(learning_rate=0.5), "which range tests make idle"
    assert steps_of(head_epochs=3)[0] == steps_of()[0]
    assert steps_of(head_epochs=3)[1] != steps_of()[1]
    without = {"range_test": False}
    assert stage(**without).trained_head() == stage(**without, range_steps=50, lowest_rate=1e-4).trained_head()
    assert steps_of(protocol=OWN_SPLITS, scored_on="dev") == steps_of(protocol=OWN_SPLITS)
    assert steps_of(protocol=HELD_OUT_30, scored_on="dev") != steps_of(protocol=HELD_OUT_30), "others train"


def test_what_changes_a_step_changes_the_identity_of_what_follows():
    names = [
        fingerprint(stage(**settings), DIGESTS) for settings in ({}, {"head_epochs": 2}, {"range_steps": 30}, {"range_test": False})
    ]
    assert len(set(names)) == 4
    assert fingerprint(from_config(to_config(stage())), DIGESTS) == names[0]


def test_a_scale_reaches_every_step_through_the_last_one():
    overlay = {"ResnetClassifier": {"width": 8, "range_steps": 25, "head_epochs": 3, "epochs": 4}, "MfccSegments": {"hop": 1024}}
    scaled = Scale("tiny", 1, overlay).apply(ResnetClassifier(features=MfccSegments(corpus="sre"), depth=34))
    head, test = scaled.trained_head(), scaled.rate_range()
    assert (head.width, head.epochs, head.range_steps, head.depth, head.features.hop) == (8, 3, 25, 34, 1024)
    assert (test.width, test.steps, test.head, test.features.hop) == (8, 25, head, 1024)
    assert scaled.epochs == 4


# The last step.


def test_the_whole_network_is_trained_from_the_head_at_the_rate_of_the_second_range_test(tmp_path, steps, segments):
    """Against a loop without the stage."""
    which = stage(protocol=OWN_SPLITS, epochs=1)
    context = run(which, tmp_path / "result", at_rate(0.0123, which, steps, tmp_path / "range"))
    sets = which.sets(which.units(context))
    features = torch.from_numpy(np.load(segments[FEATURES] / "features.npy"))
    rows = {name: np.concatenate(part.segments) for name, part in sets.items()}
    network = AttentionResnet.load(steps[which.trained_head()]).requires_grad_(True).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0123, momentum=0.9, weight_decay=3e-3)
    order, truth = EpochOrder(len(rows["train"]), 8, which.seed), torch.from_numpy(sets["train"].truth)
    for index in range(order.steps_per_epoch):
        chosen = order[index]
        optimizer.zero_grad()
        F.cross_entropy(network(features[rows["train"][chosen]]), truth[chosen]).backward()
        optimizer.step()
    expected = network.eval()(features[rows["test"]]).softmax(dim=1).detach()
    found = pd.read_parquet(tmp_path / "result/predictions.parquet")
    assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
    np.testing.assert_allclose(found[["p0", "p1"]], expected, atol=1e-3)
    assert numbers(tmp_path / "result")["learning_rate"] == 0.0123


def test_it_learns_to_tell_the_classes_of_unseen_speakers(tmp_path, segments):
    """On average: of sixteen segments one seed may mistake a few, and which one does depends on the machine's arithmetic."""
    told = []
    for seed in range(3):
        directory = finish(stage(epochs=12, range_test=False, learning_rate=0.02, seed=seed), dict(segments), tmp_path / str(seed))
        told.append(numbers(directory)["f1_macro"])
    assert np.mean(told) > 0.7


def test_with_a_development_set_the_best_epoch_counts_and_its_scores_stand_beside(tmp_path, steps):
    settings, results = {"protocol": OWN_SPLITS}, dict(steps)
    results |= at_rate(0.03, stage(**settings), steps, tmp_path / "range")
    context = run(stage(**settings, epochs=5), tmp_path / "long", results)
    curve = [metrics["dev_f1_macro"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 4, "or this test could not tell the best epoch from the last"
    run(stage(**settings, epochs=best + 1), tmp_path / "short", results)
    assert files(tmp_path / "long") == files(tmp_path / "short")
    assert numbers(tmp_path / "long")["dev_f1_macro"] == max(curve)


def test_without_a_development_set_the_last_epoch_counts(tmp_path, segments):
    results = dict(segments)
    settings = {"range_test": False, "learning_rate": 0.02}
    directory = finish(stage(**settings), results, tmp_path / "chain")
    assert stage(**settings).exposure().selected == "nothing"
    assert not (directory / "predictions_dev.parquet").exists()


def test_subjects_have_predictions_too(tmp_path, steps):
    run(stage(protocol=OWN_SPLITS), tmp_path / "result", steps)
    found = pd.read_parquet(tmp_path / "result/predictions_subject.parquet")
    assert found["unit"].tolist() == ["s6", "s7"]
    assert "subject_f1_micro" in numbers(tmp_path / "result")


@pytest.mark.parametrize("stop_after", [1, 6])
def test_an_interrupted_and_resumed_training_gives_the_same_bytes(tmp_path, steps, stop_after):
    which = stage(protocol=OWN_SPLITS)  # of four steps each epoch; the best epoch so far is part of the checkpoint
    whole = run(which, tmp_path / "whole", steps)
    with pytest.raises(StopRequested):
        run(which, tmp_path / "cut", steps, stop_after=stop_after)
    assert files(tmp_path / "cut") == {}
    resumed = run(which, tmp_path / "cut", steps)
    assert resumed.reports[-1] == whole.reports[-1]
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_what_it_declares_to_learn_from():
    exposure = stage(protocol=OWN_SPLITS).exposure()
    assert (exposure.features, exposure.fitted, exposure.task) == (FEATURES, "training", "depression")
    assert (exposure.normalised, exposure.selected) == ("training", "dev")


@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, SEGMENTS_70_30], ids=lambda protocol: protocol.name)
def test_no_step_has_heard_with_labels_what_is_scored(protocol):
    audit = ChainAudit({"sre": AuditedCorpus("sre", interviews())})
    assert audit.find(stage(protocol=protocol, seed=3)) == []
    assert len({each.protocol for each in stage(protocol=protocol).chain() if each != FEATURES}) == 1


# The whole chain.


def test_a_chain_from_sound_runs_each_step_once_and_logs_the_curves_of_both_range_tests_as_figures(tmp_path):
    file = write_tiny_corpora(tmp_path)
    setting = Setting(corpora=open_corpora(str(file), tmp_path, ["mdd"]), store=str(tmp_path / "store"), code=code_version())
    figures = {}

    def call(method, *arguments):
        if method == "stage_ended" and arguments[-1]:
            figures[arguments[0]] = [*arguments[-1]]

    features = MfccSegments(corpus="mdd", min_seconds=1.0, hop=2048, coefficients=8)
    which = ResnetClassifier(features=features, **SMALL, head_epochs=1, epochs=1)
    executor = LocalExecutor(setting, call)
    executor.finish_chain(which)
    expected = [setting.fingerprint(each) for each in which.chain()]
    assert sorted(executor.executed) == sorted(expected)
    tests = [setting.fingerprint(each) for each in (which.rate_range(), which.trained_head().rate_range())]
    assert figures == {name: ["range-test.png"] for name in tests}
    executor.finish_chain(which.with_upstream({}, epochs=2))
    assert len(executor.executed) == len(expected) + 1, "the steps before are those that are there"
    assert "f1_macro" in numbers(ArtifactStore(setting.store).path(expected[-1]))
