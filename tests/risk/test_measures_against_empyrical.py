"""empyrical-reloaded as a second opinion, on series that nobody chose."""

from __future__ import annotations

import empyrical  # type: ignore[import-untyped]
import numpy as np
import pytest
from scipy import stats

from risk import benchmark, drawdown, ratios, returns, volatility

SERIES = [(seed, count, year) for seed, (count, year) in enumerate([(30, 252), (250, 252), (1300, 252), (60, 12)])]


def pair(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    theirs = 0.01 * rng.standard_t(4, count)
    return np.maximum(0.7 * theirs + 0.008 * rng.standard_t(5, count), -0.9), theirs


@pytest.mark.parametrize(("seed", "count", "year"), SERIES)
def test_measures_of_one_series(seed: int, count: int, year: int):
    mine, _ = pair(seed, count)
    rate = 0.0001
    gain, fall = returns.annual_return(mine, year), drawdown.max_drawdown(mine)
    below = ratios.downside_deviation(mine, rate, year)
    for ours, theirs in [
        (returns.total_return(mine), empyrical.cum_returns_final(mine)),
        (gain, empyrical.annual_return(mine, annualization=year)),
        (volatility.annual_volatility(mine, year), empyrical.annual_volatility(mine, annualization=year)),
        (ratios.sharpe(mine, rate, year), empyrical.sharpe_ratio(mine, rate, annualization=year)),
        (ratios.sortino(mine, below, rate, year), empyrical.sortino_ratio(mine, rate, annualization=year)),
        (below, empyrical.downside_risk(mine, rate, annualization=year)),
        (ratios.calmar(gain, fall), empyrical.calmar_ratio(mine, annualization=year)),
        (ratios.omega(mine, rate), empyrical.omega_ratio(mine, rate)),
        (ratios.tail_ratio(mine), empyrical.tail_ratio(mine)),
        (fall, empyrical.max_drawdown(mine)),
        (volatility.skew(mine), stats.skew(mine)),
        (volatility.kurtosis(mine), stats.kurtosis(mine)),
    ]:
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("seed", "count", "year"), SERIES)
def test_measures_against_a_benchmark(seed: int, count: int, year: int):
    mine, other = pair(seed, count)
    rate = 0.0001
    active = mine - other
    slope = benchmark.beta(mine, other, rate)
    for ours, theirs in [
        (slope, empyrical.beta(mine, other, rate)),
        (benchmark.alpha(mine, other, slope, rate, year), empyrical.alpha(mine, other, rate, annualization=year)),
        (benchmark.correlation(mine, other), np.corrcoef(mine, other)[0, 1]),
        (benchmark.tracking_error(mine, other, year), empyrical.annual_volatility(active, annualization=year)),
        (benchmark.information_ratio(mine, other, year), empyrical.excess_sharpe(mine, other) * np.sqrt(year)),
    ]:
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("seed", "count"), [(1, 250), (2, 1300)])
def test_capture_ratios(seed: int, count: int):
    mine, other = pair(seed, count)
    up, down = benchmark.up_capture(mine, other, 252), benchmark.down_capture(mine, other, 252)
    assert up == pytest.approx(empyrical.up_capture(mine, other, period="daily"), rel=1e-9)
    assert down == pytest.approx(empyrical.down_capture(mine, other, period="daily"), rel=1e-9)


def test_a_fall_to_nearly_nothing_keeps_its_rate():
    """Its total return rounds to -1."""
    falls = np.full(4000, -0.01)
    assert returns.annual_return(falls, 252) == pytest.approx(0.99**252 - 1, rel=1e-12)
