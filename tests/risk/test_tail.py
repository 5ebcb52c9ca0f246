"""Value at risk and expected shortfall: closed forms against integrals, what must always hold, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats

from backtest.dynamics import Dynamics
from risk.gjr import fitted, refit_places
from risk.measure import Undefined
from risk.methods import methods_for
from risk.rolling import rolling_quantile
from risk.tail import (
    LOWEST_LEVEL,
    Tail,
    cornish_fisher,
    corrected_quantile,
    empirical,
    from_quantiles,
    gaussian,
    historical,
    levels_of_tail,
    paths,
    simulated,
    tail_is_increasing,
)
from tests.risk.series import SP500, fat_tailed

LEVELS = (0.9, 0.95, 0.975, 0.99, 0.995)
RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=200, max_size=400).map(np.array)
FITS = fitted(SP500, refit_places(len(SP500), 250))


@pytest.mark.parametrize("level", LEVELS)
def test_gaussian_shortfall_is_the_mean_of_the_tail(level: float):
    tail = gaussian(0.001, 0.02, level)
    share = 1 - level
    mean, _ = integrate.quad(lambda u: stats.norm.ppf(u, 0.001, 0.02), 0, share)
    assert tail.value_at_risk == pytest.approx(-stats.norm.ppf(share, 0.001, 0.02))
    assert tail.expected_shortfall == pytest.approx(-mean / share)


@pytest.mark.parametrize("level", LEVELS)
def test_cornish_fisher_shortfall_is_the_mean_of_its_quantiles(level: float):
    returns = fat_tailed(500, seed=3)
    share, s, k = 1 - level, float(stats.skew(returns)), float(stats.kurtosis(returns))
    scores, _ = integrate.quad(lambda u: corrected_quantile(float(stats.norm.ppf(u)), s, k), 0, share)
    tail = cornish_fisher(returns, level)
    mean, spread = returns.mean(), returns.std(ddof=1)
    assert tail.value_at_risk == pytest.approx(-(mean + spread * corrected_quantile(stats.norm.ppf(share), s, k)))
    assert tail.expected_shortfall == pytest.approx(-(mean + spread * scores / share), rel=1e-6)


def test_cornish_fisher_of_normal_returns_is_gaussian():
    returns = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000) * 0.01
    for level in LEVELS:
        ours, normal = cornish_fisher(returns, level), gaussian(returns.mean(), returns.std(ddof=1), level)
        assert ours.value_at_risk == pytest.approx(normal.value_at_risk, rel=1e-3)
        assert ours.expected_shortfall == pytest.approx(normal.expected_shortfall, rel=1e-3)


@given(st.floats(-3, 3), st.floats(-1.5, 20), st.sampled_from(LEVELS))
def test_the_tail_increases_where_it_is_said_to(s: float, k: float, level: float):
    z = float(stats.norm.ppf(1 - level))
    scores = np.linspace(-4.0, z, 400)
    steps = np.diff([corrected_quantile(float(score), s, k) for score in scores])
    if tail_is_increasing(z, s, k):
        assert (steps > 0).all()
    else:
        assert steps.min() < 1e-6


def test_cornish_fisher_refuses_what_it_cannot_describe():
    crash = np.append(fat_tailed(100, scale=0.001), -0.9)
    with pytest.raises(Undefined, match="beyond what the Cornish-Fisher expansion can describe"):
        cornish_fisher(crash, 0.99)


def test_historical_counts_by_hand():
    returns = np.arange(-50, 50) / 100
    tail = historical(returns, 0.95)
    assert tail.value_at_risk == pytest.approx(0.4505)
    assert tail.expected_shortfall == pytest.approx(np.mean([0.5, 0.49, 0.48, 0.47, 0.46]))
    assert historical(returns, 0.95, horizon=4).value_at_risk == pytest.approx(2 * 0.4505)


def test_a_loss_that_is_too_rare_to_have_been_seen_is_not_read_from_the_past():
    with pytest.raises(Undefined, match="met once in 100 periods cannot be read from 99 returns"):
        historical(fat_tailed(99), 0.99)
    assert historical(fat_tailed(100), 0.99).value_at_risk > 0


def estimates(returns: np.ndarray, level: float, horizon: int = 1) -> dict[str, Tail]:
    found = {}
    for method in methods_for(returns, len(returns), FITS if returns is SP500 else "none"):
        try:
            found[method.name] = method.estimate(level, horizon)
        except Undefined:
            continue
    return found


@given(RETURNS)
def test_var_grows_with_the_level_and_shortfall_is_never_smaller(returns: np.ndarray):
    assume(np.std(returns) > 1e-3)
    before: dict[str, float] = {}
    for level in (0.9, 0.95, 0.975, 0.99):
        for name, tail in estimates(returns, level).items():
            assert tail.expected_shortfall >= tail.value_at_risk - 1e-12
            assert tail.value_at_risk >= before.get(name, -np.inf) - 1e-12, name
            before[name] = tail.value_at_risk


@given(RETURNS, st.floats(0.01, 1.9))
def test_returns_that_are_scaled_scale_the_risk(returns: np.ndarray, factor: float):
    assume(np.std(returns) > 1e-3)
    for name, tail in estimates(returns, 0.95).items():
        scaled = estimates(returns * factor, 0.95)[name]
        assert scaled.value_at_risk == pytest.approx(factor * tail.value_at_risk, rel=1e-6, abs=1e-9), name
        assert scaled.expected_shortfall == pytest.approx(factor * tail.expected_shortfall, rel=1e-6, abs=1e-9), name


def test_every_method_answers_for_the_sp500_at_every_horizon_and_more_of_it_for_longer():
    for level in LEVELS:
        days = [estimates(SP500, level, horizon) for horizon in (1, 5, 20, 90)]
        assert len(days[0]) == 6
        for name in days[0]:
            losses = [day[name].value_at_risk for day in days if name in day]
            assert losses == sorted(losses), name
            assert 0 < losses[0] < losses[-1] < 1.5
        assert estimates(SP500, level, 20) == days[2], "the same question has the same answer"


def test_simulated_paths_of_constant_volatility_are_what_theory_says():
    residuals = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    steady = Dynamics(0.0, 1e-4, 0.0, 0.0, 0.0)
    reached = np.log1p(paths(residuals, 1e-4, 10, steady))
    assert np.std(reached) == pytest.approx(0.01 * np.sqrt(10), rel=0.03)
    assert simulated(residuals, 1e-4, 0.95, 1, steady).value_at_risk == pytest.approx(0.01645, rel=0.01)


def test_simulated_volatility_moves_with_the_shocks():
    residuals = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    steady, moving = Dynamics(0.0, 1e-4, 0.0, 0.0, 0.0), Dynamics(0.0, 2e-6, 0.03, 0.15, 0.875)
    fat = [stats.kurtosis(np.log1p(paths(residuals, 1e-4, 20, each))) for each in (steady, moving)]
    assert fat[1] > fat[0] + 0.3


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.995])
def test_the_tail_of_a_forecast_is_that_of_its_distribution(level: float):
    quantiles = [float(stats.norm.ppf(each)) for each in levels_of_tail(level)]
    tail, expected = from_quantiles(level, quantiles), gaussian(0.0, 1.0, level)
    assert tail.value_at_risk == pytest.approx(expected.value_at_risk)
    assert tail.expected_shortfall == pytest.approx(expected.expected_shortfall, rel=0.02)


def test_a_forecast_says_nothing_beyond_its_lowest_quantile():
    assert min(levels_of_tail(0.95)) == LOWEST_LEVEL
    with pytest.raises(Undefined, match=r"up to 0\.995"):
        levels_of_tail(0.999)


@pytest.mark.parametrize("window", [1, 2, 7, 100, 250])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_rolling_quantiles_are_those_of_numpy(window: int, share: float):
    values = fat_tailed(400, seed=window)
    runs = np.lib.stride_tricks.sliding_window_view(values, window)
    assert rolling_quantile(values, window, share) == pytest.approx(np.quantile(runs, share, axis=1), abs=1e-15)


def test_shortfall_of_equal_returns_is_their_value_at_risk():
    tail = empirical(np.full(50, -0.013), 0.95)
    assert tail.value_at_risk == pytest.approx(0.013)
    assert tail.expected_shortfall == pytest.approx(0.013)
