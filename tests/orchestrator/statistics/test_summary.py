from __future__ import annotations

import math

import numpy
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.statistics import summarize
from trainables.errors import UserError

VALUES = st.lists(st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=2, max_size=12)


def named(values: list[float]) -> dict[str, float]:
    return {f"seed {number}": value for number, value in enumerate(values)}


@given(VALUES)
def test_mean_and_std_and_interval_are_those_of_numpy_and_scipy(values: list[float]) -> None:
    summary = summarize(named(values))
    error = scipy.stats.sem(values)
    low, high = (
        scipy.stats.t.interval(0.95, len(values) - 1, loc=numpy.mean(values), scale=error)
        if error > 0
        else [numpy.mean(values)] * 2
    )
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(numpy.mean(values), rel=1e-9, abs=1e-9)
    assert summary.std == pytest.approx(numpy.std(values, ddof=1), rel=1e-6, abs=1e-9)
    assert (summary.ci_low, summary.ci_high) == (
        pytest.approx(low, rel=1e-6, abs=1e-8),
        pytest.approx(high, rel=1e-6, abs=1e-8),
    )


@given(VALUES)
def test_the_order_of_the_values_does_not_change_a_bit(values: list[float]) -> None:
    assert summarize(named(values)) == summarize(named(values[::-1]))


def test_one_value_has_neither_a_std_nor_an_interval() -> None:
    summary = summarize({"seed 0": 0.5}, scale=100)
    assert (summary.n, summary.mean, summary.std, summary.ci_low, summary.ci_high) == (1, 50.0, None, None, None)


def test_every_value_is_scaled() -> None:
    summary = summarize(named([0.7, 0.8]), scale=100)
    assert summary.mean == pytest.approx(75)
    assert summary.std == pytest.approx(math.sqrt(50))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_an_error_that_names_every_such_trial(bad: float) -> None:
    with pytest.raises(UserError, match=r"(?s)simclr, seed 1 is .*coclr, seed 2 is"):
        summarize({"simclr, seed 1": bad, "simclr, seed 0": 0.5, "coclr, seed 2": bad})
