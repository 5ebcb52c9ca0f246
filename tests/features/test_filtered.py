"""The volatility ahead: it follows each series' own dynamics, reads what it says it reads, and interpolates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features.filtered import KNOTS, MEMORY_YEARS, first_bar, knot_weights, log_volatility, unit


def simulated(reaction, persistence, n_bars=3000, seed=1, falls=0.5):
    """(n_bars,) returns of a GJR-GARCH with a daily volatility of 1 % in the long run, and their true volatilities."""
    shocks = np.random.default_rng(seed).standard_t(6, n_bars) * np.sqrt(4 / 6)
    returns, truth, variance = np.empty(n_bars), np.empty(n_bars), 1e-4
    a, g = reaction * (1 - falls), 2 * reaction * falls
    for bar in range(n_bars):
        truth[bar] = np.sqrt(variance)
        returns[bar] = truth[bar] * shocks[bar]
        push = (a + g * (returns[bar] < 0)) * returns[bar] ** 2
        variance = (1 - persistence) * 1e-4 + push + (persistence - reaction) * variance
    return returns, truth


def error(found, truth):
    """Root mean square of the log of the ratio."""
    return float(np.sqrt(np.mean((found - np.log(truth)) ** 2)))


@pytest.mark.parametrize(("reaction", "persistence"), [(0.04, 0.995), (0.12, 0.95), (0.08, 0.98)])
def test_it_finds_the_dynamics_of_a_series_without_a_fit(reaction, persistence):
    """Within a tenth of the true volatility of the next bar, and nearer than one decay for all series comes."""
    returns, truth = simulated(reaction, persistence)
    rows = np.arange(1500, 2999)
    ahead = log_volatility(returns, rows)[:, KNOTS.index(1)]
    squares = returns**2
    weights = 0.94 ** np.arange(250)
    ewma = np.array([np.sqrt(weights @ squares[row - 249 : row + 1][::-1] / weights.sum()) for row in rows])
    assert error(ahead, truth[rows + 1]) < 0.11
    assert error(ahead, truth[rows + 1]) < 0.95 * error(np.log(ewma), truth[rows + 1])


def test_further_ahead_it_returns_to_the_long_run():
    returns, _ = simulated(0.08, 0.97)
    found = log_volatility(returns, np.arange(1200, 2999))
    spread = found.std(axis=0)
    assert (np.diff(spread) < 0).all()


def test_the_level_of_day_variances_drops_out_but_for_the_first_bars():
    returns, _ = simulated(0.12, 0.97)
    days = returns**2 * np.random.default_rng(2).uniform(0.5, 1.5, len(returns))
    plain, half, *others = (log_volatility(returns, np.arange(1500, 2999), k * days) for k in (1.0, 0.5, 1e-9, 1e9))
    assert_allclose(half, plain, rtol=0, atol=1e-6)
    for other in others:  # beyond a factor of three the share of what ranges see is not believed
        assert np.isfinite(other).all()


def test_a_row_is_the_same_in_any_company():
    returns, _ = simulated(0.08, 0.97, 900)
    together = log_volatility(returns, np.arange(400, 900))
    for at in (0, 250, 499):
        assert_array_equal(log_volatility(returns[: 401 + at], np.array([400 + at])), together[at : at + 1])


def test_the_filter_starts_at_new_year_four_years_before_or_as_far_back_as_it_must():
    days = np.arange(np.datetime64("2000-03-01"), np.datetime64("2012-03-01"))
    row = int(np.searchsorted(days, np.datetime64("2010-07-01")))
    assert days[first_bar(days, row, 300)] == np.datetime64(f"{2010 - MEMORY_YEARS}-01-01")
    assert first_bar(days, int(np.searchsorted(days, np.datetime64("2001-05-01"))), 300) == 0
    gappy = days[(days < np.datetime64("2005-01-01")) | (days >= np.datetime64("2010-01-01"))]
    row = int(np.searchsorted(gappy, np.datetime64("2010-02-01")))
    new_year = int(np.searchsorted(gappy, np.datetime64("2010-01-01")))
    assert first_bar(gappy, row, 300) == new_year - 300


def test_units_between_knots_are_linear_in_log_horizon():
    weights = knot_weights((1, 3, 20, 90))
    assert_allclose(weights.sum(axis=0), 1.0)
    columns = np.log(np.array([[1.0, 2.0, 3.0, 4.0]]))
    share = np.log(3) / np.log(5)
    assert_allclose(unit(columns, weights), [[1.0, 2.0**share, 3.0, 4.0]])
