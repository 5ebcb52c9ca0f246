"""Serving and training compute the same rows; what cannot carry a forecast is refused in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from contracts import Bars, MemberSpec
from errors import UnusableSeries
from features.build import check_usable, history_inputs, latest_inputs
from features.filtered import first_bar
from features.spec import BARS_NEEDED, FEATURE_NAMES, LARGEST_VALUE, RANGE_NAMES, ROW_WIDTHS, WARM_UP, WINDOW_STEPS
from tests.features.guards import assert_same_rows
from tests.features.series import (
    CANDLES,
    closes_from,
    first_bars,
    last_bars,
    made_bars,
    returns_like_prices,
    wandering_bars,
    weekdays,
    with_candles,
)

LENGTH = WARM_UP + 60
LONG = 1700  # in its seventh year
BOTH = pytest.mark.parametrize("candles", [False, True], ids=["closes", "candles"])


def some_bars(n_bars, seed=1, symbol="AAPL", *, candles):
    bars = wandering_bars(n_bars, seed, symbol)
    return with_candles(bars, seed) if candles else bars


@BOTH
def test_shapes_and_types(candles):
    matrix, rows = history_inputs(some_bars(LENGTH, candles=candles))
    assert rows.tolist() == list(range(WARM_UP, LENGTH))
    assert matrix.tabular.shape == (len(rows), len(FEATURE_NAMES))
    assert matrix.windows.shape == (len(rows), WINDOW_STEPS, 3)
    assert matrix.tabular.dtype == matrix.windows.dtype == np.float32
    assert matrix.sigma.shape == matrix.regime.shape == (len(rows),)
    if candles:
        assert matrix.ranges.shape == (len(rows), len(RANGE_NAMES))
        assert matrix.ranges.dtype == np.float32
    else:
        assert matrix.ranges is None


def test_a_member_gets_the_rows_it_takes_the_features_first():
    matrix, _ = history_inputs(some_bars(LENGTH, candles=True))
    for takes, width in ROW_WIDTHS.items():
        rows = matrix.rows_for(takes)
        assert rows.shape == (len(matrix), width)
        assert rows.dtype == np.float32
        assert_array_equal(rows[:, : len(FEATURE_NAMES)], matrix.tabular)
    assert_array_equal(matrix.rows_for("ranges")[:, len(FEATURE_NAMES) :], matrix.ranges)
    assert_array_equal(matrix.rows_for("flat")[:, len(FEATURE_NAMES) :].reshape(matrix.windows.shape), matrix.windows)


@pytest.mark.parametrize("missing", ["open", "high", "low", "volume"])
def test_without_all_four_columns_there_are_no_ranges_and_nothing_is_made_up(missing):
    bars = replace(some_bars(LENGTH, candles=True), **{missing: None}, fingerprint="")
    assert not bars.has_ranges
    for matrix in (history_inputs(bars)[0], latest_inputs([bars])):
        assert matrix.ranges is None
        assert matrix.take(np.array([0])).ranges is None
        with pytest.raises(ValueError, match="no open, high, low and volume"):
            matrix.rows_for("ranges")
    closes = history_inputs(wandering_bars(LENGTH))[0]
    assert_same_rows(history_inputs(bars)[0], closes)


@pytest.mark.parametrize("order", [1, -1])
def test_one_series_without_ranges_among_others_leaves_none_to_read(order):
    """Rows of one matrix are fed alike; the pipeline asks for each kind of series apart."""
    series = [some_bars(BARS_NEEDED, 1, candles=True), some_bars(BARS_NEEDED, 2, candles=False)][::order]
    assert latest_inputs(series).ranges is None


def test_a_member_that_uses_ranges_fits_bars_with_ranges_alone():
    spec = MemberSpec("har_range", "1", "har_range.npz", "sha256:0", "linear", "ranges", ROW_WIDTHS["ranges"])
    assert [spec.fits(has_ranges) for has_ranges in (True, False)] == [True, False]
    for takes in ("tabular", "flat"):
        other = replace(spec, takes=takes)
        assert other.fits(True)
        assert other.fits(False)


@given(seed=st.integers(0, 10_000), length=st.integers(BARS_NEEDED, LONG), candles=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_last_bars_alone_give_the_row_of_the_whole_history(seed, length, candles):
    """Over three New Years; what lies more than four years before the bar's own year is not needed."""
    bars = some_bars(LONG, seed, candles=candles)
    history, rows = history_inputs(bars)
    start = first_bar(bars.times.astype("datetime64[D]"), length - 1, WARM_UP)
    served = latest_inputs([last_bars(first_bars(bars, length), length - start)])
    assert_same_rows(served, history.take(np.flatnonzero(rows == length - 1)))


