"""Losses and the test that tells skill from luck, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm
from scipy.stats import t as student_t

from backtest.score import (
    SCORED_LEVELS,
    _newey_west,
    diebold_mariano,
    expected_calibration_error,
    pinball_loss,
    skill,
)

DAYS = np.datetime64("2020-01-01") + np.arange(400)


@pytest.fixture
def rng():
    """A test's own, so that it draws the same whatever ran before it."""
    return np.random.default_rng(11)


def naive_pinball(outcome, quantile, level):
    return level * (outcome - quantile) if outcome >= quantile else (1 - level) * (quantile - outcome)


def test_pinball_equals_its_twin(rng):
    outcomes = rng.standard_normal((6, 3))
    quantiles = np.sort(rng.standard_normal((6, 3, len(SCORED_LEVELS))), axis=-1)
    loss = pinball_loss(outcomes, quantiles, SCORED_LEVELS)
    for row, column in np.ndindex(outcomes.shape):
        twin = [
            naive_pinball(outcomes[row, column], *pair)
            for pair in zip(quantiles[row, column], SCORED_LEVELS, strict=True)
        ]
        assert loss[row, column] == pytest.approx(np.mean(twin), rel=1e-12)


def test_pinball_is_in_the_unit_of_the_outcome_and_silent_where_nothing_is_known():
    outcomes, quantiles = np.array([0.3, np.nan]), np.tile(norm.ppf(SCORED_LEVELS), (2, 1))
    loss = pinball_loss(outcomes, quantiles, SCORED_LEVELS)
    assert_allclose(pinball_loss(outcomes * 7, quantiles * 7, SCORED_LEVELS), loss * 7)
    assert np.isnan(loss).tolist() == [False, True]


def test_no_quantile_loses_less_than_the_true_one(rng):
    outcomes = rng.standard_normal(20_000)
    for level in SCORED_LEVELS:
        losses = [
            pinball_loss(outcomes, np.full((20_000, 1), norm.ppf(level) + shift), (level,)).mean()
            for shift in (-0.2, 0.0, 0.2)
        ]
        assert losses[1] == min(losses)


def test_skill_is_the_share_of_the_loss_that_is_saved():
    assert skill(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 0.5
    assert skill(np.array([3.0, 3.0]), np.array([2.0, 2.0])) == -0.5
    assert skill(np.array([1.0, np.nan, 9.0]), np.array([2.0, 5.0, np.nan])) == 0.5
    assert np.isnan(skill(np.array([np.nan]), np.array([1.0])))


@pytest.mark.parametrize("lags", [0, 1, 4, 20])
def test_newey_west_equals_its_twin(lags, rng):
    x = rng.standard_normal(60).cumsum()
    x -= x.mean()
    n, twin = len(x), 0.0
    for t in range(n):
        for s in range(n):
            if abs(t - s) <= lags:
                twin += (1 - abs(t - s) / (lags + 1)) * x[t] * x[s] / n
    assert _newey_west(x, lags) == pytest.approx(twin, rel=1e-10)


def test_more_lags_than_days_are_cut(rng):
    x = rng.standard_normal(5)
    assert np.isfinite(_newey_west(x - x.mean(), 90))


@pytest.mark.parametrize("horizon", [1, 4, 5, 30])
def test_the_statistic_equals_its_twin(horizon, rng):
    difference = rng.standard_normal(400) + 0.1
    lags = max(horizon, 4)
    variance = _newey_west(difference - difference.mean(), lags)
    statistic, p_value = diebold_mariano(difference, DAYS, horizon)
    assert statistic == pytest.approx(difference.mean() / np.sqrt(variance / 400), rel=1e-12)
    assert p_value == pytest.approx(naive_cosine_p_value(difference, horizon), rel=1e-9)


def naive_cosine_p_value(difference, horizon):
    """Equal-weighted cosine variance, term by term, and Student's t with as many degrees of freedom."""
    n = len(difference)
    terms = int(min(0.4 * n ** (2 / 3), n / (2 * horizon)))
    squares = []
    for j in range(1, terms + 1):
        projection = 0.0
        for i in range(n):
            projection += np.sqrt(2 / n) * np.cos(np.pi * j * (i + 0.5) / n) * (difference[i] - difference.mean())
        squares.append(projection**2)
    statistic = difference.mean() / np.sqrt(np.mean(squares) / n)
    return 2 * (1 - student_t.cdf(abs(statistic), terms))


def test_a_smaller_loss_than_the_reference_is_positive(rng):
    ours, reference = rng.uniform(0, 1, 400), rng.uniform(0.5, 1.5, 400)
    statistic, p_value = diebold_mariano(reference - ours, DAYS, 1)
    assert statistic > 5
    assert p_value < 1e-6
    assert diebold_mariano(ours - reference, DAYS, 1) == pytest.approx((-statistic, p_value))


def test_symbols_of_one_day_count_as_one_day(rng):
    difference = rng.standard_normal(400) + 0.1
    once = diebold_mariano(difference, DAYS, 5)
    shuffled = rng.permutation(1600)
    four_times = diebold_mariano(np.tile(difference, 4)[shuffled], np.tile(DAYS, 4)[shuffled], 5)
    assert four_times == pytest.approx(once, rel=1e-9)


def test_what_is_not_known_is_left_out(rng):
    difference = rng.standard_normal(400)
    holes = difference.copy()
    holes[350:] = np.nan
    assert diebold_mariano(holes, DAYS, 5) == diebold_mariano(difference[:350], DAYS[:350], 5)


@pytest.mark.parametrize("difference", [np.zeros(50), np.full(50, np.nan), np.array([1.0]), np.ones(50)])
def test_nothing_to_compare_is_no_evidence(difference):
    assert diebold_mariano(difference, DAYS[: len(difference)], 1) == (0.0, 1.0)


def test_calibration_error_equals_its_twin(rng):
    probability, happened = rng.random(95), (rng.random(95) < 0.6).astype(float)
    order, twin = np.argsort(probability), 0.0
    for part in np.array_split(order, 10):
        twin += len(part) / 95 * abs(np.mean(probability[part]) - np.mean(happened[part]))
    assert expected_calibration_error(probability, happened) == pytest.approx(twin, rel=1e-12)


@given(stated=st.floats(0, 1), frequency=st.sampled_from([0.0, 0.25, 1.0]))
@settings(max_examples=30, deadline=None)
def test_a_constant_is_off_by_its_distance_from_the_frequency(stated, frequency):
    happened = np.tile((np.arange(4) < 4 * frequency).astype(float), 100)
    error = expected_calibration_error(np.full(400, stated), happened)
    assert error == pytest.approx(abs(stated - frequency), abs=1e-9)


def test_frequencies_that_are_stated_leave_no_error(rng):
    probability = rng.uniform(0.5, 1.0, 200_000)
    assert expected_calibration_error(probability, (rng.random(200_000) < probability).astype(float)) < 0.005
