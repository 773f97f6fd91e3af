from __future__ import annotations

import math

import pytest
import scipy.stats

from orchestrator.statistics.equivalence import equivalence_p
from orchestrator.statistics.summary import Summary
from search_spaces.table import Published


def measured(mean: float, std: float | None, n: int) -> Summary:
    return Summary(n, mean, std, None, None)


@pytest.mark.parametrize("mean", [0.70, 0.745, 0.7656, 0.79])
def test_it_is_the_larger_of_two_one_sided_welch_tests_with_the_published_std_as_margin(mean):
    ours, paper = (100 * mean, 1.8, 8), (76.56, 2.11, 10)
    variances = [std**2 / n for _, std, n in (ours, paper)]
    error = math.sqrt(sum(variances))
    df = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, (_, _, n) in zip(variances, (ours, paper), strict=True))
    gap = ours[0] - paper[0]
    expected = max(scipy.stats.t.sf((gap + 2.11) / error, df), scipy.stats.t.cdf((gap - 2.11) / error, df))
    assert equivalence_p(measured(mean, 0.018, 8), Published(mean=76.56, std=2.11, runs=10), 100) == pytest.approx(expected)


def test_the_same_mean_with_ten_runs_each_is_equivalent_and_two_stds_off_is_not():
    paper = Published(mean=76.0, std=2.0, runs=10)
    assert equivalence_p(measured(76.0, 2.0, 10), paper) < 0.05
    assert equivalence_p(measured(80.0, 2.0, 10), paper) > 0.95


@pytest.mark.parametrize(
    "paper", [Published(mean=1), Published(mean=1, std=1), Published(mean=1, std=1, runs=1), Published(mean=1, std=0, runs=9)]
)
def test_without_a_published_std_and_two_runs_it_cannot_be_known(paper):
    assert equivalence_p(measured(1.0, 1.0, 10), paper) is None


def test_nor_with_one_seed():
    assert equivalence_p(measured(1.0, None, 1), Published(mean=1, std=1, runs=10)) is None
