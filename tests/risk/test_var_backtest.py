"""The tests of value at risk, tested: naive twins, their size under a true model, and that no method looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from risk.gjr import fitted, refit_places
from risk.measure import Undefined
from risk.methods import methods_for
from risk.report import Series, Terms, report, stated
from risk.var_backtest import (
    LikelihoodRatio,
    backtest,
    conditional_coverage,
    independence,
    kupiec,
    traffic_light,
)
from tests.risk.series import SP500, fat_tailed


def log_likelihood(hits: np.ndarray, share: float | np.ndarray) -> float:
    """Bernoulli, one day at a time."""
    return float(np.sum(np.where(hits, np.log(share), np.log1p(-share))))


def test_kupiec_is_the_likelihood_ratio_of_bernoulli_trials():
    hits = np.random.default_rng(1).random(500) < 0.03
    expected = -2 * (log_likelihood(hits, 0.05) - log_likelihood(hits, hits.mean()))
    found = kupiec(int(hits.sum()), 500, 0.95)
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, 1))


def test_independence_is_the_likelihood_ratio_of_a_markov_chain():
    hits = np.random.default_rng(2).random(800) < 0.05
    before, after = hits[:-1], hits[1:]
    share = np.where(before, after[before].mean(), after[~before].mean())
    expected = -2 * (log_likelihood(after, after.mean()) - log_likelihood(after, share))
    assert independence(hits).statistic == pytest.approx(expected)


def test_clustered_exceedances_are_found_and_scattered_ones_let_pass():
    clustered, scattered = np.zeros(1000, bool), np.zeros(1000, bool)
    clustered[400:450] = True
    scattered[::20] = True
    assert not independence(clustered).passes
    assert independence(np.random.default_rng(0).permutation(scattered)).passes


def test_conditional_coverage_is_the_sum_with_two_degrees_of_freedom():
    found = conditional_coverage(LikelihoodRatio(2.0, 0.1), LikelihoodRatio(3.0, 0.1))
    assert found.statistic == 5.0
    assert found.p_value == pytest.approx(stats.chi2.sf(5.0, 2))


@pytest.mark.statistical
def test_the_tests_reject_a_true_model_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    hits = rng.random((3000, 1000)) < 0.05
    assert np.mean([not kupiec(int(each.sum()), 1000, 0.95).passes for each in hits]) == pytest.approx(0.05, abs=0.02)
    # Christoffersen's is asymptotic, and with some fifty exceedances rejects nearly twice as often as it says.
    assert 0.05 < np.mean([not independence(each).passes for each in hits]) < 0.11


def test_an_exceedance_is_a_loss_beyond_the_value_and_not_one_as_large():
    returns = np.tile([0.0, -0.02, -0.03, 0.05], 20)
    found = backtest(returns, np.full(80, 0.02), 0.95)
    assert found.at.tolist() == list(range(2, 80, 4))
    assert (found.days, found.expected) == (80, 4.0)
    assert found.passes is False
    assert found.verdict.startswith("Fails: 20 exceedances in 80 days where 4.0 were expected (Kupiec p = ")
    assert "more losses beyond it than it says" in found.verdict


def test_a_value_that_is_never_exceeded_says_so_and_is_not_called_independent():
    found = backtest(fat_tailed(500), np.full(500, 0.9), 0.95)
    assert found.passes is False
    assert "fewer losses beyond it than it says" in found.verdict
    assert found.independence is None
    assert set(found.unavailable) == {"independence", "conditional_coverage"}


def test_few_days_can_tell_nothing():
    found = backtest(np.full(49, -0.1), np.full(49, 0.01), 0.95)
    assert (found.kupiec, found.independence, found.conditional_coverage, found.passes) == (None,) * 4
    assert "49 tested days are too few" in found.verdict
    with pytest.raises(Undefined, match="no day"):
        backtest(np.empty(0), np.empty(0), 0.95)


def test_the_traffic_light_counts_the_last_250_days_and_is_green_for_none():
    hits = np.zeros(600, bool)
    hits[:300] = True
    assert traffic_light(hits, 0.99).exceedances == 0
    assert traffic_light(hits[:340], 0.99).zone == "red"
    for days in (1, 3, 30, 249):
        light = traffic_light(np.zeros(days, bool), 0.99)
        assert (light.zone, light.multiplier) == ("green", None)


@pytest.fixture(scope="module")
def methods():
    fits = fitted(SP500, refit_places(len(SP500), len(SP500) - 1000))
    return methods_for(SP500, len(SP500), fits)


def test_what_was_said_of_a_day_is_what_is_estimated_with_the_history_that_ended_before_it(methods):
    """The served estimate, asked again on a shorter history, is the path of the backtest: the same, no look-ahead."""
    for day in (1500, 2430, 4000, 5000):
        known = SP500[:day]
        fits = fitted(known, refit_places(day, 1))
        for method, then in zip(methods, methods_for(known, day, fits), strict=True):
            for level in (0.95, 0.99):
                path = method.path(level).losses
                said = path[day - len(SP500)]
                if np.isnan(said):
                    continue
                assert said == pytest.approx(then.estimate(level, 1).value_at_risk, rel=1e-6), (method.name, day)


def test_a_future_that_is_another_changes_nothing_that_was_said(methods):
    changed = SP500.copy()
    changed[3000:] = fat_tailed(len(SP500) - 3000, scale=0.05)
    changed[3000] = -0.5
    fits = fitted(changed, refit_places(len(changed), len(changed) - 1000))
    for method, other in zip(methods, methods_for(changed, len(changed), fits), strict=True):
        mine, theirs = method.path(0.99), other.path(0.99)
        past = slice(None, 3001 - len(SP500))  # what was said before the first day that is another
        assert theirs.losses[past] == pytest.approx(mine.losses[past], rel=1e-6, nan_ok=True), method.name
        assert theirs.losses[-1] != pytest.approx(mine.losses[-1], rel=1e-6)


def test_the_days_tested_are_those_asked_about():
    series = Series(SP500, 250, "none", "none")
    for method in methods_for(series.history, series.period, series.fits)[:5]:
        path, places = stated(method, 0.95, series)
        assert places.tolist() == list(range(len(SP500) - 250, len(SP500))), method.name
        assert len(path.losses) == 250


def test_a_short_history_is_tested_with_half_of_it_behind_each_estimate():
    told = report(Series(fat_tailed(400), 400, "none", "none"), Terms((0.95,), 1, 252, 0.0))
    tested = {entry.method: entry for entry in told.value_at_risk}
    assert (tested["historical"].window, tested["historical"].backtest.days) == (200, 200)
    assert (tested["gaussian_ewma"].window, tested["gaussian_ewma"].backtest.days) == (20, 380)
    assert tested["gjr_filtered"].unavailable == dict.fromkeys(
        ("value_at_risk", "expected_shortfall", "backtest"), "none"
    )
