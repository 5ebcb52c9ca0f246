"""Scores of many symbols at once are what counting one forecast at a time would give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtri

from backtest.measure import against, coverage, direction_score, pooled, score_forecasts
from backtest.score import SCORED_LEVELS, diebold_mariano, standard_error
from ensemble.surface import at_level

LEVELS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995)
N, HORIZONS = 600, (1, 5)
RNG = np.random.default_rng(12)
ORIGINS = np.datetime64("2020-01-01") + np.arange(N)
SURFACES = RNG.uniform(0.5, 2, (N, 2, 1)) * ndtri(np.array(LEVELS)) + 0.2 * RNG.standard_normal((N, 2, 1))
OUTCOMES = RNG.standard_t(4, (N, 2))
OUTCOMES[-20:, 1] = np.nan
PROBABILITY = RNG.uniform(0.3, 0.8, (N, 2))
REFERENCE = np.broadcast_to(ndtri(np.array(SCORED_LEVELS)), (N, 2, len(SCORED_LEVELS)))
SCORED = score_forecasts(ORIGINS, OUTCOMES, SURFACES, LEVELS, PROBABILITY, {"walk": REFERENCE})


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("level", [0.5, 0.75, 0.8, 0.9, 0.95, 0.99])
def test_coverage_is_the_share_of_outcomes_inside_the_served_interval(column, level):
    tail = (1 - level) / 2
    known = ~np.isnan(OUTCOMES[:, column])
    lower, upper = (at_level(SURFACES[known, column], LEVELS, at) for at in (tail, 1 - tail))
    hits = (lower <= OUTCOMES[known, column]) & (OUTCOMES[known, column] <= upper)
    assert coverage(SCORED.ranks[:, column], level) == hits.mean()


def test_coverage_of_nothing_is_not_a_number():
    assert np.isnan(coverage(np.array([np.nan]), 0.9))


def test_the_rank_is_the_smallest_interval_that_holds_the_outcome():
    for row in range(0, N, 97):
        for shift, inside in ((1e-6, True), (-1e-6, False)):
            level = SCORED.ranks[row, 0] + shift
            if not 0 < level < 0.99:
                continue
            lower, upper = (at_level(SURFACES[row, 0], LEVELS, at) for at in ((1 - level) / 2, (1 + level) / 2))
            assert (lower <= OUTCOMES[row, 0] <= upper) == inside


def test_width_is_that_of_the_ninety_percent_interval():
    expected = SURFACES[..., LEVELS.index(0.95)] - SURFACES[..., LEVELS.index(0.05)]
    assert_allclose(SCORED.width_90[:-20], expected[:-20], rtol=1e-12)


def test_what_is_not_known_is_in_no_score():
    for values in (SCORED.loss, SCORED.ranks, SCORED.width_90, SCORED.probability_up, SCORED.baselines["walk"]):
        assert_array_equal(np.isnan(values), np.isnan(OUTCOMES))


def test_pooling_is_counting_together():
    halves = [
        score_forecasts(ORIGINS[s], OUTCOMES[s], SURFACES[s], LEVELS, PROBABILITY[s], {"walk": REFERENCE[s]})
        for s in (slice(0, 250), slice(250, None))
    ]
    together = pooled(halves)
    for name in ("origins", "outcomes", "loss", "ranks", "width_90", "probability_up"):
        assert_array_equal(getattr(together, name), getattr(SCORED, name))
    assert_array_equal(together.baselines["walk"], SCORED.baselines["walk"])


def test_against_has_the_sign_of_the_better_and_the_test_of_the_difference():
    gain, statistic, p_value = against(SCORED, "walk", 1, 5)
    known = ~np.isnan(OUTCOMES[:, 1])
    assert gain == pytest.approx(1 - SCORED.loss[known, 1].sum() / SCORED.baselines["walk"][known, 1].sum())
    assert (statistic, p_value) == diebold_mariano(SCORED.baselines["walk"][:, 1] - SCORED.loss[:, 1], ORIGINS, 5)
    assert np.sign(statistic) == np.sign(gain)


def test_direction_is_counted():
    score = direction_score(SCORED, 1, 5, base_rate=0.55)
    known = range(N - 20)
    up = [float(OUTCOMES[i, 1] > 0) for i in known]
    right = [float((PROBABILITY[i, 1] >= 0.5) == bool(up[i])) for i in known]
    brier = np.mean([(PROBABILITY[i, 1] - up[i]) ** 2 for i in known])
    reference = np.mean([(0.55 - each) ** 2 for each in up])
    assert score.up_share == pytest.approx(np.mean(up))
    assert score.accuracy == pytest.approx(np.mean(right))
    assert score.brier == pytest.approx(brier)
    assert score.brier_gain == pytest.approx(1 - brier / reference)
    assert score.accuracy_error == standard_error(np.array(right), ORIGINS[: N - 20], 5)


def test_a_zero_return_has_not_risen():
    scored = score_forecasts(
        ORIGINS[:4],
        np.array([[0.0], [0.0], [1.0], [-1.0]]),
        SURFACES[:4, :1],
        LEVELS,
        np.array([[0.9], [0.1], [0.9], [0.9]]),
        {},
    )
    score = direction_score(scored, 0, 1, base_rate=0.5)
    assert (score.up_share, score.accuracy) == (0.25, 0.5)


def test_knowing_the_sign_beats_the_base_rate():
    rose = np.random.default_rng(13).random((N, 1)) < 0.5
    knowing = np.where(rose, 0.8, 0.2)
    scored = score_forecasts(ORIGINS, np.where(rose, 0.5, -0.5), SURFACES[:, :1], LEVELS, knowing, {})
    score = direction_score(scored, 0, 1, base_rate=0.5)
    assert score.accuracy == 1.0
    assert score.brier_gain == pytest.approx(1 - 0.04 / 0.25)
    assert score.calibration_error == pytest.approx(0.2)
