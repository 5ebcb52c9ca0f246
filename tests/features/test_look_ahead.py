"""What happens later changes nothing now; and one line of look-ahead is caught."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.splits import log_returns_ahead
from features import build
from features import returns as f
from features.spec import FEATURES, WARM_UP, Feature
from features.windows import rolling_mean
from tests.features.guards import assert_future_is_unseen, assert_outcome_starts_at_origin
from tests.features.series import wandering_bars

LENGTH = WARM_UP + 40


@given(seed=st.integers(0, 10_000), cut=st.integers(WARM_UP + 1, LENGTH - 1), data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_future_changes_an_input_of_the_past(seed, cut, data):
    bars = wandering_bars(LENGTH, seed)
    future = bars.close[cut:]
    choice = data.draw(st.sampled_from(["shuffled", "crashed", "reversed", "flat"]))
    changed = {
        "shuffled": np.random.default_rng(seed).permutation(future),
        "crashed": future * np.linspace(0.9, 0.01, len(future)),
        "reversed": future[::-1],
        "flat": np.full_like(future, future[0]),
    }[choice]
    assert_future_is_unseen(bars, cut, changed)


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
    crash = bars.close[LENGTH - 10 :] * 0.5
    assert_future_is_unseen(bars, LENGTH - 10, crash)
    monkeypatch.setattr(build, "FEATURES", (*FEATURES[1:], LEAKS[leak]))
    with pytest.raises(AssertionError):
        assert_future_is_unseen(bars, LENGTH - 10, crash)


def test_a_volatility_smoothed_over_the_future_is_caught(monkeypatch):
    bars = wandering_bars(LENGTH)
    crash = bars.close[LENGTH - 10 :] * 0.5
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
