"""CRPS, PIT, scaled errors and reliability, against closed forms and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from backtest.diagnostics import chosen_diagnostics, crps, diagnose, pit_histogram, pooled_diagnostics, scaled_error
from backtest.measure import against, chosen, direction_score, score_forecasts
from backtest.reliability import log_score, reliability
from backtest.score import SCORED_LEVELS, binned, diebold_mariano, expected_calibration_error, skill, standard_error

LEVELS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995)
RNG = np.random.default_rng(21)
N = 400
SIGMA = RNG.uniform(0.01, 0.03, (N, 2))
SURFACES = SIGMA[..., None] * ndtri(np.array(LEVELS))
OUTCOMES = SIGMA * RNG.standard_normal((N, 2))
OUTCOMES[-30:, 1] = np.nan
DAYS = np.datetime64("2020-01-01") + np.arange(N)
WHOLE = diagnose(OUTCOMES, SURFACES, LEVELS, np.array([0.02, 0.04]))


def test_crps_of_a_normal_is_the_closed_form():
    """Gneiting and Raftery (2007), equation 21; the midpoint rule is good to half a percent."""
    z = np.linspace(-3, 3, 25)[:, None]
    exact = z * (2 * ndtr(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    ours = crps(z, np.broadcast_to(ndtri(np.array(LEVELS)), (25, 1, len(LEVELS))), LEVELS)
    assert_allclose(ours, exact, rtol=0.005)


def test_the_true_spread_has_the_smallest_crps():
    known = OUTCOMES[:, 0]
    means = [crps(known[:, None], SURFACES[:, :1] * scale, LEVELS).mean() for scale in (0.7, 1.0, 1.4)]
    assert means[1] == min(means)


def test_what_is_not_known_is_in_no_diagnosis():
    for name in ("pit", "crps", "width_50", "width_80", "error", "naive_error", "naive_scale"):
        assert_array_equal(np.isnan(getattr(WHOLE, name)), np.isnan(OUTCOMES))


def test_pit_of_a_right_forecast_is_flat_and_of_a_narrow_one_is_not():
    rng = np.random.default_rng(31)
    outcomes = rng.standard_normal((20_000, 1))
    levels = np.broadcast_to(ndtri(np.array(LEVELS)), (20_000, 1, len(LEVELS)))
    right, narrow = (
        pit_histogram(diagnose(outcomes, levels * scale, LEVELS, np.array([1.0])).pit[:, 0]) for scale in (1.0, 0.6)
    )
    assert len(right) == 20
    assert sum(right) == 20_000
    assert_allclose(right, 1000, atol=150)
    assert min(narrow[0], narrow[-1]) > 1.5 * max(narrow[8:12])


def test_widths_are_those_of_the_intervals():
    assert_allclose(WHOLE.width_50[:, 0], SIGMA[:, 0] * (norm.ppf(0.75) - norm.ppf(0.25)), rtol=1e-12)
    assert_allclose(WHOLE.width_80[:, 0], SIGMA[:, 0] * (norm.ppf(0.9) - norm.ppf(0.1)), rtol=1e-12)


def test_scaled_error_is_counted():
    known = range(N - 30)
    twin = np.mean([abs(OUTCOMES[i, 1] - SURFACES[i, 1, LEVELS.index(0.5)]) / 0.04 for i in known])
    assert scaled_error(WHOLE, 1) == pytest.approx(twin)
    assert scaled_error(diagnose(OUTCOMES, SURFACES, LEVELS, np.array([np.nan, np.nan])), 1) is None


def test_parts_make_the_whole():
    first = np.arange(N) < 150
    again = pooled_diagnostics([chosen_diagnostics(WHOLE, first), chosen_diagnostics(WHOLE, ~first)])
    assert_array_equal(again.crps, WHOLE.crps)
    assert_array_equal(again.pit, WHOLE.pit)


def test_chosen_forecasts_are_scored_alone():
    scored = score_forecasts(DAYS, OUTCOMES, SURFACES, LEVELS, np.full((N, 2), 0.6), {})
    part = chosen(scored, np.datetime64("2020-03-01") > DAYS)
    assert len(part.origins) == 60
    assert_array_equal(part.loss, scored.loss[:60])


def test_skill_and_its_test_agree_in_sign_when_days_differ_in_symbols():
    """One symbol trades every day and gains little; nine more, on weekdays, lose: the mean over days would gain."""
    rng = np.random.default_rng(32)
    days = np.concatenate([DAYS, np.repeat(DAYS[::5], 9)])
    difference = np.concatenate([np.full(N, 0.5), np.full(9 * len(DAYS[::5]), -0.4)])
    difference = difference + 0.01 * rng.standard_normal(len(difference))
    reference = np.full(len(difference), 3.0)
    statistic, _ = diebold_mariano(difference, days, 1)
    assert skill(reference - difference, reference) < 0
    assert statistic < 0


@pytest.mark.statistical
def test_the_standard_error_counts_symbols_of_a_day_and_overlap():
    """Against the spread of the mean over many made-up histories: 10 symbols that share a day, sums of 5 days."""
    rng = np.random.default_rng(33)
    means, errors = [], []
    days = np.repeat(np.datetime64("2020-01-01") + np.arange(500), 10)
    for _ in range(200):
        shared = rng.standard_normal((504, 1)) + rng.standard_normal((504, 10))
        sums = np.lib.stride_tricks.sliding_window_view(shared, 5, axis=0).sum(axis=-1)
        values = (sums.ravel() > 0).astype(float)
        means.append(values.mean())
        errors.append(standard_error(values, days, 5))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.25)


def test_equal_probabilities_share_a_bin():
    assert [len(part) for part in binned(np.full(95, 0.5), 10)] == [95]
    mixed = np.concatenate([np.full(50, 0.5), np.linspace(0.51, 0.6, 50)])
    assert [len(part) for part in binned(mixed, 10)] == [50, 10, 10, 10, 10, 10]
    happened = (np.arange(400) < 200).astype(float)
    assert expected_calibration_error(np.full(400, 0.5), happened) == 0.0


def test_reliability_is_counted_bin_by_bin():
    rng = np.random.default_rng(34)
    probability = rng.uniform(0.5, 0.7, N)
    happened = (rng.random(N) < probability).astype(float)
    bins = reliability(probability, happened, DAYS, 1)
    order = np.argsort(probability)
    assert [part.n for part in bins] == [40] * 10
    for part, rows in zip(bins, np.array_split(order, 10), strict=True):
        assert part.stated == pytest.approx(probability[rows].mean())
        assert part.observed == pytest.approx(happened[rows].mean())
        assert part.observed_se == standard_error(happened[np.sort(rows)], DAYS[np.sort(rows)], 1)
    gaps = [part.n / N * abs(part.stated - part.observed) for part in bins]
    assert expected_calibration_error(probability, happened) == pytest.approx(sum(gaps))


def test_log_score_is_the_likelihood():
    probability, happened = np.array([0.6, 0.8, 0.5]), np.array([1.0, 0.0, 1.0])
    assert log_score(probability, happened) == pytest.approx(-np.log([0.6, 0.2, 0.5]).mean())
    assert log_score(0.5, happened) == pytest.approx(np.log(2))
    assert np.isfinite(log_score(np.array([1.0]), np.array([0.0])))


def test_always_up_is_the_reference_of_the_calls():
    rng = np.random.default_rng(35)
    outcomes = np.where(rng.random((N, 1)) < 0.65, 0.01, -0.01)
    up = outcomes[:, 0] > 0
    for probability, sign in ((np.full(N, 0.7), 0.0), (np.where(up, 0.7, 0.3), 1.0), (np.full(N, 0.3), -1.0)):
        scored = score_forecasts(DAYS, outcomes, SURFACES[:, :1], LEVELS, probability[:, None], {})
        statistic = direction_score(scored, 0, 1, 0.5).t_vs_always_up
        assert np.sign(statistic) == sign
        assert sign == 0 or abs(statistic) > 1.5


def test_against_keeps_the_sign_of_the_skill():
    wide = 2.0 * SIGMA[..., None] * ndtri(np.array(SCORED_LEVELS))
    scored = score_forecasts(DAYS, OUTCOMES, SURFACES, LEVELS, np.full((N, 2), 0.6), {"wide": wide})
    gain, statistic, _ = against(scored, "wide", 0, 1)
    assert gain > 0.05
    assert statistic > 3
