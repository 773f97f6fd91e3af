"""Intervals over speakers and seeds, against slow formulations with explicit data frames, and in their limits."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from orchestrator.statistics.resampling import SeedScores, resample, speaker_weights
from orchestrator.statistics.scores import SCORES
from orchestrator.statistics.sums import SpeakerSums, speaker_sums
from orchestrator.statistics.two_level import TwoLevel, effective_speakers, small_sample_correction, two_level
from trainables.errors import UserError


def predictions(speakers: list[int], seed: int, accuracy: float = 0.75) -> pd.DataFrame:
    """Two units of each speaker; even speakers are of class 0."""
    draw = np.random.default_rng(seed)
    speaker = np.repeat(speakers, 2)
    truth = speaker % 2
    right = draw.random(len(speaker)) < accuracy
    names = [f"s{number}" for number in speaker]
    units = [f"{name}-{i % 2}" for i, name in enumerate(names)]
    return pd.DataFrame({"unit": units, "speaker": names, "truth": truth, "predicted": np.where(right, truth, 1 - truth)})


def resampled(frames: list[pd.DataFrame], metric: str = "f1_macro", replicates: int = 2000) -> SeedScores:
    weights = speaker_weights({name for frame in frames for name in frame["speaker"]}, replicates)
    score = SCORES[metric]
    return resample({seed: speaker_sums(frame, score.statistic) for seed, frame in enumerate(frames)}, score, weights)


def test_a_replicate_is_the_score_with_each_unit_weighted_by_its_speaker_alike_in_all_seeds():
    frames = [predictions([0, 1, 2, 3, 4, 5], 0), predictions([3, 4, 5, 6, 7], 1)]
    weights = speaker_weights({f"s{i}" for i in range(8)}, 5)
    scores = resampled(frames, replicates=5)
    for seed, frame in enumerate(frames):
        for replicate in range(5):
            weight = [weights[name][replicate] for name in frame["speaker"]]
            expected = f1_score(frame["truth"], frame["predicted"], average="macro", sample_weight=weight)
            assert scores.replicates[seed, replicate] == pytest.approx(expected, abs=1e-12)


def test_the_weights_of_a_speaker_do_not_depend_on_who_else_is_there():
    assert np.array_equal(speaker_weights({"a"})["a"], speaker_weights({"c", "b", "a"})["a"])
    assert not np.array_equal(speaker_weights({"a"})["a"], speaker_weights({"b"})["b"])


def test_variance_and_degrees_of_freedom_are_those_of_the_formula_written_out():
    frames = [predictions(list(np.random.default_rng(seed).choice(30, 12, replace=False)), seed) for seed in range(5)]
    scores, n = resampled(frames), 5
    star = pd.DataFrame(scores.replicates.T - scores.values)
    factor = small_sample_correction(scores.sums)
    joint, within = factor * star.mean(axis=1).var(), factor * star.sub(star.mean()).var(axis=1).mean()
    s2 = pd.Series(scores.values).var()
    variance = max(joint + max(0, s2 - within) / n, s2 / n)
    estimate = two_level(scores)
    assert estimate.variance == pytest.approx(variance)
    rest = effective_speakers(scores.sums) - 1
    assert estimate.df == pytest.approx(variance**2 / (joint**2 / rest + (s2 / n) ** 2 / (n - 1)))
    half = scipy.stats.t.ppf(0.975, estimate.df) * math.sqrt(variance)
    assert estimate.interval() == pytest.approx((scores.values.mean() - half, scores.values.mean() + half))
    assert estimate.p_value() == pytest.approx(2 * scipy.stats.t.sf(scores.values.mean() / math.sqrt(variance), estimate.df))


def test_with_one_seed_accuracy_has_the_standard_error_of_a_mean_over_speakers():
    """One class, one unit a speaker: the textbook case."""
    right = np.arange(40) % 4 > 0
    frame = pd.DataFrame({"unit": range(40), "speaker": [f"s{i}" for i in range(40)], "truth": 1, "predicted": right.astype(int)})
    estimate = two_level(resampled([frame], "f1_micro", 20_000))
    assert estimate.variance == pytest.approx(right.var(ddof=1) / 40, rel=0.05)
    assert estimate.df == pytest.approx(39)


def test_test_sets_without_a_common_speaker_give_students_t_over_seeds():
    frames = [predictions(list(range(20 * seed, 20 * seed + 20)), seed, 0.5 + 0.05 * seed) for seed in range(8)]
    scores = resampled(frames, "f1_micro")
    estimate, s2 = two_level(scores), scores.values.var(ddof=1)
    assert estimate.variance == pytest.approx(s2 / 8, rel=0.1)
    assert estimate.df == pytest.approx(7, rel=0.1)


def test_seeds_that_all_predict_alike_on_one_test_set_tell_no_more_than_one_seed():
    frame = predictions(list(range(20)), 0)
    one, ten = two_level(resampled([frame])), two_level(resampled([frame] * 10))
    assert ten.variance == pytest.approx(one.variance)
    assert ten.interval_of_share() == pytest.approx(one.interval_of_share(), rel=1e-6)


def test_utterances_of_one_speaker_are_not_independent_evidence():
    frame = predictions(list(range(20)), 0)
    copied = pd.concat([frame.assign(unit=frame["unit"] + f"-{copy}") for copy in range(10)])
    assert asdict(two_level(resampled([copied]))) == pytest.approx(asdict(two_level(resampled([frame]))))


def test_a_single_test_speaker_gives_no_interval():
    assert two_level(resampled([predictions([1], 0), predictions([1, 2], 1)])) is None


def test_two_speakers_give_a_wide_one():
    low, high = two_level(resampled([predictions([1, 2], 3, 0.5)])).interval_of_share()
    assert 0 <= low < 0.1
    assert high > 0.85


def test_the_interval_of_a_share_is_wilsons():
    """With the variance of n independent answers and the normal quantile."""
    for right, n in ((17, 20), (1, 30), (45, 90)):
        share = right / n
        estimate = TwoLevel(mean=share, variance=share * (1 - share) / n, df=1e9, speakers=n)
        wilson = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        assert estimate.interval_of_share() == pytest.approx((wilson.low, wilson.high))


def test_a_perfect_score_of_few_speakers_is_not_certain():
    """Six of each class: what is known of a class, six speakers say."""
    perfect = two_level(resampled([predictions(list(range(12)), seed, 1.0) for seed in range(3)]))
    t = scipy.stats.t.ppf(0.975, 11)
    assert perfect.interval_of_share() == pytest.approx((1 / (1 + t**2 / 6), 1.0))


def test_the_interval_of_an_f1_of_0_holds_the_true_one_of_a_model_that_seldom_says_depressed():
    """14 of 47 are depressed and one in ten is found: in a quarter of draws nobody is, and F1 is 0."""
    depressed, generator, held = np.arange(47) < 14, np.random.default_rng(0), []
    expected = 2 * 1.4 / (1.4 + 0.05 * 33 + 14)
    while len(held) < 10:
        predicted = generator.random(47) < np.where(depressed, 0.1, 0.05)
        frame = pd.DataFrame({"unit": range(47), "speaker": [f"s{i}" for i in range(47)]})
        scores = resampled([frame.assign(truth=depressed.astype(int), predicted=predicted.astype(int))], "f1_positive")
        if scores.values[0] == 0:
            low, high = two_level(scores).interval_of_share()
            held.append(low <= expected <= high)
    assert all(held)


def test_the_effective_number_of_speakers_falls_with_reuse_and_with_unequal_units():
    def counts(units: dict[str, int]) -> SpeakerSums:
        sizes = np.array([[number] for number in units.values()])
        return SpeakerSums(tuple(units), sizes, sizes, "")

    even = counts(dict.fromkeys("abcd", 3))
    assert effective_speakers([even] * 7) == pytest.approx(4)
    assert effective_speakers([counts({"a": 1, "b": 1}), counts({"b": 1, "c": 1})]) == pytest.approx(4**2 / (1 + 4 + 1))
    assert effective_speakers([counts({"a": 8, "b": 1, "c": 1})]) == pytest.approx(100 / 66)


def test_the_small_sample_correction_makes_the_variance_of_an_average_recall_unbiased():
    """Six speakers of one class and four of the other: the mean estimate over many draws is the variance over them."""
    draw, values, estimates = np.random.default_rng(0), [], []
    for number in range(400):
        truth = np.array([0] * 6 + [1] * 4)
        predicted = np.where(draw.random(10) < 0.7, truth, 1 - truth)
        speakers = [f"{number}-{i}" for i in range(10)]
        scores = resampled(
            [pd.DataFrame({"unit": speakers, "speaker": speakers, "truth": truth, "predicted": predicted})], "uar", 200
        )
        values.append(scores.values[0])
        estimates.append(two_level(scores).variance)
    assert np.mean(estimates) == pytest.approx(np.var(values), rel=0.15)
    assert np.mean(estimates) / small_sample_correction(scores.sums) < 0.75 * np.var(values)


def test_a_difference_resamples_both_rows_with_the_same_speakers():
    """A row that is right where the baseline is leaves nothing to vary."""
    frames = [predictions(list(range(20)), seed) for seed in range(3)]
    row, same = resampled(frames), resampled(frames)
    difference = two_level(row.minus(same))
    assert (difference.mean, difference.variance, difference.p_value()) == (0, 0, 1)


def test_differences_are_paired_by_seed():
    frames = [predictions(list(range(20)), seed) for seed in range(4)]
    row = resampled(frames)
    baseline = SeedScores(row.seeds[1:3], row.values[1:3], row.replicates[1:3], row.sums[1:3])
    assert row.minus(baseline).seeds == (1, 2)
    assert not row.minus(baseline).values.any()
    assert row.minus(SeedScores((9,), row.values[:1], row.replicates[:1], row.sums[:1])) is None


@pytest.mark.parametrize(
    "other", [predictions([1, 2, 3, 4], 0), predictions([1, 2, 3], 0).assign(truth=0), predictions([1, 2, 3], 0)[:-1]]
)
def test_other_speakers_labels_or_units_are_not_paired(other):
    with pytest.raises(UserError, match="seed 0 is not paired with the baseline: 6 test units of 3 speakers against"):
        resampled([predictions([1, 2, 3], 0)]).minus(resampled([other]))