@given(seed=st.integers(0, 10_000), first=st.integers(0, LENGTH - 1), candles=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_history_from_a_bar_on_is_the_end_of_the_whole(seed, first, candles):
    bars = some_bars(LENGTH, seed, candles=candles)
    whole, all_rows = history_inputs(bars)
    late, rows = history_inputs(bars, first)
    assert rows.tolist() == [row for row in all_rows if row >= first]
    assert_same_rows(late, whole.take(np.flatnonzero(all_rows >= first)))


@given(seeds=st.lists(st.integers(0, 10_000), min_size=2, max_size=9), extra=st.integers(0, 30), candles=st.booleans())
@settings(max_examples=20, deadline=None)
def test_many_side_by_side_are_as_one_by_one(seeds, extra, candles):
    series = [some_bars(BARS_NEEDED + extra * (i % 2), seed, f"S{i}", candles=candles) for i, seed in enumerate(seeds)]
    together = latest_inputs(series)
    for i, bars in enumerate(series):
        assert_same_rows(together.take(np.array([i])), latest_inputs([bars]))


@BOTH
def test_prices_before_the_window_are_not_read(candles):
    bars = some_bars(LONG, candles=candles)
    start = first_bar(bars.times.astype("datetime64[D]"), LONG - 1, WARM_UP)
    assert start > 250
    before = np.where(np.arange(LONG) < start, 7.0, 1.0)
    names = ("close", *CANDLES) if candles else ("close",)
    changed = replace(bars, fingerprint="", **{name: getattr(bars, name) * before for name in names})
    assert_same_rows(latest_inputs([changed]), latest_inputs([bars]))


def test_no_fewer_bars_would_do():
    bars = wandering_bars(BARS_NEEDED)
    short = made_bars(bars.close[2:], times=bars.times[2:])
    assert not np.isfinite(latest_inputs([short]).windows).all()


@pytest.mark.parametrize("factor", [1e-6, 0.01, 3.7, 151.0, 1e6])
@BOTH
def test_the_price_level_drops_out(factor, candles):
    bars = some_bars(LENGTH, candles=candles)
    names = ("close", "open", "high", "low") if candles else ("close",)
    dearer = replace(bars, fingerprint="", **{name: getattr(bars, name) * factor for name in names})
    plain, scaled = (history_inputs(each)[0] for each in (bars, dearer))
    assert_allclose(scaled.sigma, plain.sigma, rtol=1e-9)
    assert_allclose(scaled.regime, plain.regime, rtol=0, atol=1e-9)
    # single precision rounds two neighbours to either side
    assert_allclose(scaled.tabular, plain.tabular, rtol=2e-7, atol=1e-9)
    assert_allclose(scaled.windows, plain.windows, rtol=2e-7, atol=1e-9)
    if candles:
        assert_allclose(scaled.ranges, plain.ranges, rtol=2e-7, atol=1e-9)


def test_returns_twice_as_large_are_the_same_but_for_sigma():
    returns = returns_like_prices(LENGTH)
    calm, wild = (history_inputs(made_bars(closes_from(returns * k)))[0] for k in (1.0, 2.0))
    assert_allclose(wild.sigma, 2 * calm.sigma, rtol=1e-9)
    assert_allclose(wild.rows_for("flat"), calm.rows_for("flat"), rtol=2e-5, atol=2e-6)


def test_adjusted_closes_are_what_is_read():
    bars = wandering_bars(LENGTH)
    split = bars.close.copy()
    split[:-5] *= 4
    adjusted = Bars("AAPL", "1d", bars.times, split, "made up", adj_close=bars.close.copy())
    assert_same_rows(latest_inputs([adjusted]), latest_inputs([bars]))


def strange_candles(bars):
    """Bars without range, ranges of a thousandth to a thousandfold, and days without volume."""
    rng = np.random.default_rng(len(bars))
    kind = rng.integers(0, 4, len(bars))
    reach = np.where(kind == 0, 0.0, np.exp(rng.uniform(-7, 7, len(bars)) * (kind == 1) - 5.0 * (kind == 2)))
    high, low = (np.exp(np.clip(np.log(bars.close) + sign * reach, -709, 709)) for sign in (1, -1))
    opening = np.where(rng.random(len(bars)) < 0.5, high, low)
    volume = np.where(rng.random(len(bars)) < 0.3, 0.0, np.exp(rng.uniform(-10, 40, len(bars))))
    high, low = np.maximum(high, bars.close), np.minimum(low, bars.close)
    return replace(bars, open=opening, high=high, low=low, volume=volume, fingerprint="")


segment = st.tuples(
    st.integers(1, 200),
    st.sampled_from(["calm", "wild", "flat", "jump", "drift"]),
    st.floats(-12, 0),
    st.integers(0, 10_000),
)


def stretch(length, kind, log_scale, seed):
    """(length,) log returns."""
    rng, scale = np.random.default_rng(seed), np.exp(log_scale)
    if kind == "calm":
        return scale * rng.standard_normal(length)
    if kind == "wild":
        return np.clip(scale * rng.standard_cauchy(length), -20, 20)
    if kind == "drift":
        return np.full(length, -scale)
    if kind == "jump":
        return np.where(np.arange(length) == 0, rng.choice([-30.0, 30.0]), scale)
    return np.zeros(length)


def strange_closes(segments, log_start):
    """(n_bars,) prices made of stretches that rest, jump, drift or run wild, within what a float can hold."""
    returns = np.concatenate([stretch(*each) for each in segments])
    return np.exp(np.clip(log_start + np.cumsum(np.resize(returns, BARS_NEEDED + 40)), -700, 700))


@given(segments=st.lists(segment, min_size=3, max_size=8), log_start=st.floats(-300, 300))
@settings(max_examples=80, deadline=None)
def test_whatever_is_accepted_gives_finite_bounded_inputs(segments, log_start):
    bars = made_bars(strange_closes(segments, log_start))
    try:
        check_usable(bars)
    except UnusableSeries:
        assume(False)
    _assert_sound(latest_inputs([bars]))
    _assert_sound(latest_inputs([strange_candles(bars)]))


@given(segments=st.lists(segment, min_size=3, max_size=8), log_start=st.floats(-300, 300))
@settings(max_examples=80, deadline=None)
def test_training_rows_are_finite_whatever_the_history_holds(segments, log_start):
    bars = made_bars(strange_closes(segments, log_start))
    _assert_sound(history_inputs(bars)[0])
    _assert_sound(history_inputs(strange_candles(bars))[0])


def test_a_year_without_a_move_leaves_out_the_rows_that_still_see_it():
    returns = returns_like_prices(900)
    returns[350:650] = 0.0
    matrix, rows = history_inputs(made_bars(closes_from(returns)))
    _assert_sound(matrix)
    resumed = 650 + WINDOW_STEPS - 1  # the first bar whose window no longer holds such a bar
    assert set(range(WARM_UP, 900)) - set(rows.tolist()) == set(range(first_still(returns), resumed))


def first_still(returns):
    """The first bar whose volatility, by a slow sum, is below what counts as moving."""
    weights = 0.94 ** np.arange(250)
    weights /= weights.sum()
    sigma = [np.sqrt((returns[t - np.arange(250)] ** 2 * weights).sum()) for t in range(350, 650)]
    return 350 + int(np.flatnonzero(np.array(sigma) < 1e-5)[0])


def _assert_sound(matrix):
    inputs = [matrix.tabular, matrix.windows] + ([] if matrix.ranges is None else [matrix.ranges])
    for values in (*inputs, matrix.sigma, matrix.regime):
        assert np.isfinite(values).all()
    assert max(np.abs(values).max(initial=0) for values in inputs) <= LARGEST_VALUE
    assert (matrix.sigma > 0).all()


def refusal(bars):
    with pytest.raises(UnusableSeries) as caught:
        check_usable(bars)
    return caught.value.message


def test_enough_bars_are_accepted_and_one_fewer_is_refused():
    check_usable(wandering_bars(BARS_NEEDED))
    message = refusal(wandering_bars(BARS_NEEDED - 1))
    assert message == f"AAPL has {BARS_NEEDED - 1} bars; a forecast needs {BARS_NEEDED}"


def test_a_gap_of_a_month_is_bridged_and_a_day_more_is_refused():
    bars = wandering_bars(BARS_NEEDED + 10)
    days = weekdays(len(bars)).astype("datetime64[D]")
    for gap, accepted in ((30, True), (31, False)):
        times = days.copy()
        times[200:] += gap - int((days[200] - days[199]).astype(int))
        gappy = made_bars(bars.close, times=times)
        if accepted:
            check_usable(gappy)
        else:
            assert refusal(gappy) == f"AAPL has a gap of 31 days in its last {BARS_NEEDED} bars; at most 30 are bridged"


def test_a_gap_before_the_window_does_not_matter():
    bars = wandering_bars(BARS_NEEDED + 10)
    times = weekdays(len(bars)).astype("datetime64[D]")
    times[:10] -= 400
    check_usable(made_bars(bars.close, times=times))


def test_a_constant_price_is_refused():
    assert refusal(made_bars(np.full(LENGTH, 20.0))) == (
        f"AAPL moved on only 0% of its last {BARS_NEEDED} bars; at least 50% is needed"
    )


def test_a_price_that_rests_more_than_half_of_the_time_is_refused():
    returns = returns_like_prices(BARS_NEEDED)
    for unchanged, accepted in ((157, True), (158, False)):  # of 314 returns
        resting = returns.copy()
        resting[1 : 1 + unchanged] = 0.0
        bars = made_bars(closes_from(resting))
        if accepted:
            check_usable(bars)
        else:
            assert refusal(bars).startswith("AAPL moved on only 50% of its last")


def test_a_halted_price_is_refused_after_twenty_bars():
    returns = returns_like_prices(BARS_NEEDED)
    returns[-19:] = 0.0
    check_usable(made_bars(closes_from(returns)))
    returns[-20:] = 0.0
    assert refusal(made_bars(closes_from(returns))) == (
        "AAPL has not moved for its last 20 bars: trading seems to have been halted"
    )


def test_a_price_whose_volatility_is_nothing_is_refused():
    bars = made_bars(closes_from(returns_like_prices(BARS_NEEDED, volatility=1e-7)))
    assert refusal(bars) == "AAPL has stopped moving: its current volatility is zero"
