"""Late fusion: predictions alone are read, every rule against an independent formulation, nobody weighed by his own label."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize

from tests.divided_toys import Runner, Sessions, Told
from tests.trainables.fake_context import FakeContext
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.fusion import Fusion, fitted, leave_one_speaker_out, log_loss_weights, majority_vote
from trainables.identity import fingerprint, identity_of
from trainables.log_mel_features import LogMelFeatures
from trainables.metrics import prediction_scores
from trainables.protocols import Protocol
from trainables.protocols.catalogue import (
    DAIC_DEV_AS_TEST,
    DAIC_OFFICIAL,
    DAIC_POOLED_NESTED,
    HELD_OUT_30,
    SPEAKERS_70_30,
)
from trainables.stage import from_config, to_config

RULES = ("majority_vote", "mean_probability", "weighted", "stacking")
DIGESTS = {"mdd": "a"}


def members(**settings):
    settings = {"protocol": DAIC_OFFICIAL, **settings}
    return tuple(Told(name=name, skill=skill, test_skill=skill, **settings) for name, skill in (("a", 0.2), ("b", 0.8), ("c", 1.5)))


def fusion(rule="majority_vote", **settings):
    return Fusion(members=members(**settings), rule=rule)


def drawn(count, units, classes=2, seed=0):
    """Probabilities ``[members, units, classes]`` and classes of which they know something."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, units)
    odds = draw.normal(size=(count, units, classes)) + np.eye(classes)[truth] * draw.uniform(0, 2, (count, 1, 1))
    return np.exp(odds) / np.exp(odds).sum(axis=2, keepdims=True), truth


@pytest.mark.parametrize(("count", "classes"), [(3, 2), (2, 2), (4, 3), (5, 4)])
def test_a_vote_is_won_by_most_members_and_a_tie_by_those_who_are_surer_on_average(count, classes):
    probabilities, _ = drawn(count, 300, classes)
    fused, ties = majority_vote(probabilities), 0
    assert fused.sum(axis=1) == pytest.approx(np.ones(300))
    for unit in range(300):
        votes = [int(said.argmax()) for said in probabilities[:, unit]]
        most = max(map(votes.count, votes))
        leading = [number for number in range(classes) if votes.count(number) == most]
        ties += len(leading) > 1
        surest = max(leading, key=lambda number: probabilities[:, unit, number].sum())
        assert fused[unit].argmax() == surest
    assert (ties == 0) == (count == 3), "three votes on two classes have no tie"


def test_weights_are_no_less_than_zero_sum_to_one_and_no_others_have_less_log_loss():
    probabilities, truth = drawn(2, 40)
    weights = log_loss_weights(probabilities, truth)
    grid = np.linspace(0, 1, 2001)
    right = probabilities[:, np.arange(40), truth]
    losses = -np.log(grid[:, None] * right[0] + (1 - grid[:, None]) * right[1]).mean(axis=1)
    assert weights[0] == pytest.approx(grid[losses.argmin()], abs=1e-3)
    assert 0 < weights[0] < 1
    for seed in range(20):
        probabilities, truth = drawn(5, 30, 3, seed)
        weights = log_loss_weights(probabilities, truth)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        right = probabilities[:, np.arange(30), truth]
        # Karush-Kuhn-Tucker: every member's share of the likelihood is 1 where it has weight, and at most 1 where it has none.
        shares = (right / (weights @ right)).mean(axis=1)
        assert shares[weights > 1e-3] == pytest.approx(1, abs=1e-3)
        assert shares.max() < 1 + 1e-3


def test_a_member_that_is_sure_and_wrong_gets_no_weight_instead_of_an_infinite_loss():
    truth = np.array([0, 1, 0, 1])
    weights = log_loss_weights(np.stack([np.eye(2)[1 - truth], np.eye(2)[truth] * 0.6 + 0.2]), truth)
    assert weights == pytest.approx([0, 1], abs=1e-4)


def test_stacking_is_the_penalised_logistic_regression_on_the_members_log_odds():
    probabilities, truth = drawn(3, 60)
    fused = fitted("stacking", probabilities, truth)(probabilities)
    odds = np.log(probabilities[..., 1] / probabilities[..., 0]).T

    def loss(values):
        scores = odds @ values[1:] + values[0]
        return np.logaddexp(0, -scores * (2 * truth - 1)).sum() + (values[1:] ** 2).sum() / 2

    best = minimize(loss, np.zeros(4), tol=1e-10).x
    assert fused[:, 1] == pytest.approx(1 / (1 + np.exp(-(odds @ best[1:] + best[0]))), abs=1e-3)
    assert fused.sum(axis=1) == pytest.approx(np.ones(60))


