"""Windows hold origins whose outcomes they hold too; outcomes are what happened, or nothing."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backtest.splits import Window, log_returns_ahead, times_ahead
from tests.features.series import wandering_bars

BARS = wandering_bars(200)
ROWS = np.arange(20, 200, 7)
HORIZONS = np.array([1, 5, 90])
WINDOW = Window(date(2001, 4, 2), date(2001, 8, 31))


def test_outcomes_equal_a_slow_twin():
    ahead = log_returns_ahead(BARS.close, ROWS, HORIZONS)
    assert ahead.shape == (len(ROWS), 3)
    for i, row in enumerate(ROWS):
        for j, horizon in enumerate(HORIZONS):
            if row + horizon < 200:
                assert ahead[i, j] == pytest.approx(np.log(BARS.close[row + horizon] / BARS.close[row]), abs=1e-12)
            else:
                assert np.isnan(ahead[i, j])


def test_times_are_those_of_the_outcomes():
    ends = times_ahead(BARS.times, ROWS, HORIZONS)
    for i, row in enumerate(ROWS):
        for j, horizon in enumerate(HORIZONS):
            if row + horizon < 200:
                assert ends[i, j] == BARS.times[row + horizon]
            else:
                assert np.isnat(ends[i, j])
    assert_array_equal(np.isnat(ends), np.isnan(log_returns_ahead(BARS.close, ROWS, HORIZONS)))


def test_a_window_holds_what_begins_and_ends_inside_it():
    origins, ends = BARS.times[ROWS], times_ahead(BARS.times, ROWS, HORIZONS)
    held = WINDOW.holds(origins, ends)
    for i, j in np.ndindex(held.shape):
        begins = origins[i] >= np.datetime64("2001-04-02")
        assert held[i, j] == bool(begins and ends[i, j] <= np.datetime64("2001-08-31"))
    assert held.any(axis=0).all()
    assert not held.all(axis=0).any()


def test_both_ends_of_a_window_belong_to_it():
    days = np.array(["2001-03-30", "2001-04-02", "2001-08-31", "2001-09-03"], "datetime64[D]")
    assert WINDOW.holds(days[:2], days[1:3, None]).tolist() == [[False], [True]]
    assert WINDOW.holds(days[1:3], days[2:, None]).tolist() == [[True], [False]]


def test_an_outcome_that_is_not_known_is_in_no_window():
    held = Window(date(1970, 1, 1), date(2999, 1, 1)).holds(BARS.times[-1:], np.array([[np.datetime64("NaT")]]))
    assert not held.any()


def assert_later_prices_unused(window):
    """The outcomes that a window holds are the same whatever prices follow it."""
    changed = BARS.close.copy()
    changed[BARS.times > np.datetime64(window.end)] *= 3
    held = window.holds(BARS.times[ROWS], times_ahead(BARS.times, ROWS, HORIZONS))
    ours, theirs = (np.where(held, log_returns_ahead(closes, ROWS, HORIZONS), 0.0) for closes in (BARS.close, changed))
    assert_allclose(ours, theirs, rtol=0, atol=0)


def test_no_price_after_the_window_enters_an_outcome_of_it():
    assert_later_prices_unused(WINDOW)


def test_a_window_that_only_looks_at_origins_is_caught():
    class Unpurged(Window):
        def holds(self, origins, ends):
            inside = (origins >= np.datetime64(self.start)) & (origins <= np.datetime64(self.end))
            return inside[:, None] & ~np.isnat(ends)

    with pytest.raises(AssertionError):
        assert_later_prices_unused(Unpurged(WINDOW.start, WINDOW.end))
