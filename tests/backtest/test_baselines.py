"""What a forecast has to beat knows nothing that the forecast does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from backtest.baselines import REFIT_EVERY, ewma_gaussian, random_walk
from features.build import history_inputs
from tests.features.series import made_bars, wandering_bars

CLOSES = wandering_bars(500).close
HORIZONS = np.array([1, 5, 20])
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@pytest.mark.parametrize("row", [314, 335, 336, 350, 460])
def test_the_random_walk_equals_a_slow_twin(row):
    last = row - row % REFIT_EVERY
    got = random_walk(CLOSES, np.array([row]), HORIZONS, LEVELS)[0]
    for j, horizon in enumerate(HORIZONS):
        complete = [np.log(CLOSES[t + horizon] / CLOSES[t]) for t in range(last + 1 - horizon)]
        assert_allclose(got[j], np.quantile(complete, LEVELS), rtol=0, atol=1e-12)


@given(row=st.integers(314, 498), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_the_random_walk_sees_no_future(row, seed):
    changed = CLOSES.copy()
    changed[row + 1 :] *= np.exp(np.random.default_rng(seed).standard_normal(len(changed) - row - 1))
    rows = np.array([row])
    assert_array_equal(random_walk(changed, rows, HORIZONS, LEVELS), random_walk(CLOSES, rows, HORIZONS, LEVELS))


def test_the_random_walk_sees_the_recent_past():
    rows, changed = np.array([336 + 15]), CLOSES.copy()
    changed[336] *= 2
    assert (random_walk(changed, rows, HORIZONS, LEVELS) != random_walk(CLOSES, rows, HORIZONS, LEVELS)).any()


def test_a_row_of_the_random_walk_does_not_depend_on_the_others():
    rows = np.arange(314, 500)
    together = random_walk(CLOSES, rows, HORIZONS, LEVELS)
    assert together.shape == (len(rows), 3, 5)
    for i in (0, 50, 185):
        assert_array_equal(random_walk(CLOSES, rows[i : i + 1], HORIZONS, LEVELS)[0], together[i])


def test_ewma_is_normal_around_nothing_with_the_root_of_the_horizon():
    sigma = np.array([0.01, 0.03])
    got = ewma_gaussian(sigma, HORIZONS, LEVELS)
    for row, j, q in np.ndindex(got.shape):
        twin = norm.ppf(LEVELS[q], scale=sigma[row] * HORIZONS[j] ** 0.5)
        assert got[row, j, q] == pytest.approx(twin, abs=1e-15)


def test_ewma_sees_no_future():
    bars, cut = wandering_bars(380), 350
    changed = bars.close.copy()
    changed[cut:] *= 0.5
    ours, theirs = (history_inputs(made_bars(closes))[0].sigma for closes in (bars.close, changed))
    known = slice(0, cut - 314)
    assert_array_equal(ewma_gaussian(ours[known], HORIZONS, LEVELS), ewma_gaussian(theirs[known], HORIZONS, LEVELS))
    assert (ours != theirs).any()