@pytest.mark.parametrize("rule", ["weighted", "stacking"])
def test_nobody_of_the_development_set_is_scored_by_weights_that_were_fitted_on_him(rule):
    probabilities, truth = drawn(3, 24)
    speakers = np.repeat([f"p{number}" for number in range(8)], 3)
    before = leave_one_speaker_out(rule, probabilities, truth, speakers)
    own = speakers == "p3"
    after = leave_one_speaker_out(rule, probabilities, np.where(own, 1 - truth, truth), speakers)
    assert np.array_equal(before[own], after[own]), "his label decides nothing of his score"
    assert not np.array_equal(before[~own], after[~own])
    others = fitted(rule, probabilities[:, ~own], truth[~own])
    assert np.array_equal(before[own], others(probabilities[:, own]))
    with pytest.raises(UserError, match="1 speaker; it takes at least 2"):
        leave_one_speaker_out(rule, probabilities, truth, np.array(["p0"] * 24))


def test_stacking_on_units_of_one_class_is_refused_and_says_what_to_do():
    probabilities, truth = drawn(2, 6)
    with pytest.raises(UserError, match="all of class 0; it takes at least 2 speakers of each class"):
        fitted("stacking", probabilities, truth * 0)


def test_no_training_is_repeated_whatever_the_rule_and_all_rules_write_both_sets(tmp_path):
    runner, parts = Runner(tmp_path), members()
    for member in parts:
        runner.run(member)
    trained = len(runner.executed)
    for rule in RULES:
        stage = Fusion(members=parts, rule=rule)
        assert set(stage.chain()) - {stage} == {each for member in parts for each in member.chain()}
        result = runner.run(stage)
        metrics = json.loads((result / "metrics.json").read_text())
        for name, prefix in (("predictions", ""), ("predictions_dev", "dev_")):
            table = pd.read_parquet(result / f"{name}.parquet")
            assert table["unit"].tolist() == pd.read_parquet(runner.place(parts[0]) / f"{name}.parquet")["unit"].tolist()
            assert {f"{prefix}{metric}": value for metric, value in prediction_scores(table).items()}.items() <= metrics.items()
        assert {f"weight_{number}" for number in range(3)} <= set(metrics) or rule != "weighted"
    assert runner.executed[trained:] == ["Fusion"] * 4


def test_the_test_set_is_scored_by_weights_of_the_whole_development_set_and_its_own_labels_decide_nothing(tmp_path):
    runner = Runner(tmp_path)
    parts = members()
    stage = Fusion(members=parts, rule="weighted")
    result = runner.run(stage)
    dev, test = (
        [pd.read_parquet(runner.place(m) / f"{name}.parquet") for m in parts] for name in ("predictions_dev", "predictions")
    )
    weights = log_loss_weights(np.stack([table[["p0", "p1"]] for table in dev]), dev[0]["truth"].to_numpy())
    metrics = json.loads((result / "metrics.json").read_text())
    assert [metrics[f"weight_{number}"] for number in range(3)] == pytest.approx(weights)
    expected = sum(weight * table["p1"] for weight, table in zip(weights, test, strict=True))
    assert pd.read_parquet(result / "predictions.parquet")["p1"].to_numpy() == pytest.approx(expected.to_numpy())


def test_members_get_the_division_of_the_fusion_and_what_it_does_not_say_is_the_first_members():
    stage = fusion(seed=3)
    assert (stage.protocol, stage.seed) == (DAIC_OFFICIAL, 3)
    other = Fusion(members=(members()[0], members(protocol=SPEAKERS_70_30, seed=9)[1]), rule="majority_vote")
    assert {(member.protocol, member.seed) for member in other.members} == {(DAIC_OFFICIAL, 0)}
    moved = stage.with_upstream({}, protocol=DAIC_POOLED_NESTED, fold=2, inner=1, shuffled_labels=True)
    division = {(m.protocol, m.fold, m.inner, m.seed, m.shuffled_labels) for m in (moved, *moved.members)}
    assert division == {(DAIC_POOLED_NESTED, 2, 1, 3, True)}
    nested = Fusion(members=(stage, members()[0]), rule="mean_probability", seed=5)
    assert {member.seed for member in nested.members[0].members} == {5}, "also through a fusion of fusions"


def test_it_survives_json_and_its_identity_is_that_of_its_members():
    stage = fusion("stacking", seed=2)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    assert identity_of(stage, DIGESTS)["upstream"] == {f"members.{n}": fingerprint(m, DIGESTS) for n, m in enumerate(stage.members)}
    names = {fingerprint(fusion(rule), DIGESTS) for rule in RULES}
    assert len(names | {fingerprint(fusion(seed=1), DIGESTS)}) == 5


@pytest.mark.parametrize("rule", ["weighted", "stacking"])
@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, DAIC_DEV_AS_TEST, HELD_OUT_30, DAIC_POOLED_NESTED], ids=lambda p: p.name)
def test_a_rule_with_weights_is_refused_without_a_development_set_before_anything_is_computed(rule, protocol):
    with pytest.raises(UserError, match=f"'{rule}' is fitted on a development set, and '{protocol.name}' has none here; choose"):
        fusion(rule, protocol=protocol)
    assert fusion(protocol=protocol).exposure().selected == "nothing"
    if protocol in (HELD_OUT_30, DAIC_POOLED_NESTED):
        division = {"scored_on": "dev"} if protocol == HELD_OUT_30 else {"inner": 0}
        assert fusion(rule, protocol=protocol, **division).exposure().selected == "dev"


