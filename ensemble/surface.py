"""The forecast distribution at every horizon from 1 to 90 bars, in log returns.

A surface is (n_rows, n_steps, n_levels): quantiles of the cumulative log return, step s is horizon s + 1. It comes
from z quantiles on the grid by linear interpolation in log horizon, and is made monotone both ways: quantiles
increase with the level, and each quantile moves away from the median (never closer) as the horizon grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from contracts import Floats, Grid, Ints
from ensemble.combine import in_order

# Keeps intervals strictly wider with every step even where the members' z quantiles shrink faster than sqrt(h) grows.
SMALLEST_GROWTH = 1e-4
# Adjacent quantiles stay this far apart, in units of volatility: members that tie would give a zero-width interval.
SMALLEST_STEP = 1e-4


def surface(z: Floats, sigma: Floats, grid: Grid, n_steps: int | None = None) -> Floats:
    """(n_rows, n_horizons, n_levels) calibrated z quantiles and (n_rows,) volatility -> (n_rows, n_steps, n_levels).

    Up to the last horizon of the grid, or to ``n_steps``: a shorter surface is the start of a longer one, and only the
    horizons that ``horizons_within`` counts need be there.
    """
    lower, share, unit = _interpolation(grid.horizons, n_steps or grid.horizons[-1])
    middle = grid.levels.index(0.5)
    dense = np.take(z, lower, axis=1) * (1.0 - share)[:, None] + np.take(z, lower + 1, axis=1) * share[:, None]
    scaled = dense * unit
    median = scaled[..., middle : middle + 1]
    spread = _growing(_spaced(scaled - median, middle), middle)
    return (median + spread) * sigma[:, None, None]


def horizons_within(grid: Grid, n_steps: int | None) -> int:
    """How many horizons of the grid, from the first, decide the steps up to ``n_steps``."""
    lower, _, _ = _interpolation(grid.horizons, n_steps or grid.horizons[-1])
    return int(lower[-1]) + 2


def at_level(quantiles: Floats, levels: Sequence[float], level: float) -> Floats:
    """Quantile at any ``level`` within the grid's, linear between neighbours on the normal-score axis.

    (..., n_levels) -> (...,). Exact where the distribution is normal; outside the grid it raises ValueError.
    """
    if not levels[0] <= level <= levels[-1]:
        raise ValueError(f"level {level} is outside {levels[0]} to {levels[-1]}")
    upper, share = _level_position(tuple(levels), level)
    result: Floats = quantiles[..., upper - 1] * (1.0 - share) + quantiles[..., upper] * share
    return result


def at_levels(quantiles: Floats, levels: tuple[float, ...], wanted: tuple[float, ...]) -> Floats:
    """The same for several levels: (..., n_levels) -> (..., n_wanted)."""
    if not levels[0] <= min(wanted) <= max(wanted) <= levels[-1]:
        raise ValueError(f"one of the levels {wanted} is outside {levels[0]} to {levels[-1]}")
    upper, share = _level_positions(levels, wanted)
    result: Floats = quantiles[..., upper - 1] * (1.0 - share) + quantiles[..., upper] * share
    return result


def probability_below(quantiles: Floats, levels: Sequence[float], value: Floats | float) -> Floats:
    """P(return <= value): the inverse of ``at_level``; (..., n_levels) and (...,) -> (...,).

    Beyond the outermost levels the last segment is continued in a straight line on the normal-score axis.
    """
    scores = ndtri(np.asarray(levels))
    position = np.sum(quantiles < np.asarray(value)[..., None], axis=-1)
    upper = np.clip(position, 1, len(levels) - 1)
    left = np.take_along_axis(quantiles, (upper - 1)[..., None], axis=-1)[..., 0]
    right = np.take_along_axis(quantiles, upper[..., None], axis=-1)[..., 0]
    share = (value - left) / np.maximum(right - left, 1e-300)
    result: Floats = ndtr(scores[upper - 1] + share * (scores[upper] - scores[upper - 1]))
    return result


def grid_position(horizons: Sequence[int], steps: Ints) -> tuple[Ints, Floats]:
    """For each step the grid point below it and the share of the way to the next, in log horizon."""
    grid = np.asarray(horizons)
    lower = np.clip(np.searchsorted(grid, steps, side="right") - 1, 0, len(grid) - 2)
    share = np.log(steps / grid[lower]) / np.log(grid[lower + 1] / grid[lower])
    return lower, share


@cache
def _interpolation(horizons: tuple[int, ...], n_steps: int) -> tuple[Ints, Floats, Floats]:
    """Grid positions and shares of steps 1 to n_steps, and (n_steps, 1) square roots of the steps."""
    steps = np.arange(1, n_steps + 1)
    lower, share = grid_position(horizons, steps)
    return lower, share, np.sqrt(steps)[:, None]


@lru_cache(maxsize=256)  # levels come from callers
def _level_position(levels: tuple[float, ...], level: float) -> tuple[int, float]:
    """The grid level above, and the share of the way to it from the one below."""
    scores, score = ndtri(np.asarray(levels)), ndtri(level)
    upper = int(np.clip(np.searchsorted(scores, score), 1, len(levels) - 1))
    return upper, (score - scores[upper - 1]) / (scores[upper] - scores[upper - 1])


@lru_cache(maxsize=256)
def _level_positions(levels: tuple[float, ...], wanted: tuple[float, ...]) -> tuple[Ints, Floats]:
    """The same for several levels: (n_wanted,) each."""
    upper, share = zip(*(_level_position(levels, level) for level in wanted), strict=True)
    return np.array(upper), np.array(share)


def _spaced(spread: Floats, middle: int) -> Floats:
    """Strictly increasing in the level: every quantile at least SMALLEST_STEP further out than its neighbour."""
    steps, _ = _outward(spread.shape[-1], middle)
    ordered = in_order(spread - steps)
    return ordered - ordered[..., middle : middle + 1] + steps


def _growing(spread: Floats, middle: int) -> Floats:
    """Distances from the median that never shrink from one step to the next."""
    growth, (_, sign) = _growth(spread.shape[1]), _outward(spread.shape[-1], middle)
    return np.maximum.accumulate(spread * sign / growth, axis=1) * growth * sign


@cache
def _outward(n_levels: int, middle: int) -> tuple[Floats, Floats]:
    """(n_levels,) smallest distances from the median, negative below it, and signs of the sides."""
    ranks = np.arange(n_levels, dtype=np.float64) - middle
    sides: Floats = np.where(ranks < 0, -1.0, 1.0)
    return ranks * SMALLEST_STEP, sides


@cache
def _growth(n_steps: int) -> Floats:
    """(n_steps, 1) how much further out each step is, at the least, than the first."""
    growth: Floats = np.power(1.0 + SMALLEST_GROWTH, np.arange(n_steps, dtype=np.float64)[:, None])
    return growth
