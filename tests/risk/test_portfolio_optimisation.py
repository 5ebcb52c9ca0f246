"""Optimal weights against published ones, other solvers and the conditions of the optimum; walks against a twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.optimize import linprog, minimize
from scipy.spatial.distance import squareform

from risk.covariance import ledoit_wolf, sample_covariance
from risk.optimisation import NoSolution, fitted_weights, optimised, walked
from risk.portfolio import volatility
from risk.portfolio_terms import METHODS, OptimisationTerms
from tests.risk import pyportfolioopt
from tests.risk.markets import correlated, sp500_returns
from tests.risk.pyportfolioopt import matrix, numbers

PLAIN = OptimisationTerms(shrunk=False, cost=0.0)

# Solved with skfolio 1.12.2 on prices_to_returns(load_sp500_dataset()["2014":]), long-only, fully invested; to 0.005.
MINIMUM_VARIANCE = {
    "HD": 0.01255,
    "JNJ": 0.19442,
    "KO": 0.22109,
    "LLY": 0.00159,
    "MRK": 0.10144,
    "PFE": 0.0748,
    "PG": 0.1443,
    "RRC": 0.004,
    "WMT": 0.19269,
    "XOM": 0.05311,
}
MINIMUM_CVAR = {
    "HD": 0.00609,
    "JNJ": 0.11408,
    "KO": 0.16295,
    "LLY": 0.01252,
    "MRK": 0.13678,
    "PFE": 0.13995,
    "PG": 0.19072,
    "RRC": 0.01942,
    "WMT": 0.20047,
    "XOM": 0.01702,
}
RISK_PARITY = {
    "AAPL": 0.04332,
    "AMD": 0.02987,
    "BAC": 0.03666,
    "BBY": 0.03923,
    "CVX": 0.04021,
    "GE": 0.04005,
    "HD": 0.04792,
    "JNJ": 0.06667,
    "JPM": 0.04026,
    "KO": 0.06679,
    "LLY": 0.05497,
    "MRK": 0.06282,
    "MSFT": 0.04326,
    "PEP": 0.06214,
    "PFE": 0.05983,
    "PG": 0.06805,
    "RRC": 0.03198,
    "UNH": 0.04752,
    "WMT": 0.073,
    "XOM": 0.04545,
}


def weights_of(method, returns, terms=PLAIN, held=None):
    held = np.zeros(returns.shape[1]) if held is None else held
    return fitted_weights(method, returns, held, terms)


@pytest.mark.parametrize(
    ("method", "expected", "terms"),
    [
        ("minimum_variance", MINIMUM_VARIANCE, PLAIN),
        ("mean_cvar", MINIMUM_CVAR, OptimisationTerms(shrunk=False, cost=0.0, risk_aversion=1e5)),
        ("risk_parity", RISK_PARITY, PLAIN),
    ],
)
def test_known_weights(method, expected, terms):
    symbols, returns = sp500_returns()
    ours = dict(zip(symbols, weights_of(method, returns, terms), strict=True))
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=0.005)


def returns_with(covariance):
    """(400, n) returns whose sample covariance is this one."""
    scores = np.random.default_rng(0).standard_normal((400, len(covariance)))
    alike, _ = np.linalg.qr(scores - scores.mean(axis=0))
    return np.sqrt(399) * alike @ np.linalg.cholesky(covariance).T


def test_minimum_variance_is_what_pyportfolioopt_published():
    covariance = matrix(pyportfolioopt.COVARIANCE)
    weights = weights_of("minimum_variance", returns_with(covariance / 252))
    assert np.sqrt(weights @ covariance @ weights) == pytest.approx(pyportfolioopt.VOLATILITY, rel=1e-4)
    assert weights @ numbers(pyportfolioopt.MEANS) == pytest.approx(pyportfolioopt.RETURN, rel=1e-4)
    np.testing.assert_allclose(weights, numbers(pyportfolioopt.LEAST_VARIANCE), atol=0.005)


def hierarchical(correlations, covariance, method, optimal_ordering=False):
    """Naive twin of M. Lopez de Prado, "Building diversified portfolios that outperform out of sample" (2016)."""
    distances = squareform(np.sqrt(np.clip((1 - correlations) / 2, 0, 1)), checks=False)
    tree = linkage(distances, method, optimal_ordering=optimal_ordering)
    weights, clusters = np.ones(len(covariance)), [leaves_list(tree)]
    while clusters:
        halves = [(it[: len(it) // 2], it[len(it) // 2 :]) for it in clusters if len(it) > 1]
        for left, right in halves:
            ours, theirs = (_variance(covariance[np.ix_(it, it)]) for it in (left, right))
            weights[left] *= theirs / (ours + theirs)
            weights[right] *= ours / (ours + theirs)
        clusters = [half for pair in halves for half in pair]
    return weights


def _variance(covariance):
    """Of what is held in inverse proportion to its variance."""
    weights = 1 / np.diag(covariance)
    return weights @ covariance @ weights / weights.sum() ** 2


def test_the_twin_of_hierarchical_risk_parity_is_what_pyportfolioopt_published():
    correlations, covariance = matrix(pyportfolioopt.COMMON_CORRELATION), matrix(pyportfolioopt.COMMON_COVARIANCE)
    expected = numbers(pyportfolioopt.HIERARCHICAL)
    np.testing.assert_allclose(hierarchical(correlations, covariance, "single"), expected, rtol=1e-5)


def test_hierarchical_risk_parity_is_that_of_the_twin_with_wards_linkage_and_ordered_leaves():
    _, returns = sp500_returns()
    expected = hierarchical(np.corrcoef(returns.T), sample_covariance(returns), "ward", optimal_ordering=True)
    np.testing.assert_allclose(weights_of("hierarchical_risk_parity", returns), expected, rtol=1e-6)


def test_minimum_variance_is_that_of_another_solver():
    returns = correlated(1)
    covariance = sample_covariance(returns) * 1e4
    found = minimize(
        lambda w: w @ covariance @ w,
        np.full(5, 0.2),
        bounds=[(0.05, 0.5)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-12,
    )
    ours = weights_of("minimum_variance", returns, OptimisationTerms(shrunk=False, min_weight=0.05, max_weight=0.5))
    np.testing.assert_allclose(ours, found.x, atol=1e-3)


def test_shrinkage_is_used_where_it_is_asked_for():
    returns = correlated(2, 60)
    shrunk = weights_of("minimum_variance", returns, OptimisationTerms(shrunk=True))
    covariance, _ = ledoit_wolf(returns)
    ours = shrunk @ covariance @ shrunk
    plain = weights_of("minimum_variance", returns)
    assert ours < plain @ covariance @ plain
    assert not np.allclose(shrunk, plain, atol=1e-3)


def test_risk_parity_gives_every_holding_the_same_part():
    returns = correlated(3)
    parts = volatility(weights_of("risk_parity", returns), sample_covariance(returns))
    np.testing.assert_allclose(parts.shares, 0.2, atol=1e-3)


def test_maximum_diversification_correlates_alike_with_all_that_it_holds():
    returns = correlated(4)
    weights = weights_of("maximum_diversification", returns)
    together = returns @ weights
    held = [np.corrcoef(together, returns[:, at])[0, 1] for at in range(5) if weights[at] > 0.01]
    assert max(held) - min(held) < 1e-3


def test_mean_cvar_is_a_linear_programme():
    """R. T. Rockafellar, S. Uryasev (2000), with costs of trading from what is held; variables w, bought, sold, VaR,
    excesses."""
    returns = correlated(5, 250, 4)
    held = np.array([1.0, 0.0, 0.0, 0.0])
    terms = OptimisationTerms(shrunk=False, cost=0.02, rebalance=50, risk_aversion=0.5)
    n, m = returns.shape
    cost = terms.cost / terms.rebalance
    excess = terms.risk_aversion / (n * 0.05)
    objective = np.concatenate([-returns.mean(axis=0), np.full(2 * m, cost), [terms.risk_aversion], np.full(n, excess)])
    beyond = np.hstack([-returns, np.zeros((n, 2 * m)), -np.ones((n, 1)), -np.eye(n)])
    traded = np.hstack([np.eye(m), -np.eye(m), np.eye(m), np.zeros((m, 1 + n))])
    invested = np.concatenate([np.ones(m), np.zeros(2 * m + 1 + n)])
    found = linprog(
        objective,
        beyond,
        np.zeros(n),
        np.vstack([traded, invested]),
        np.append(held, 1.0),
        bounds=[(0, None)] * 3 * m + [(None, None)] + [(0, None)] * n,
    )
    np.testing.assert_allclose(weights_of("mean_cvar", returns, terms, held), found.x[:m], atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_bounds_are_kept(method):
    weights = weights_of(method, correlated(6), OptimisationTerms(min_weight=0.1, max_weight=0.3))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0.1 - 1e-6
    assert weights.max() <= 0.3 + 1e-6


def test_what_no_solver_can_do_is_said():
    with pytest.raises(NoSolution, match="found no weights"):
        weights_of("minimum_variance", correlated(7), OptimisationTerms(max_weight=0.1))


def test_a_walk_is_what_an_account_would_have_made():
    returns = correlated(8, 200, 3)
    terms = OptimisationTerms(training=80, rebalance=40, cost=0.01)

    def chasing(training, _):
        return np.eye(3)[int(np.argmax(training.mean(axis=0)))] * 0.5 + 0.5 / 3

    walk = walked(chasing, returns, terms)
    cash, units, values, trades = 1.0, np.zeros(3), [1.0], []
    prices = np.vstack([np.ones(3), np.cumprod(1 + returns, axis=0)])
    for start in (80, 120, 160):
        value = cash + units @ prices[start]
        target = chasing(returns[start - 80 : start], None)
        trades.append(np.abs(target * value - units * prices[start]).sum() / value)
        # The account pays the cost out of what it is worth: the rest of it is invested.
        rest = value / (1 + 0.01 * trades[-1])
        units, cash = target * rest / prices[start], 0.0
        values += [float(units @ prices[day]) for day in range(start + 1, start + 41)]
    np.testing.assert_allclose(np.cumprod(1 + walk.returns), values[1:], rtol=1e-9)
    assert walk.turnover == pytest.approx(np.mean(trades[1:]), rel=1e-9)


def test_a_walk_does_not_look_ahead():
    returns, terms = correlated(9, 400, 3), OptimisationTerms(training=100, rebalance=100)
    other = returns.copy()
    other[300:] = other[300:][::-1] * 3
    first, second = (optimised(it, np.full(3, 1 / 3), terms).walks for it in (returns, other))
    for name in first:
        np.testing.assert_array_equal(first[name].returns[:200], second[name].returns[:200])


def test_a_history_too_short_to_walk_still_has_weights():
    found = optimised(correlated(10, 120, 3), np.full(3, 1 / 3), OptimisationTerms(training=100, rebalance=50))
    assert set(found.weights) == set(METHODS)
    assert not found.walks
    assert found.no_walk == "120 common returns are fewer than the 150 that a training and a test of it need"


def test_equal_weights_and_current_ones_are_walked_beside_them():
    found = optimised(correlated(11, 400, 3), np.array([0.2, 0.3, 0.5]), OptimisationTerms(training=100, rebalance=100))
    assert set(found.walks) == {*METHODS, "equal_weight", "current"}
    assert {len(walk.returns) for walk in found.walks.values()} == {300}
    assert (found.refits, found.tested) == (3, 300)