def test_scored_on_the_development_set_it_is_cross_fitted_on_it(tmp_path):
    runner = Runner(tmp_path)
    stage = fusion("stacking", scored_on="dev")
    result = runner.run(stage)
    tables = [pd.read_parquet(runner.place(member) / "predictions.parquet") for member in stage.members]
    probabilities = np.stack([table[["p0", "p1"]].to_numpy() for table in tables])
    fused = leave_one_speaker_out("stacking", probabilities, tables[0]["truth"].to_numpy(), tables[0]["speaker"].to_numpy())
    table = pd.read_parquet(result / "predictions.parquet")
    assert len(table) == 8
    assert table[["p0", "p1"]].to_numpy() == pytest.approx(fused)
    assert not (result / "predictions_dev.parquet").exists()


def test_with_shuffled_labels_weights_are_fitted_on_permuted_classes_and_scores_are_of_the_true_ones(tmp_path):
    runner = Runner(tmp_path)
    true, shuffled = (fusion("weighted", shuffled_labels=value) for value in (False, True))
    tables = [pd.read_parquet(runner.run(stage) / "predictions_dev.parquet") for stage in (true, shuffled)]
    assert tables[0]["truth"].tolist() == tables[1]["truth"].tolist()
    own = [pd.read_parquet(runner.place(stage.members[0]) / "predictions_dev.parquet") for stage in (true, shuffled)]
    assert own[0].equals(own[1]), "the toys do not train, so what is fused is the same"
    metrics = [json.loads((runner.place(stage) / "metrics.json").read_text()) for stage in (true, shuffled)]
    assert metrics[0]["weight_2"] > metrics[1]["weight_2"] + 0.1, "the best member is worth nothing to permuted classes"


def test_folds_of_a_fusion_are_put_together_like_any_others(tmp_path):
    runner = Runner(tmp_path)
    halves = Protocol(name="two-by-two", sentence="", source="", scheme="k_fold", folds=2, inner_folds=2)
    first = fusion("weighted", protocol=halves, inner=0)
    whole = CrossValidation(folds=tuple(first.with_upstream({}, fold=number) for number in range(2)))
    table = pd.read_parquet(runner.run(whole) / "predictions.parquet")
    assert sorted(table["unit"]) == [f"s{number:03d}" for number in range(40)]
    with pytest.raises(ValidationError, match="alike but for their fold"):
        CrossValidation(folds=(whole.folds[0], whole.folds[1].with_upstream({}, rule="stacking")))


def test_members_that_lack_development_predictions_are_named(tmp_path):
    runner = Runner(tmp_path)
    silent = Fusion(members=members(silent=True), rule="majority_vote")
    assert not (runner.run(silent) / "predictions_dev.parquet").exists(), "without weights there need not be any"
    results = {member: runner.place(member) for member in silent.members}
    with pytest.raises(UserError, match="none of told has written them"):
        Fusion(members=silent.members, rule="weighted").run(FakeContext(tmp_path / "weighted", results))
    mixed = Fusion(members=(silent.members[0], members()[1]), rule="majority_vote")
    results = {member: runner.run(member) for member in mixed.members}
    with pytest.raises(UserError, match=r"told: no predictions_dev\.parquet; give members that all write it"):
        mixed.run(FakeContext(tmp_path / "mixed", results))


def test_members_that_have_predicted_other_units_are_refused_and_their_order_does_not_matter(tmp_path):
    runner, stage = Runner(tmp_path), fusion("mean_probability")
    results, expected = {}, pd.read_parquet(runner.run(stage) / "predictions.parquet")
    for number, member in enumerate(stage.members):
        results[member] = tmp_path / f"member {number}"
        results[member].mkdir()
        table = pd.read_parquet(runner.place(member) / "predictions.parquet")
        table.sample(frac=1, random_state=number if number else None).to_parquet(results[member] / "predictions.parquet")
    stage.run(FakeContext(tmp_path / "again", results))
    again = pd.read_parquet(tmp_path / "again" / "predictions.parquet").sort_values("unit")
    assert again["p1"].to_numpy() == pytest.approx(expected.sort_values("unit")["p1"].to_numpy())
    table[1:].to_parquet(results[stage.members[2]] / "predictions.parquet")
    with pytest.raises(UserError, match=r"member 2 \(told\) has predicted other units than member 0"):
        stage.run(FakeContext(tmp_path / "other", results))


def test_members_that_predict_something_else_are_refused():
    others = Told(features=LogMelFeatures(corpus="mosei", unit="session"))
    for stage in (others, others.with_upstream({"features": Sessions(unit="utterance")})):
        with pytest.raises(ValidationError, match="must predict the same of the same units"):
            Fusion(members=(members()[0], stage), rule="majority_vote")
