from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, recall_score

from orchestrator.statistics.scores import SCORES, Score, concordance, f1_macro, find_score, predictions_file
from orchestrator.statistics.sums import speaker_sums
from trainables.attributes import ATTRIBUTES
from trainables.errors import UserError
from trainables.metrics import classification_scores, prediction_scores

CONFUSION = SCORES["f1_macro"].statistic
SKLEARN = {
    "f1_macro": lambda truth, predicted, weight: f1_score(truth, predicted, average="macro", zero_division=0, sample_weight=weight),
    "f1_micro": lambda truth, predicted, weight: accuracy_score(truth, predicted, sample_weight=weight),
    "uar": lambda truth, predicted, weight: recall_score(truth, predicted, average="macro", zero_division=0, sample_weight=weight),
}


def drawn(truth_classes: int, predicted_classes: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(60)],
            "speaker": [f"s{i}" for i in draw.integers(0, 9, 60)],
            "truth": draw.integers(0, truth_classes, 60),
            "predicted": draw.integers(0, predicted_classes, 60),
        }
    )


def weighted(score: Score, frame: pd.DataFrame, replicates: int = 7) -> tuple[np.ndarray, list[pd.Series]]:
    """The score with seven random weightings of the speakers, and the weight of every unit in each."""
    sums = speaker_sums(frame, score.statistic)
    weights = np.random.default_rng(1).exponential(size=(replicates, len(sums.speakers)))
    by_unit = [frame["speaker"].map(dict(zip(sums.speakers, weight, strict=True))) for weight in weights]
    return score.of_sums(np.einsum("bs,s...->b...", weights, sums.sums)), by_unit


@pytest.mark.parametrize("classes", [(2, 2), (5, 5), (2, 4), (4, 2), (3, 1), (1, 3), (1, 1)])
@pytest.mark.parametrize("metric", SKLEARN)
def test_scores_of_weighted_counts_are_those_of_sklearn_with_sample_weights(metric, classes):
    """Classes that are never predicted, or predicted and never true, among them."""
    frame = drawn(*classes)
    for ours, by_unit in zip(*weighted(SCORES[metric], frame), strict=True):
        assert ours == pytest.approx(SKLEARN[metric](frame["truth"], frame["predicted"], by_unit), abs=1e-12)


