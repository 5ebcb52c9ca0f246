"""Covariance and the parts of risk: against scikit-learn, naive twins, and what must add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from risk.covariance import correlation, ledoit_wolf, sample_covariance
from risk.measure import Undefined
from risk.portfolio import Decomposed, diversification_ratio, gaussian_tail, historical_tail, volatility
from risk.tail import empirical, gaussian, historical
from tests.risk.markets import correlated, portfolios, sp500_returns

LEVELS = st.sampled_from([0.9, 0.95, 0.99])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(600, 5), (40, 20), (30, 1), (10, 30)])
def test_ledoit_wolf_is_that_of_scikit_learn(seed, shape):
    returns = correlated(seed, *shape)
    ours, share = ledoit_wolf(returns)
    theirs, their_share = sklearn_ledoit_wolf(returns)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert share == pytest.approx(their_share, rel=1e-10)


def test_ledoit_wolf_of_returns_that_do_not_vary_is_zero():
    covariance, share = ledoit_wolf(np.full((50, 3), 0.01))
    assert np.abs(covariance).max() < 1e-30
    assert 0 <= share <= 1


def test_correlation_of_an_asset_that_does_not_vary_is_unknown():
    returns = correlated(1, n_assets=3)
    returns[:, 1] = 0
    matrix = correlation(sample_covariance(returns))
    assert np.isnan(matrix[1]).all()
    assert matrix[0, 2] == pytest.approx(np.corrcoef(returns[:, 0], returns[:, 2])[0, 1])


def _all_parts(weights, returns, level) -> list[Decomposed]:
    covariance = sample_covariance(returns)
    tails = [
        historical_tail(weights, returns, level),
        gaussian_tail(weights, returns.mean(axis=0), covariance, level, horizon=5),
    ]
    return [
        volatility(weights, covariance),
        *(part for it in tails for part in (it.value_at_risk, it.expected_shortfall)),
    ]


@given(portfolios(), st.sampled_from([0.9, 0.95]))
@settings(max_examples=200, deadline=None)
def test_the_parts_add_up_and_are_weight_times_slope(portfolio, level):
    weights, returns = portfolio
    for parts in _all_parts(weights, returns, level):
        assert parts.components.sum() == pytest.approx(parts.total, rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(parts.components, weights * parts.marginal)
        assert np.nansum(parts.shares) == pytest.approx(1)


@pytest.mark.parametrize("at", range(5))
def test_marginal_is_the_slope_of_the_total(at):
    weights, returns = np.array([0.1, 0.3, 0.2, 0.5, -0.1]), correlated(3)
    step = np.zeros(5)
    step[at] = 1e-7
    for mid, high, low in zip(
        *(_all_parts(w, returns, 0.95) for w in (weights, weights + step, weights - step)), strict=True
    ):
        assert mid.marginal[at] == pytest.approx((high.total - low.total) / 2e-7, rel=1e-5, abs=1e-7)


@given(portfolios(), LEVELS)
@settings(max_examples=100, deadline=None)
def test_the_totals_are_those_of_the_portfolio_as_one_asset(portfolio, level):
    weights, returns = portfolio
    together = returns @ weights
    covariance = sample_covariance(returns)
    spread = np.std(together, ddof=1)
    assert volatility(weights, covariance).total == pytest.approx(spread)
    normal = gaussian_tail(weights, returns.mean(axis=0), covariance, level, horizon=3)
    expected = gaussian(float(together.mean()), float(spread), level, horizon=3)
    assert normal.value_at_risk.total == pytest.approx(expected.value_at_risk, abs=1e-12)
    assert normal.expected_shortfall.total == pytest.approx(expected.expected_shortfall, abs=1e-12)
    past = historical_tail(weights, returns, level) if len(returns) * (1 - level) >= 1 else None
    if past is not None:
        assert past.value_at_risk.total == pytest.approx(empirical(together, level).value_at_risk, abs=1e-12)
        assert past.expected_shortfall.total == pytest.approx(empirical(together, level).expected_shortfall, abs=1e-12)


def test_over_several_days_it_scales_as_for_one_asset():
    weights, returns = np.array([1.0]), correlated(4, n_assets=1)
    expected = historical(returns[:, 0], 0.99, 10)
    tail = historical_tail(weights, returns, 0.99, 10)
    assert tail.value_at_risk.total == pytest.approx(expected.value_at_risk)
    assert tail.expected_shortfall.total == pytest.approx(expected.expected_shortfall)


@given(portfolios())
@settings(max_examples=100, deadline=None)
def test_shortfall_is_beyond_value_at_risk_which_grows_with_the_level(portfolio):
    weights, returns = portfolio
    covariance, mean = sample_covariance(returns), returns.mean(axis=0)
    for tails in (
        [historical_tail(weights, returns, level) for level in (0.9, 0.95, 0.99)],
        [gaussian_tail(weights, mean, covariance, level) for level in (0.9, 0.95, 0.99)],
    ):
        at_risk = [tail.value_at_risk.total for tail in tails]
        assert at_risk == sorted(at_risk)
        assert all(tail.expected_shortfall.total >= tail.value_at_risk.total - 1e-12 for tail in tails)


def test_too_few_returns_for_the_level_are_refused():
    with pytest.raises(Undefined, match="60 returns are too few"):
        historical_tail(np.array([1.0]), correlated(1, 60, 1), 0.99)


def test_holdings_that_cancel_have_no_volatility():
    returns = np.repeat(correlated(1, n_assets=1), 2, axis=1)
    with pytest.raises(Undefined, match="do not vary"):
        volatility(np.array([1.0, -1.0]), sample_covariance(returns))


def test_diversification_is_1_for_one_holding_and_grows_with_independent_ones():
    one = sample_covariance(correlated(1, n_assets=1))
    assert diversification_ratio(np.array([1.0]), one) == pytest.approx(1)
    assert diversification_ratio(np.full(16, 1 / 16), np.eye(16)) == pytest.approx(4)


def test_real_shares_diversify():
    _, returns = sp500_returns()
    covariance = sample_covariance(returns)
    assert volatility(np.full(20, 0.05), covariance).total < np.sqrt(np.diag(covariance)).mean()
    # Weights of equal volatility, solved with skfolio 1.12.2 (InverseVolatility) on the same returns.
    inverse = 1 / np.sqrt(np.diag(covariance))
    assert (inverse / inverse.sum())[:3] == pytest.approx([0.04474, 0.022, 0.04142], abs=5e-5)
