from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from orchestrator.statistics.comparison import hedges_g, holm, share_superior, sign_flip_floor, sign_flip_p


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10])
def test_the_sign_flip_p_is_the_share_of_all_patterns_at_least_as_extreme(n):
    differences = np.random.default_rng(n).normal(0.02, 0.03, n)
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=n)]
    assert sign_flip_p(differences) == np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)


def test_the_sign_flip_p_is_scipys():
    differences = np.random.default_rng(0).normal(0.5, 1, 9)
    test = scipy.stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences) == pytest.approx(test.pvalue)


def test_equal_sizes_of_differences_are_ties_despite_rounding():
    assert sign_flip_p(np.array([0.1, 0.2, 0.3, -0.6, 0.3 - 0.1])) == sign_flip_p(np.array([1.0, 2, 3, -6, 2]))


def test_more_than_16_seeds_use_random_patterns_that_agree_with_all_of_them_and_never_give_0():
    differences = np.random.default_rng(3).normal(0.4, 1, 17)
    signs = 1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    everything = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(everything, abs=0.006)  # four standard errors of 100,000 draws
    assert sign_flip_p(differences) == sign_flip_p(differences.copy())
    assert sign_flip_p(np.ones(30)) == sign_flip_floor(30) == 1 / 100_001


def test_fewer_than_six_seeds_cannot_be_significant():
    floors = [sign_flip_floor(n) for n in range(1, 17)]
    assert floors == [sign_flip_p(np.ones(n)) for n in range(1, 17)]
    assert [floor < 0.05 for floor in floors[:6]] == [False] * 5 + [True]


def test_no_difference_at_all_has_p_1_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sign_flip_p(np.zeros(10)) == 1
        assert hedges_g(np.zeros(10)) is None
        assert share_superior(np.zeros(10), True) == 0.5


def test_hedges_g_is_the_standardised_mean_with_the_small_sample_correction():
    differences = np.random.default_rng(0).normal(0.5, 1, 10)
    raw = differences.mean() / differences.std(ddof=1)
    assert hedges_g(differences) == pytest.approx(raw * (1 - 3 / (4 * 9 - 1)), rel=1e-3)  # Hedges' approximation


def test_hedges_g_is_unbiased():
    draws = np.random.default_rng(0).normal(0.7, 1, (20_000, 5))
    assert np.mean([hedges_g(each) for each in draws]) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("differences", [[0.1], [0.1, 0.2], [0.1, 0.1, 0.1]])
def test_hedges_g_needs_three_seeds_that_differ(differences):
    assert hedges_g(np.array(differences)) is None


def test_superior_means_better_in_the_metrics_own_direction_and_ties_count_half():
    differences = np.array([0.1, 0.0, -0.2, 0.3])
    assert share_superior(differences, higher_is_better=True) == 2.5 / 4
    assert share_superior(differences, higher_is_better=False) == 1.5 / 4


def test_holm_multiplies_the_least_p_by_all_rows_and_never_reverses_an_order():
    assert holm([0.01, 0.02, 0.04]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([]) == []
    p_values = np.random.default_rng(0).uniform(size=6) ** 3
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])