@pytest.mark.parametrize("classes", [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_f1_of_the_positive_class_is_sklearns_with_sample_weights(classes):
    """Also where class 1 is never predicted, or never true."""
    frame = drawn(*classes)
    for ours, by_unit in zip(*weighted(SCORES["f1_positive"], frame), strict=True):
        expected = f1_score(frame["truth"], frame["predicted"], pos_label=1, zero_division=0, sample_weight=by_unit)
        assert ours == pytest.approx(expected, abs=1e-12)


def test_a_maximum_that_the_paper_prints_is_the_f1_of_the_depressed_class():
    """Climate and Weather, Table 3: 0.869 = 20 / 23, that is 10 hits, and 3 errors of either kind."""
    truth, predicted = [1] * 12 + [0] * 23, [1] * 10 + [0] * 2 + [1] + [0] * 22
    names = [f"s{number}" for number in range(35)]
    frame = pd.DataFrame({"unit": names, "speaker": names, "truth": truth, "predicted": predicted})
    assert SCORES["f1_positive"].of_sums(speaker_sums(frame, CONFUSION).sums.sum(axis=0)) == pytest.approx(20 / 23)


def test_mean_absolute_error_is_sklearns_with_sample_weights():
    frame = drawn(2, 2)
    draw = np.random.default_rng(3)
    frame = frame.assign(valence=draw.uniform(1, 5, 60), valence_predicted=draw.uniform(1, 5, 60))
    for ours, by_unit in zip(*weighted(find_score("mae_valence"), frame), strict=True):
        assert ours == pytest.approx(mean_absolute_error(frame["valence"], frame["valence_predicted"], sample_weight=by_unit))


def rated(seed: int = 3) -> pd.DataFrame:
    """Sixty units of nine speakers, of other counts, levels and agreement each; as of a recogniser of attributes."""
    draw = np.random.default_rng(seed)
    frame = drawn(2, 2).drop(columns=["truth", "predicted"])
    level = frame["speaker"].str[1:].astype(int) / 4
    for name in ATTRIBUTES:
        frame[name] = (draw.uniform(1, 5, 60) + level).clip(1, 7)
        frame[f"{name}_predicted"] = 3 + 0.5 * (frame[name] - 3) * draw.uniform(0, 2, 60) + draw.normal(0, 0.5, 60)
    return frame


CONCORDANCES = ("ccc", *(f"ccc_{name}" for name in ATTRIBUTES))


def pooled(frame: pd.DataFrame, metric: str) -> float:
    score = find_score(metric)
    return float(score.of_sums(speaker_sums(frame, score.statistic).sums.sum(axis=0)))


def by_definition(frame: pd.DataFrame, weights: np.ndarray | None = None) -> dict[str, float]:
    """rho 2 sx sy / (sx^2 + sy^2 + (mx - my)^2), with weights, from numpy's weighted averages and covariances."""
    found = {}
    for name in ATTRIBUTES:
        x, y = frame[name], frame[f"{name}_predicted"]
        (xx, xy), (_, yy) = np.cov(x, y, aweights=weights, ddof=0)
        apart = np.average(x, weights=weights) - np.average(y, weights=weights)
        found[f"ccc_{name}"] = xy / np.sqrt(xx * yy) * 2 * np.sqrt(xx) * np.sqrt(yy) / (xx + yy + apart**2)
    return found | {"ccc": np.mean(list(found.values()))}


@pytest.mark.parametrize("metric", CONCORDANCES)
def test_a_concordance_from_sums_per_speaker_is_that_of_the_pooled_file(metric):
    frame = rated()
    assert pooled(frame, metric) == pytest.approx(by_definition(frame)[metric], rel=1e-12)
    assert pooled(frame, metric) == pytest.approx(prediction_scores(frame)[metric], rel=1e-12)


@pytest.mark.parametrize("metric", CONCORDANCES)
def test_a_concordance_with_weighted_speakers_is_that_of_weighted_moments(metric):
    frame = rated()
    for ours, by_unit in zip(*weighted(find_score(metric), frame), strict=True):
        assert ours == pytest.approx(by_definition(frame, by_unit.to_numpy())[metric], rel=1e-10)


@pytest.mark.parametrize("metric", CONCORDANCES)
def test_whole_weights_are_the_same_as_repeating_the_speakers(metric):
    frame, score = rated(), find_score(metric)
    sums = speaker_sums(frame, score.statistic)
    times = np.random.default_rng(2).integers(0, 4, len(sums.speakers))
    copies = [frame[frame["speaker"] == name] for name, count in zip(sums.speakers, times, strict=True) for _ in range(count)]
    repeated = by_definition(pd.concat(copies))[metric]
    assert score.of_sums(np.einsum("s,s...->...", times, sums.sums)) == pytest.approx(repeated, rel=1e-10)


@pytest.mark.parametrize("metric", CONCORDANCES)
def test_constant_predictions_agree_with_nothing_whatever_the_weights(metric):
    """Exactly 0: the training mean's row then has no interval about a rounding error."""
    frame = rated().assign(**{f"{name}_predicted": 2.9 + number / 7 for number, name in enumerate(ATTRIBUTES)})
    scores, _ = weighted(find_score(metric), frame)
    assert (scores == 0).all()
    assert pooled(frame, metric) == prediction_scores(frame)[metric] == 0


def test_a_concordance_of_nothing_that_varies_is_0():
    assert pooled(rated().assign(valence=2.9), "ccc_valence") == pytest.approx(0, abs=1e-12)
    assert pooled(rated().assign(valence=2.9, valence_predicted=2.9), "ccc_valence") == 0
    assert pooled(rated()[:1], "ccc") == 0
    assert concordance(np.zeros((2, 3, 6))).tolist() == [[0] * 3] * 2


def test_a_concordance_is_no_share_and_every_unit_has_part_in_it():
    """It may be negative, so its interval is Student's and not Wilson's."""
    frame = rated()
    backwards = frame.assign(valence_predicted=8 - frame["valence"])
    assert pooled(backwards, "ccc_valence") < -0.5
    assert not find_score("ccc").share
    assert speaker_sums(frame, find_score("ccc").statistic).units == 60


def test_means_over_folds_are_no_score_of_one_file():
    assert find_score("ccc_fold_mean") is find_score("ccc_valence_fold_mean") is find_score("mae_valence_fold_mean") is None
    assert find_score("dev_ccc") is SCORES["ccc"]


def test_true_attributes_make_the_test_set_of_a_file_without_classes():
    frame, statistic = rated(), find_score("ccc_valence").statistic
    digest = speaker_sums(frame, statistic).digest
    assert digest == speaker_sums(frame.assign(valence_predicted=0.0), statistic).digest
    assert digest == speaker_sums(frame[sorted(frame)], statistic).digest, "whatever the order of the columns"
    for name in ATTRIBUTES:
        assert digest != speaker_sums(frame.assign(**{name: frame[name] + 1e-9}), statistic).digest
    assert digest != speaker_sums(frame[1:], statistic).digest


def test_incomplete_attributes_are_an_error():
    gap = rated().assign(dominance_predicted=lambda frame: frame["dominance_predicted"].where(frame["unit"] != "u3"))
    with pytest.raises(UserError, match="no dominance_predicted or gaps therein, expected complete columns unit, speaker"):
        speaker_sums(gap, find_score("ccc").statistic)
    with pytest.raises(UserError, match="no truth, predicted or gaps therein"):
        speaker_sums(rated(), CONFUSION)


def test_means_of_the_healthy_and_the_depressed_are_numpys_weighted_averages():
    frame = drawn(2, 2).drop(columns="predicted").assign(value=np.random.default_rng(3).normal(3, 1, 60))
    found = {name: weighted(SCORES[name], frame)[0] for name in ("healthy", "depressed", "difference")}
    by_unit = weighted(SCORES["healthy"], frame)[1]
    for replicate, weights in enumerate(by_unit):
        healthy, depressed = (
            np.average(frame["value"][frame["truth"] == truth], weights=weights[frame["truth"] == truth]) for truth in (0, 1)
        )
        assert found["healthy"][replicate] == pytest.approx(healthy)
        assert found["depressed"][replicate] == pytest.approx(depressed)
        assert found["difference"][replicate] == pytest.approx(depressed - healthy)


def test_only_units_of_its_class_have_part_in_the_mean_of_the_healthy():
    frame = drawn(2, 2).assign(value=1.0)
    sizes = {name: speaker_sums(frame, SCORES[name].statistic).sizes for name in ("healthy", "depressed", "difference")}
    assert sizes["healthy"].sum() == (frame["truth"] == 0).sum()
    assert sizes["depressed"].sum() == (frame["truth"] == 1).sum()
    assert np.array_equal(sizes["difference"], np.column_stack([sizes["healthy"][:, 0], sizes["depressed"][:, 0]]))


@pytest.mark.parametrize("classes", [2, 3])
def test_every_score_that_a_classifier_reports_can_be_recomputed(classes):
    frame = drawn(classes, classes)
    told = classification_scores(frame["truth"], frame["predicted"])
    for metric, value in told.items():
        score = find_score(metric)
        assert score.of_sums(speaker_sums(frame, score.statistic).sums.sum(axis=0)) == pytest.approx(value, abs=1e-12)


def test_a_metric_of_the_development_set_is_the_same_score_of_the_other_file():
    assert find_score("dev_f1_positive") is SCORES["f1_positive"]
    assert predictions_file("dev_f1_positive") == "predictions_dev.parquet"
    assert predictions_file("f1_positive") == "predictions.parquet"
    assert find_score("loss") is None


def test_counts_keep_leading_axes():
    assert f1_macro(np.ones((2, 3, 4, 4))).shape == (2, 3)


@pytest.mark.parametrize("metric", ["f1_macro", "mae_valence", "ccc_valence", "difference"])
def test_the_order_of_the_lines_changes_no_bit(metric):
    draw = np.random.default_rng(0)
    frame = drawn(2, 2).assign(valence=draw.normal(size=60), valence_predicted=draw.normal(size=60), value=draw.normal(size=60))
    statistic = find_score(metric).statistic
    sums, shuffled = speaker_sums(frame, statistic), speaker_sums(frame.sample(frac=1, random_state=0), statistic)
    assert sums.speakers == shuffled.speakers
    assert sums.digest == shuffled.digest
    assert np.array_equal(sums.sums, shuffled.sums)


def test_units_speakers_and_labels_make_the_test_set_and_predictions_do_not():
    frame = drawn(3, 3)
    digest = speaker_sums(frame, CONFUSION).digest
    assert digest == speaker_sums(frame.assign(predicted=0), CONFUSION).digest
    assert digest != speaker_sums(frame.assign(truth=0), CONFUSION).digest
    assert digest != speaker_sums(frame[1:], CONFUSION).digest


@pytest.mark.parametrize(
    "bad",
    [
        drawn(2, 2).drop(columns="speaker"),
        drawn(2, 2).assign(speaker=lambda frame: frame["speaker"].where(frame["unit"] != "u3")),
        drawn(2, 2)[:0],
    ],
)
def test_incomplete_predictions_are_an_error(bad):
    with pytest.raises(UserError, match="expected complete columns unit, speaker, truth, predicted"):
        speaker_sums(bad, CONFUSION)
