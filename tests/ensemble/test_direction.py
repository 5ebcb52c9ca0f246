"""The probability of a rise: read from the distribution, then pulled towards what was seen, never away from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr, ndtri

from ensemble.direction import fit_recalibration, raw_probability_up, recalibrated

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def logit(p):
    return np.log(p / (1 - p))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def drawn(intercept, slope, n=100_000, spread=0.8, seed=0):
    """Stated probabilities, and rises that happen with logistic(intercept + slope * logit(stated))."""
    rng = np.random.default_rng(seed)
    stated = logistic(spread * rng.standard_normal(n))
    rose = (rng.random(n) < logistic(intercept + slope * logit(stated))).astype(float)
    return stated, rose


@pytest.mark.parametrize("mean", [-2.0, -0.3, 0.0, 0.05, 1.0])
def test_the_raw_probability_of_a_normal_distribution_is_exact(mean):
    surfaces = (mean + ndtri(np.array(LEVELS)))[None, None]
    assert_allclose(raw_probability_up(surfaces, LEVELS), ndtr(mean), atol=1e-12)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (0.3, 0.6), (-0.2, 0.1), (0.1, 0.95)])
def test_known_parameters_are_found_again(intercept, slope):
    found = fit_recalibration(*drawn(intercept, slope))
    # about four standard errors: 1 / sqrt(n p (1 - p)), and that over the spread of the logits
    assert found == pytest.approx((intercept, min(slope, 1.0)), abs=0.045)


def test_the_fit_is_a_maximum_of_the_likelihood():
    stated, rose = drawn(0.2, 0.5, n=3000)

    def likelihood(intercept, slope):
        p = logistic(intercept + slope * logit(stated))
        return (rose * np.log(p) + (1 - rose) * np.log(1 - p)).sum()

    intercept, slope = fit_recalibration(stated, rose)
    for step in (1e-3, -1e-3):
        assert likelihood(intercept, slope) > likelihood(intercept + step, slope)
        assert likelihood(intercept, slope) > likelihood(intercept, slope + step)


@pytest.mark.parametrize(("true_slope", "bound"), [(1.6, 1.0), (-0.7, 0.0)])
def test_a_slope_beyond_its_bounds_stops_there_and_the_mean_is_still_met(true_slope, bound):
    stated, rose = drawn(0.15, true_slope, n=20_000)
    intercept, slope = fit_recalibration(stated, rose)
    assert slope == bound
    assert logistic(intercept + slope * logit(stated)).mean() == pytest.approx(rose.mean(), abs=1e-6)


@given(seed=st.integers(0, 999), intercept=st.floats(-0.5, 0.5), slope=st.floats(-2, 3))
@settings(max_examples=25, deadline=None)
def test_recalibrated_probabilities_are_never_further_from_each_other_than_before(seed, intercept, slope):
    """Nor, therefore, further from the base rate than stated ones around it."""
    stated, rose = drawn(intercept, slope, n=400, seed=seed)
    parameters = np.array([fit_recalibration(stated, rose)])
    order = np.argsort(stated)
    after = recalibrated(stated[order][:, None], parameters)[:, 0]
    gaps_before, gaps_after = np.diff(logit(stated[order])), np.diff(logit(after))
    assert (gaps_after >= -1e-9).all()
    assert (gaps_after <= gaps_before + 1e-9).all()
    assert after.mean() == pytest.approx(rose.mean(), abs=1e-5)


def test_nothing_to_correct_changes_nothing():
    probability = np.array([[0.2, 0.5, 0.9]])
    assert_allclose(recalibrated(probability, np.tile([0.0, 1.0], (3, 1))), probability, rtol=1e-12)


def test_every_horizon_has_its_own_parameters():
    probability = np.full((2, 2), 0.6)
    result = recalibrated(probability, np.array([[0.0, 1.0], [logit(0.55), 0.0]]))
    assert_allclose(result, [[0.6, 0.55]] * 2, rtol=1e-12)


def test_certainty_stays_a_number():
    result = recalibrated(np.array([[0.0], [1.0]]), np.array([[0.0, 1.0]]))
    assert_allclose(result[:, 0], [1e-6, 1 - 1e-6], rtol=1e-9)


def test_when_all_rose_the_probability_is_high_and_finite():
    intercept, slope = fit_recalibration(np.full(50, 0.5), np.ones(50))
    assert np.isfinite([intercept, slope]).all()
    assert recalibrated(np.array([[0.5]]), np.array([[intercept, slope]]))[0, 0] > 0.99


def test_rows_do_not_mix():
    probability = np.random.default_rng(0).random((5, 3))
    parameters = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7]])
    together = recalibrated(probability, parameters)
    for row in range(5):
        assert_array_equal(recalibrated(probability[row : row + 1], parameters)[0], together[row])
