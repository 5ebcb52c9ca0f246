"""Series side by side in the recursion: to the last bit what one row after another of one series alone gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from contracts import Grid
from ensemble.online import SIDE_BY_SIDE, Past, corrections
from ensemble.recursion import LARGEST_LOG_SCALE, replay

GRID = Grid((1, 2, 5, 20), (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99))
MANY_LEVELS = Grid((1, 3), (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99))
RATES = np.array([0.06, 0.04])


def twin(quantiles, outcomes, grid, rates):
    """Row after row as the formulas say it, with quantiles put in order and compared level by level."""
    horizons, levels = np.asarray(grid.horizons), np.asarray(grid.levels)
    lower_90, upper_90, lower_50, upper_50 = (grid.levels.index(level) for level in (0.05, 0.95, 0.25, 0.75))
    scale_rate, shift_rate = rates[0] / np.sqrt(horizons), (rates[1] / np.sqrt(horizons))[:, None]
    median = quantiles[..., [grid.levels.index(0.5)]]
    scale, shift, columns = np.zeros(len(horizons)), np.zeros(grid.shape), np.arange(len(horizons))
    in_force, scales, shifts = np.zeros(quantiles.shape), [], []
    for row in range(len(quantiles)):
        then = row - horizons
        at = np.maximum(then, 0)
        z, was = outcomes[at, columns], in_force[at, columns]
        known = (then >= 0) & ~np.isnan(z)
        miss_90 = (z < was[:, lower_90]) | (z > was[:, upper_90])
        miss_50 = (z < was[:, lower_50]) | (z > was[:, upper_50])
        moved = scale + scale_rate * ((miss_90 - 0.10) + 0.5 * (miss_50 - 0.50))
        scale = np.where(known, np.clip(moved, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE), scale)
        shift = np.where(known[:, None], shift + shift_rate * (levels - (z[:, None] <= was)), shift)
        now = median[row] + (quantiles - median)[row] * np.exp(scale)[:, None] + shift
        in_force[row] = np.sort(now, axis=-1)
        scales.append(scale)
        shifts.append(shift)
    return np.array(scales), np.array(shifts)


def made(seed, n_rows, grid=GRID, holes=0.1, ties=0.2):
    """Forecasts that wander, outcomes of which some are not known, and some lie on a quantile."""
    rng = np.random.default_rng(seed)
    quantiles = rng.standard_normal((n_rows, *grid.shape))
    quantiles[rng.random(n_rows) < ties, :, :2] = 0.3  # two of them are one
    quantiles = np.sort(quantiles, axis=-1)
    outcomes = 2.0 * rng.standard_normal((n_rows, len(grid.horizons)))
    on = rng.random(outcomes.shape) < ties
    outcomes[on] = quantiles[..., rng.integers(grid.shape[1])][on]
    outcomes[rng.random(outcomes.shape) < holes] = np.nan
    return quantiles, outcomes


def assert_is_the_twin(series, grid, rates):
    for found, (quantiles, outcomes) in zip(replay(series, grid, rates), series, strict=True):
        for ours, theirs in zip(found, twin(quantiles, outcomes, grid, rates), strict=True):
            assert_array_equal(ours, theirs)


@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=20, deadline=None)
def test_series_of_any_lengths_side_by_side_are_each_alone_to_the_last_bit(seed, lengths, rates):
    series = [made(seed + i, n_rows) for i, n_rows in enumerate(lengths)]
    assert_is_the_twin(series, GRID, np.array(rates))


@pytest.mark.parametrize("n_series", [1, 2, 16])
def test_a_year_of_many_series_are_each_alone_to_the_last_bit(n_series):
    """Where columns lie in memory, and how many there are, decides which instructions work on them."""
    assert_is_the_twin([made(i, 260 + i) for i in range(n_series)], GRID, RATES)


def test_a_grid_of_many_levels_has_more_ranks_than_a_byte_holds():
    assert_is_the_twin([made(i, 60, MANY_LEVELS) for i in range(3)], MANY_LEVELS, RATES)


def test_outcomes_on_a_quantile_are_told_from_those_beside_it():
    """The first forecast is the quantiles themselves, so that outcomes on them are equal to the last bit."""
    quantiles = np.broadcast_to(np.arange(-4.0, 5.0), (3, *GRID.shape)).copy()
    for value in np.arange(-4.5, 5.0, 0.5):
        assert_is_the_twin([(quantiles, np.full((3, len(GRID.horizons)), value))], GRID, RATES)


def test_rows_that_are_not_wanted_are_left_out():
    series = [made(i, 40 + i) for i in range(3)]
    for whole, late in zip(replay(series, GRID, RATES), replay(series, GRID, RATES, 30), strict=True):
        for every, some in zip(whole, late, strict=True):
            assert_array_equal(some, every[30:])


def test_more_series_than_go_side_by_side_are_corrected_one_as_the_other():
    days = np.busday_offset(np.datetime64("2002-11-01"), np.arange(420)).astype("datetime64[D]")
    pasts = []
    for i in range(SIDE_BY_SIDE + 3):
        quantiles, outcomes = made(i, 400 + i)
        pasts.append(Past(quantiles, outcomes, days[: 400 + i], np.array([i, 200, 399 + i])))  # of three years
    together = corrections(pasts, GRID, RATES)
    for past, found in zip(pasts, together, strict=True):
        (alone,) = corrections([past], GRID, RATES)
        assert_array_equal(found.log_scale, alone.log_scale)
        assert_array_equal(found.shift, alone.shift)
    assert len({found.shift.tobytes() for found in together}) == len(pasts)
