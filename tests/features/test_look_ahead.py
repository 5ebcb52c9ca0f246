"""What happens later changes nothing now; and one line of look-ahead is caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.splits import log_returns_ahead
from features import build, filtered
from features import returns as f
from features.ranges import RANGE_FEATURES, RangeFeature, overnight
from features.spec import FEATURES, WARM_UP, Feature
from features.windows import rolling_mean
from tests.features.guards import assert_future_is_unseen, assert_outcome_starts_at_origin
from tests.features.series import CANDLES, last_bars, wandering_bars, with_candles

LENGTH = WARM_UP + 40


def changed(bars, cut, how, seed=0):
    """Other bars from ``cut`` on, all columns of a bar staying together."""
    future = last_bars(bars, len(bars) - cut)
    count = len(future)
    order = {"shuffled": np.random.default_rng(seed).permutation(count), "reversed": np.arange(count)[::-1]}
    factor = {"crashed": np.linspace(0.9, 0.01, count), "halved": np.full(count, 0.5)}
    columns = {name: getattr(future, name) for name in ("close", *CANDLES) if getattr(future, name) is not None}
    if how == "flat":
        other = {name: np.full(count, values[0]) for name, values in columns.items()}
    else:
        other = {name: (values * factor.get(how, 1.0))[order.get(how, slice(None))] for name, values in columns.items()}
    return replace(future, fingerprint="", **other)


@given(seed=st.integers(0, 10_000), cut=st.integers(WARM_UP + 1, LENGTH - 1), data=st.data())
@settings(max_examples=30, deadline=None)
def test_no_future_changes_an_input_of_the_past(seed, cut, data):
    bars = wandering_bars(LENGTH, seed)
    if data.draw(st.booleans()):
        bars = with_candles(bars, seed)
    how = data.draw(st.sampled_from(["shuffled", "crashed", "reversed", "flat"]))
    assert_future_is_unseen(bars, cut, changed(bars, cut, how, seed))


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_an_outcome_begins_where_its_inputs_end(horizon):
    assert_outcome_starts_at_origin(wandering_bars(LENGTH), WARM_UP, horizon)


def centred_mean(panel):
    """A rolling mean that was centred, as pandas does with center=True: five bars of future."""
    return np.roll(rolling_mean(panel.returns, 11), -5, axis=0) / panel.sigma


def full_sample_scale(panel):
    """A return standardised with the volatility of the whole sample."""
    return panel.returns / np.nanstd(panel.returns)


def next_return(panel):
    """Off by one: the target itself."""
    return np.roll(panel.returns, -1, axis=0) / panel.sigma


LEAKS = {each.__name__: Feature(each.__name__, 250, each) for each in (centred_mean, full_sample_scale, next_return)}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_looks_ahead_is_caught(monkeypatch, leak):
    bars = wandering_bars(LENGTH)
    crash = changed(bars, LENGTH - 10, "halved")
    assert_future_is_unseen(bars, LENGTH - 10, crash)
    monkeypatch.setattr(build, "FEATURES", (*FEATURES[1:], LEAKS[leak]))
    with pytest.raises(AssertionError):
        assert_future_is_unseen(bars, LENGTH - 10, crash)


def tomorrows_overnight_move(panel):
    """From this close to the next open."""
    return np.abs(np.roll(overnight(panel), -1, axis=0)) / panel.sigma


def volume_against_the_whole_sample(panel):
    """Volume in units of its mean over all bars."""
    return np.log(panel.volume / panel.volume.mean(axis=0))


RANGE_LEAKS = {
    each.__name__: RangeFeature(each.__name__, 250, each)
    for each in (tomorrows_overnight_move, volume_against_the_whole_sample)
}


@pytest.mark.parametrize("leak", RANGE_LEAKS)
def test_a_range_feature_that_looks_ahead_is_caught(monkeypatch, leak):
    bars = with_candles(wandering_bars(LENGTH))
    crash = changed(bars, LENGTH - 10, "halved")
    assert_future_is_unseen(bars, LENGTH - 10, crash)
    monkeypatch.setattr(build, "RANGE_FEATURES", (*RANGE_FEATURES[1:], RANGE_LEAKS[leak]))
    with pytest.raises(AssertionError):
        assert_future_is_unseen(bars, LENGTH - 10, crash)


def test_a_volatility_smoothed_over_the_future_is_caught(monkeypatch):
    bars = wandering_bars(LENGTH)
    crash = changed(bars, LENGTH - 10, "halved")
    honest = f.volatility

    def both_ways(returns, decay=f.SIGMA_DECAY):
        smoothed = honest(returns, decay)
        smoothed[1:-1] = (smoothed[:-2] + smoothed[2:]) / 2
        return smoothed

    monkeypatch.setattr(f, "volatility", both_ways)
    with pytest.raises(AssertionError):
        assert_future_is_unseen(bars, LENGTH - 10, crash)


def test_an_outcome_that_holds_todays_return_is_caught():
    def a_day_early(closes, rows, horizons):
        return log_returns_ahead(closes, rows - 1, horizons)

    with pytest.raises(AssertionError):
        assert_outcome_starts_at_origin(wandering_bars(LENGTH), WARM_UP, 5, a_day_early)


def test_a_filter_that_weighs_its_candidates_by_the_future_is_caught(monkeypatch):
    bars = with_candles(wandering_bars(LENGTH))
    crash = changed(bars, LENGTH - 10, "halved")
    assert_future_is_unseen(bars, LENGTH - 10, crash)
    honest = filtered._log_likelihood

    def of_the_whole_series(squares, variance):
        return np.full(len(variance), honest(squares, variance)[-1])

    monkeypatch.setattr(filtered, "_log_likelihood", of_the_whole_series)
    with pytest.raises(AssertionError):
        assert_future_is_unseen(bars, LENGTH - 10, crash)
