"""Contract of trainables/features/statistics.py."""

import weakref

import numpy as np
import pytest
import torch

from trainables.features.statistics import statistics_of

ROWS = np.random.default_rng(0).normal((-9, 100, 0), (3, 0.01, 1e-6), (1000, 3)).astype(np.float32)


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_mean_and_deviation_are_those_of_all_rows_whatever_the_pieces(pieces):
    mean, scale = statistics_of(np.array_split(ROWS, pieces))
    assert (mean.dtype, scale.dtype) == (torch.float32, torch.float32)
    expected = ROWS.astype(np.longdouble)
    np.testing.assert_allclose(mean, expected.mean(axis=0).astype(np.float64), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(scale, expected.std(axis=0).astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1234.567, 1e-20])
def test_the_deviation_is_1_where_there_is_none(value):
    mean, scale = statistics_of([np.full((n, 2), value, dtype=np.float32) for n in (1, 999, 20_000)])
    np.testing.assert_allclose(mean, np.float32(value), rtol=1e-6)
    assert scale.tolist() == [1, 1]


def test_no_more_than_two_pieces_are_alive_at_a_time():
    alive = []

    def pieces():
        for start in range(0, len(ROWS), 100):
            piece = ROWS[start : start + 100].astype(np.float64)
            alive.append(weakref.ref(piece))
            yield piece
            assert sum(reference() is not None for reference in alive) <= 2

    statistics_of(pieces())
    assert len(alive) == 10
