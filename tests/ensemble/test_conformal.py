"""The finite-sample quantile, and the offsets made of it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtri

from ensemble.conformal import calibrated, fit_offsets
from ensemble.finite_sample import finite_sample_quantile

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    percent=st.integers(1, 199),
)
@settings(max_examples=100, deadline=None)
def test_the_quantile_equals_its_exact_twin(scores, percent):
    level = Fraction(percent, 200)
    rank = min(max(ceil((len(scores) + 1) * level), 1), len(scores))
    assert finite_sample_quantile(np.array(scores), percent / 200) == sorted(scores)[rank - 1]


@pytest.mark.parametrize(
    ("n", "level", "rank"), [(9, 0.9, 9), (19, 0.05, 1), (99, 0.55, 55), (99, 0.07, 7), (199, 0.07, 14)]
)
def test_a_level_that_is_met_exactly_takes_no_score_more(n, level, rank):
    """(n + 1) * level is an integer here, though not always in binary."""
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert finite_sample_quantile(scores, level) == rank


def test_a_level_beyond_the_sample_gives_the_largest_score():
    assert finite_sample_quantile(np.array([3.0, 1.0, 2.0]), 0.99) == 3.0


def test_no_score_is_no_quantile():
    with pytest.raises(ValueError, match="at least one score"):
        finite_sample_quantile(np.array([]), 0.5)


def test_offsets_restore_the_levels_of_a_biased_and_narrow_forecaster():
    rng = np.random.default_rng(1)
    quantiles = np.tile(0.4 + 0.5 * ndtri(np.array(LEVELS)), (4000, 1))
    seen, later = rng.standard_normal((2, 4000))
    corrected = calibrated(quantiles[:, None], fit_offsets(seen, quantiles, LEVELS)[None])[:, 0]
    below = (later[:, None] <= corrected).mean(axis=0)
    assert_allclose(below, LEVELS, atol=4 * 0.5 / np.sqrt(4000) * np.sqrt(2))
    assert abs((later[:, None] <= quantiles).mean(axis=0) - LEVELS).max() > 0.1


def test_an_offset_covers_at_least_its_level_of_the_data_it_was_fitted_on():
    rng = np.random.default_rng(2)
    quantiles = np.sort(rng.standard_normal((301, 5)), axis=1)
    outcomes = rng.standard_normal(301)
    offsets = fit_offsets(outcomes, quantiles, LEVELS)
    covered = (outcomes[:, None] <= quantiles + offsets).sum(axis=0)
    assert covered.tolist() == [ceil(302 * Fraction(str(level))) for level in LEVELS]


def test_outcomes_not_known_yet_are_left_out():
    rng = np.random.default_rng(3)
    quantiles, outcomes = np.sort(rng.standard_normal((50, 5)), axis=1), rng.standard_normal(50)
    with_unknown = np.concatenate([outcomes, [np.nan] * 7])
    padded = np.concatenate([quantiles, np.full((7, 5), 99.0)])
    assert_array_equal(fit_offsets(with_unknown, padded, LEVELS), fit_offsets(outcomes, quantiles, LEVELS))


def test_calibration_adds_by_horizon_and_level_and_keeps_the_order():
    quantiles = np.zeros((2, 2, 3)) + np.array([-1.0, 0.0, 1.0])
    offsets = np.array([[0.1, 0.2, 0.3], [5.0, 0.0, -5.0]])
    result = calibrated(quantiles, offsets)
    assert_allclose(result[:, 0], [[-0.9, 0.2, 1.3]] * 2)
    assert_allclose(result[:, 1], [[-4.0, 0.0, 4.0]] * 2)
