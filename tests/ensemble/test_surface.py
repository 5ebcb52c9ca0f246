"""Every horizon and level from a few: monotone both ways, faithful to the grid, blind to other rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr, ndtri

from contracts import Grid
from ensemble.surface import SMALLEST_STEP, at_level, probability_below, surface
from tests.ensemble.model_sets import GRID, gaussian

LEVELS = GRID.levels
SIGMA = np.array([0.001, 0.02, 0.3])
wild_z = arrays(np.float64, (3, *GRID.shape), elements=st.floats(-20, 20, allow_subnormal=False)).map(
    lambda values: np.sort(values, axis=-1)
)


@given(z=wild_z)
@settings(max_examples=60, deadline=None)
def test_quantiles_increase_with_the_level_and_intervals_widen_with_the_horizon(z):
    surfaces = surface(z, SIGMA, GRID)
    assert surfaces.shape == (3, GRID.horizons[-1], len(LEVELS))
    assert (np.diff(surfaces, axis=-1) > 0).all()
    median = surfaces[..., 3:4]
    below, above = (median - surfaces)[..., :3], (surfaces - median)[..., 4:]
    for distance in (below, above):
        assert (np.diff(distance, axis=1) > 0).all()


@given(z=wild_z)
@settings(max_examples=30, deadline=None)
def test_a_row_does_not_depend_on_its_neighbours(z):
    together = surface(z, SIGMA, GRID)
    for row in range(3):
        assert_array_equal(surface(z[row : row + 1], SIGMA[row : row + 1], GRID)[0], together[row])


@given(z=wild_z)
@settings(max_examples=30, deadline=None)
def test_the_median_is_that_of_the_grid(z):
    surfaces = surface(z, SIGMA, GRID)
    expected = z[..., 3] * np.sqrt(GRID.horizons) * SIGMA[:, None]
    assert_allclose(surfaces[:, np.array(GRID.horizons) - 1, 3], expected, rtol=1e-12, atol=1e-15)


def test_grid_points_that_are_monotone_come_back_as_they_were():
    z = gaussian(np.array([0.1, 0.0, -0.2]), 1.1)
    surfaces = surface(z, SIGMA, GRID)
    expected = z * np.sqrt(GRID.horizons)[:, None] * SIGMA[:, None, None]
    assert_allclose(surfaces[:, np.array(GRID.horizons) - 1], expected, rtol=1e-12)


def test_between_grid_points_z_is_linear_in_the_log_of_the_horizon():
    scales = np.array([1.0, 1.1, 1.3, 1.2, 1.4])
    z = gaussian()[:1] * scales[:, None]
    got = surface(z, np.array([0.02]), GRID)[0, 6] / (0.02 * np.sqrt(7))  # horizon 7 lies between 5 and 10
    share = (np.log(7) - np.log(5)) / (np.log(10) - np.log(5))
    assert_allclose(got, ndtri(np.array(LEVELS)) * (1.3 + share * (1.2 - 1.3)), rtol=1e-12)


def test_members_that_tie_still_give_an_interval():
    surfaces = surface(np.zeros((1, *GRID.shape)), np.array([0.02]), GRID)
    gaps = np.diff(surfaces[0, 0]) / 0.02
    assert (gaps > 0.99 * SMALLEST_STEP).all()
    assert (gaps < 2.01 * SMALLEST_STEP).all()


def test_sigma_scales_and_the_horizon_grows_with_its_root():
    surfaces = surface(gaussian(np.zeros(3)), SIGMA, GRID)
    steps = np.arange(1, 21)
    width = surfaces[..., -1] - surfaces[..., 0]
    assert_allclose(width, (ndtri(0.995) - ndtri(0.005)) * SIGMA[:, None] * np.sqrt(steps), rtol=1e-12)


@pytest.mark.parametrize("level", [0.005, 0.01, 0.05, 0.123, 0.5, 0.9, 0.95, 0.994, 0.995])
def test_a_normal_distribution_is_read_exactly_at_any_level(level):
    quantiles = 0.3 + 2.0 * ndtri(np.array(LEVELS))
    assert at_level(quantiles, LEVELS, level) == pytest.approx(0.3 + 2.0 * ndtri(level), abs=1e-12)


@pytest.mark.parametrize("level", [0.004, 0.996, 0.0, 1.0])
def test_a_level_outside_the_grid_is_refused(level):
    with pytest.raises(ValueError, match=r"outside 0.005 to 0.995"):
        at_level(np.zeros(len(LEVELS)), LEVELS, level)


increasing = arrays(np.float64, len(LEVELS), elements=st.floats(1e-3, 5)).map(lambda gaps: np.cumsum(gaps) - 8.0)


@given(quantiles=increasing, level=st.floats(0.005, 0.995))
@settings(max_examples=100, deadline=None)
def test_probability_undoes_level(quantiles, level):
    assert probability_below(quantiles, LEVELS, at_level(quantiles, LEVELS, level)) == pytest.approx(level, abs=1e-9)


@given(quantiles=increasing, values=st.lists(st.floats(-30, 60), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_probability_never_falls_as_the_value_rises(quantiles, values):
    found = [float(probability_below(quantiles, LEVELS, value)) for value in sorted(values)]
    assert found == sorted(found)
    assert 0.0 <= found[0] <= found[-1] <= 1.0


@pytest.mark.parametrize("value", [-9.0, -6.0, -0.5, 0.0, 1.0, 6.0, 9.0])
def test_probability_of_a_normal_distribution_is_exact_also_in_the_tails(value):
    quantiles = 0.3 + 2.0 * ndtri(np.array(LEVELS))
    assert probability_below(quantiles, LEVELS, value) == pytest.approx(ndtr((value - 0.3) / 2.0), abs=1e-12)


def test_probability_takes_a_value_for_each_row():
    quantiles = np.stack([ndtri(np.array(LEVELS)), 1.0 + ndtri(np.array(LEVELS))])
    assert_allclose(probability_below(quantiles, LEVELS, np.array([0.0, 1.0])), 0.5, atol=1e-15)
    assert np.isnan(probability_below(quantiles, LEVELS, np.array([0.0, np.nan]))).tolist() == [False, True]


def test_a_grid_of_two_horizons_will_do():
    grid = Grid((1, 4), LEVELS)
    assert surface(gaussian(grid=grid), np.array([0.01]), grid).shape == (1, 4, len(LEVELS))
