"""How fast the correction by recent outcomes mends a forecaster, and what it costs one that needs none."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import ndtri

from contracts import Grid
from ensemble.online import Correction, Past, corrected, corrections
from training.calibrate import OTHER_RATES, STOCK_RATES

pytestmark = pytest.mark.statistical

GRID = Grid((1, 5, 20), (0.05, 0.25, 0.5, 0.75, 0.95))
N_BARS, RUNS = 520, 40
DAYS = np.busday_offset(np.datetime64("2003-01-01"), np.arange(N_BARS)).astype("datetime64[D]")
NEVER = Correction(np.zeros((N_BARS, 3)), np.zeros((N_BARS, 3, 5)))


def forecasts(scale, centre):
    """(n_bars, n_horizons, n_levels) the same normal quantiles every day."""
    return np.broadcast_to(centre + scale * ndtri(np.array(GRID.levels)), (N_BARS, *GRID.shape)).copy()


def outcomes(seed):
    """(n_bars, n_horizons) overlapping sums of the same normal news, in units of their own deviation."""
    total = np.concatenate([[0.0], np.cumsum(np.random.default_rng(seed).standard_normal(N_BARS + 20))])
    bars = np.arange(N_BARS)
    return np.stack([(total[bars + h] - total[bars]) / np.sqrt(h) for h in GRID.horizons], axis=1)


def learned(quantiles, z, rates):
    """What is in force at every bar."""
    (found,) = corrections([Past(quantiles, z, DAYS, np.arange(N_BARS))], GRID, np.array(rates))
    return found


@cache
def ranks(scale, centre, rates):
    """(n_runs, n_bars, n_horizons) how many of the quantiles in force lie below the outcome."""
    found = []
    for seed in range(RUNS):
        quantiles, z = forecasts(scale, centre), outcomes(seed)
        correction = learned(quantiles, z, rates) if rates else NEVER
        found.append((corrected(quantiles, correction, GRID) <= z[..., None]).sum(axis=-1))
    return np.array(found)


def covered(scale, rates, first=0, lower=0, upper=4, centre=0.0):
    """(n_horizons,) share of outcomes between two quantiles from bar ``first`` on, over all runs."""
    found = ranks(scale, centre, rates)[:, first:]
    return ((found > lower) & (found <= upper)).mean(axis=(0, 1))


@pytest.mark.parametrize(("rates", "shares"), [(STOCK_RATES, (0.5, 0.75, 0.9)), (OTHER_RATES, (0.17, 0.45, 0.75))])
def test_a_forecaster_whose_sigma_is_30_percent_too_small_is_mended(rates, shares):
    """One bar ahead nine tenths of the gap are closed after 375 bars, of shares, whose volatility the members were
    taught, half of it. Longer horizons take longer, because their outcomes overlap and their rates are smaller."""
    gap = 0.90 - covered(0.7, None, 375)
    left = 0.90 - covered(0.7, rates, 375)
    assert gap == pytest.approx([0.15, 0.15, 0.15], abs=0.015)
    assert (left < np.array(shares) * gap).all()
    assert (left > -0.015).all()  # nothing is overdone


@pytest.mark.parametrize("rates", [STOCK_RATES, OTHER_RATES])
def test_one_that_is_right_is_left_alone(rates):
    assert covered(1.0, rates) == pytest.approx([0.90] * 3, abs=0.012)
    assert covered(1.0, rates, 0, 1, 3) == pytest.approx([0.50] * 3, abs=0.02)


def test_a_forecaster_that_leans_is_set_upright():
    below_before = covered(1.0, None, 375, 0, 2, centre=0.3)[0]  # between the 5 % quantile and the median
    below = covered(1.0, STOCK_RATES, 375, 0, 2, centre=0.3)[0]
    assert below_before == pytest.approx(0.53, abs=0.02)
    assert below == pytest.approx(0.45, abs=0.03)
