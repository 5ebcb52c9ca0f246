"""Naive twins: the same, slowly and obviously."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from risk.drawdown import worst_drawdown
from risk.gjr import Fits, filtered, fitted, garch_volatility, refit_places
from risk.measure import Undefined
from risk.volatility import SEED_RETURNS, ewma_variances, rolling_moments, rolling_volatility
from tests.risk.series import SP500, fat_tailed

RETURNS = st.lists(st.sampled_from([-0.5, -0.2, -0.1, 0.0, 0.1, 0.25, 1.0]), min_size=1, max_size=40)


def test_ewma_is_its_recursion():
    returns = fat_tailed(300)
    variance = float(np.mean(returns[:SEED_RETURNS] ** 2))
    expected = [variance]
    for each in returns:
        variance = 0.94 * variance + 0.06 * each**2
        expected.append(variance)
    assert ewma_variances(returns) == pytest.approx(expected)


def test_rolling_moments_are_those_of_each_window():
    returns = fat_tailed(400)
    for window in (5, 60, 250):
        runs = np.lib.stride_tricks.sliding_window_view(returns, window)
        twins = (runs.mean(axis=1), runs.var(axis=1), stats.skew(runs, axis=1), stats.kurtosis(runs, axis=1))
        for ours, expected in zip(rolling_moments(returns, window), twins, strict=True):
            assert ours == pytest.approx(expected, rel=1e-7, abs=1e-9)
        assert rolling_volatility(returns, window) == pytest.approx(runs.std(axis=1, ddof=1))


def test_moments_of_a_run_that_does_not_vary_are_none():
    returns = np.concatenate([fat_tailed(50), np.zeros(50)])
    _, variance, skews, tails = rolling_moments(returns, 10)
    assert (variance[-5:] == 0).all()
    assert np.isnan(skews[-5:]).all()
    assert np.isnan(tails[-5:]).all()


@given(RETURNS)
def test_the_worst_drawdown_is_the_one_found_by_looking_at_every_pair_of_days(returns: list[float]):
    value = np.cumprod([1.0, *(1 + each for each in returns)])
    depth = min(value[j] / value[i] - 1 for j in range(len(value)) for i in range(j + 1))
    found = worst_drawdown(np.array(returns))
    assert found.depth == pytest.approx(depth, abs=1e-12)
    assert value[found.trough] / value[found.peak] - 1 == pytest.approx(depth, abs=1e-12)
    assert found.peak <= found.trough
    if found.recovery is not None:
        assert value[found.recovery] >= value[found.peak] * (1 - 1e-12)
        assert (value[found.peak + 1 : found.recovery] < value[found.peak] * (1 + 1e-12)).all()


@given(RETURNS)
def test_the_longest_drawdown_is_the_longest_run_without_a_new_high(returns: list[float]):
    value = np.cumprod([1.0, *(1 + each for each in returns)])
    below = value / np.maximum.accumulate(value) - 1.0
    longest, start = 0, 0
    for day in range(1, len(value)):
        if below[day] >= 0:
            longest, start = max(longest, day - start if day - start > 1 else 0), day
    longest = max(longest, len(value) - 1 - start)
    assert worst_drawdown(np.array(returns)).longest == longest


def test_a_drawdown_told_by_hand():
    found = worst_drawdown(np.array([0.1, -0.5, 0.2, 1.0, -0.1, -0.1, 0.05]))
    assert found.depth == pytest.approx(-0.5)
    assert (found.peak, found.trough, found.recovery) == (1, 2, 4)
    assert (found.longest, found.longest_start, found.longest_end, found.longest_over) == (3, 1, 4, True)


def test_rising_returns_have_no_drawdown():
    found = worst_drawdown(np.array([0.1, 0.0, 0.2]))
    assert (found.depth, found.peak, found.trough, found.recovery, found.longest) == (0.0, 0, 0, None, 0)


def test_refits_come_every_250_returns_and_no_new_day_moves_one():
    assert refit_places(499, 100) == ()
    assert refit_places(500, 250) == (500,)
    assert refit_places(1300, 250) == (1000, 1250)
    assert refit_places(5030, 4030) == tuple(range(1000, 5001, 250))
    assert refit_places(5031, 4030) == tuple(range(1000, 5001, 250))


def test_garch_volatility_is_that_of_arch():
    from arch import arch_model

    returns = SP500[-2500:]
    result = arch_model(100 * returns, dist="t", rescale=False).fit(disp="off")
    expected = np.sqrt(result.forecast(horizon=1).variance.to_numpy()[-1, 0] * 252) / 100
    fits = fitted(SP500, ())
    assert garch_volatility(SP500, fits, 252) == pytest.approx(expected, rel=0.005)


def test_a_refit_knows_nothing_of_what_comes_after_it():
    changed = SP500.copy()
    changed[1000:] *= -3
    assert fitted(SP500, (750, 1000)).gjr == fitted(changed, (750, 1000)).gjr


def test_filtering_leaves_residuals_without_the_volatility():
    part = filtered(SP500, fitted(SP500, (2500,)).gjr[0], 5000)
    assert part.start == 0
    assert len(part.variances) == len(part.residuals) + 1 == 5001
    assert np.std(part.residuals) == pytest.approx(1.0, abs=0.1)
    squares = part.residuals**2
    assert abs(np.corrcoef(squares[1:], squares[:-1])[0, 1]) < 0.1 < np.corrcoef(SP500[1:] ** 2, SP500[:-1] ** 2)[0, 1]


def test_without_fits_there_is_a_reason():
    with pytest.raises(Undefined, match="at least 500 returns, has 100"):
        garch_volatility(SP500[:100], Fits((), None), 252)
    flat = fitted(np.zeros(600), (500,))
    assert flat.gjr == ()
    with pytest.raises(Undefined, match="never moved"):
        garch_volatility(np.zeros(600), flat, 252)
