"""Filtered variance and simulated quantiles, against slow twins and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backtest.dynamics import (
    Dynamics,
    SimulatedQuantiles,
    cumulative_returns,
    expected_volatility,
    next_variances,
)
from tests.features.series import returns_like_prices

GJR = Dynamics(mean=0.0004, omega=2e-6, alpha=0.04, gamma=0.08, beta=0.9)
HORIZONS = np.array([1, 5, 20])
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
RETURNS = returns_like_prices(600)


def normal_innovations(n_paths=20_000, seed=3):
    half = np.random.default_rng(seed).standard_normal((20, n_paths // 2))
    return np.concatenate([half, -half], axis=1)


def test_the_filter_equals_a_slow_twin():
    head = [(each - GJR.mean) ** 2 for each in RETURNS[:75]]
    weights = [0.94**i for i in range(75)]
    backcast = sum(w * h for w, h in zip(weights, head, strict=True)) / sum(weights)
    variance = GJR.omega + (0.04 + 0.08 / 2 + 0.9) * backcast
    twin = [variance]
    for each in RETURNS:
        shock = each - GJR.mean
        variance = GJR.omega + (0.04 + (0.08 if shock < 0 else 0.0)) * shock**2 + 0.9 * variance
        twin.append(variance)
    assert_allclose(next_variances(RETURNS, GJR), twin, rtol=1e-12)


def test_a_variance_is_known_one_bar_before():
    changed = RETURNS.copy()
    changed[300] *= 5
    ours, theirs = next_variances(RETURNS, GJR), next_variances(changed, GJR)
    assert_allclose(ours[:301], theirs[:301], rtol=0, atol=0)
    assert theirs[301] > ours[301]


def test_the_expected_variance_of_a_sum_is_the_sum_of_the_expected_variances():
    starts = np.array([1e-5, 4e-4])
    for i, start in enumerate(starts):
        path = [start]
        for _ in range(19):
            path.append(GJR.omega + (0.04 + 0.04 + 0.9) * path[-1])
        twin = [np.sqrt(sum(path[:horizon])) for horizon in HORIZONS]
        assert_allclose(expected_volatility(GJR, starts, HORIZONS)[i], twin, rtol=1e-12)


@pytest.mark.statistical
def test_simulated_returns_have_the_expected_mean_and_variance():
    starts = np.array([5e-5, 4e-4])
    paths = cumulative_returns(GJR, starts, normal_innovations(100_000), HORIZONS)
    assert_allclose(paths.mean(axis=-1), np.tile(GJR.mean * HORIZONS, (2, 1)), atol=2e-4)
    assert_allclose(paths.std(axis=-1), expected_volatility(GJR, starts, HORIZONS), rtol=0.02)


def test_falls_raise_the_variance_of_gjr_and_skew_it_to_the_left():
    paths = cumulative_returns(GJR, np.array([1e-4]), normal_innovations(), HORIZONS)[0, -1]
    lower, upper = np.quantile(paths - np.median(paths), [0.02, 0.98])
    assert -lower > 1.05 * upper


def test_interpolation_between_starting_variances_equals_a_simulation_from_there():
    usual, innovations = np.geomspace(2e-5, 8e-4, 50), normal_innovations()
    simulated = SimulatedQuantiles(GJR, usual, innovations, HORIZONS, LEVELS)
    variances = np.array([3.3e-5, 1.7e-4, 6e-4])
    direct = np.quantile(cumulative_returns(GJR, variances, innovations, HORIZONS), LEVELS, axis=-1)
    unit = expected_volatility(GJR, variances, HORIZONS)[..., None]
    assert_allclose(simulated.at(variances) / unit, np.moveaxis(direct, 0, -1) / unit, atol=0.004)


def test_far_from_the_usual_variance_the_expected_volatility_alone_scales():
    simulated = SimulatedQuantiles(GJR, np.geomspace(2e-5, 8e-4, 50), normal_innovations(), HORIZONS, LEVELS)
    far = np.array([0.01, 0.04])
    drift = GJR.mean * HORIZONS[:, None]
    shapes = (simulated.at(far) - drift) / expected_volatility(GJR, far, HORIZONS)[..., None]
    assert_allclose(shapes[0], shapes[1], rtol=1e-12)
