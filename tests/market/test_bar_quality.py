"""Nothing unchecked gets into Bars, and nothing is left out in silence."""

import math
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import UnusableSeries
from market.quality import MAX_BAD_SHARE, RANGE_TOLERANCE, checked_bars

SOUND = 60
COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")
ODD_VALUES = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e300, 10.0, 10.4, 9.7])


def days(count, first="2020-01-01"):
    return np.datetime64(first) + np.arange(count)


def sound_columns(count):
    """Gently moving prices in which every rule holds with room to spare."""
    close = 10 + 0.1 * np.sin(np.arange(count))
    prices = {"open": close - 0.05, "high": close + 0.2, "low": close - 0.2, "close": close}
    return {**prices, "adj_close": close / 2, "volume": 100.0 + np.arange(count)}


def build(times, columns, **options):
    return checked_bars("AAPL", options.pop("timeframe", "1d"), "test", times, **columns, **options)


def with_value(name, at, value, count=SOUND):
    columns = sound_columns(count)
    columns[name] = columns[name].copy()
    columns[name][at] = value
    return columns


def dropped(bars):
    return [issue for issue in bars.issues if issue.problem.startswith("dropped: ")]


@st.composite
def spoilt_rows(draw):
    """(times, columns): shuffled, repeated and corrupted rows."""
    times, columns = days(SOUND), sound_columns(SOUND)
    picks = draw(st.lists(st.integers(0, SOUND - 1), max_size=6))
    order = draw(st.permutations([*range(SOUND), *picks]))
    columns = {name: values[order] for name, values in columns.items()}
    for row in draw(st.lists(st.integers(0, len(order) - 1), max_size=3)):
        columns[draw(st.sampled_from(COLUMNS))][row] = draw(ODD_VALUES)
    return times[order], columns


def naive_row_is_sound(row):
    if not all(math.isfinite(row[name]) and row[name] > 0 for name in COLUMNS if name != "volume"):
        return False
    if not (math.isfinite(row["volume"]) and row["volume"] >= 0) or row["high"] < row["low"]:
        return False
    floor, ceiling = row["low"] * (1 - RANGE_TOLERANCE), row["high"] * (1 + RANGE_TOLERANCE)
    return floor <= row["open"] <= ceiling and floor <= row["close"] <= ceiling


def naive_survivors(times, columns):
    """The slow obvious version of all rules but the misprint: time -> row."""
    groups: dict[np.datetime64, set[tuple[str, ...]]] = {}
    for at, time in enumerate(times):
        groups.setdefault(time, set()).add(tuple(repr(float(columns[name][at])) for name in COLUMNS))
    single = {time: next(iter(group)) for time, group in groups.items() if len(group) == 1}
    rows = {time: dict(zip(COLUMNS, map(float, cells), strict=True)) for time, cells in single.items()}
    return {time: row for time, row in rows.items() if naive_row_is_sound(row)}


@settings(deadline=None)
@given(spoilt_rows())
def test_what_survives_is_sound_and_what_does_not_is_reported(case):
    times, columns = case
    try:
        bars = build(times, columns)
    except UnusableSeries:
        return
    assert np.all(np.diff(bars.times) > np.timedelta64(0))
    for name in ("open", "high", "low", "close", "adj_close"):
        assert np.all(np.isfinite(getattr(bars, name)))
        assert np.all(getattr(bars, name) > 0)
    assert np.all(bars.volume >= 0)
    assert Counter(str(time) for time in times) == Counter(
        [*(str(time) for time in bars.times), *(issue.time for issue in dropped(bars))]
    )


@settings(deadline=None)
@given(spoilt_rows())
def test_the_rules_agree_with_their_naive_version(case):
    times, columns = case
    expected = naive_survivors(times, columns)
    try:
        bars = build(times, columns)
    except UnusableSeries:
        assert len(expected) < SOUND
        return
    misprints = {issue.time for issue in dropped(bars) if "misprint" in issue.problem}
    assert [str(time) for time in bars.times] == sorted({str(time) for time in expected} - misprints)
    assert [expected[time]["close"] for time in bars.times] == list(bars.close)


@settings(deadline=None)
@given(st.permutations(range(SOUND)))
def test_the_order_of_the_rows_does_not_matter(order):
    columns = {name: values[order] for name, values in sound_columns(SOUND).items()}
    shuffled = build(days(SOUND)[order], columns)
    assert shuffled.fingerprint == build(days(SOUND), sound_columns(SOUND)).fingerprint
    assert shuffled.issues == ()


def test_the_fingerprint_names_the_prices_and_not_their_supplier():
    columns = sound_columns(SOUND)
    here = checked_bars("AAPL", "1d", "here", days(SOUND), **columns)
    assert here.fingerprint == checked_bars("AAPL", "1d", "there", days(SOUND), **columns).fingerprint
    changed = build(days(SOUND), with_value("close", 3, 10.01))
    assert changed.fingerprint != here.fingerprint


def test_the_caller_keeps_arrays_that_can_be_written_to():
    times, columns = days(SOUND), sound_columns(SOUND)
    bars = build(times, columns)
    columns["close"][0] = times[0] = 1
    assert bars.close[0] == 10
    assert not bars.close.flags.writeable


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("close", math.nan, "close is missing"),
        ("close", math.inf, "close is not finite"),
        ("close", 0.0, "close is not positive"),
        ("adj_close", -1.0, "adj_close is not positive"),
        ("open", 0.0, "open is missing"),
        ("open", -2.0, "open is not positive"),
        ("volume", -1.0, "volume is negative"),
        ("volume", math.nan, "volume is missing"),
        ("high", 9.0, "high is below low"),
        ("open", 10.5, "open is outside low to high"),
        ("close", 10.5, "close is outside low to high"),
        ("close", 9.5, "close is outside low to high"),
    ],
)
def test_a_bad_bar_is_dropped_and_reported(name, value, problem):
    bars = build(days(SOUND), with_value(name, 7, value))
    assert len(bars) == SOUND - 1
    assert [(issue.time, issue.problem) for issue in bars.issues] == [("2020-01-08", f"dropped: {problem}")]


@pytest.mark.parametrize(("overshoot", "kept"), [(0.004, True), (0.006, False)])
def test_rounding_of_half_a_percent_beyond_the_range_is_no_fault(overshoot, kept):
    columns = sound_columns(SOUND)
    columns["close"][7] = columns["high"][7] * (1 + overshoot)
    assert (len(build(days(SOUND), columns)) == SOUND) is kept


def test_identical_duplicates_collapse_and_conflicting_ones_both_go():
    times = np.append(days(SOUND), days(SOUND)[[4, 9]])
    columns = {name: np.append(values, values[[4, 9]]) for name, values in sound_columns(SOUND).items()}
    columns["volume"][-1] += 1
    bars = build(times, columns)
    assert [(issue.time, issue.problem) for issue in bars.issues] == [
        ("2020-01-05", "dropped: an identical bar came before"),
        ("2020-01-10", "dropped: bars of the same time disagree"),
        ("2020-01-10", "dropped: bars of the same time disagree"),
    ]
    assert len(bars) == SOUND - 1


def test_a_series_given_twice_is_not_a_bad_one():
    columns = {name: np.tile(values, 2) for name, values in sound_columns(SOUND).items()}
    assert len(build(np.tile(days(SOUND), 2), columns)) == SOUND


def test_an_unreadable_time_is_dropped():
    times = days(SOUND)
    times[3] = np.datetime64("NaT")
    bars = build(times, sound_columns(SOUND))
    assert [(i.time, i.problem) for i in bars.issues] == [("NaT", "dropped: its time cannot be read")]


@pytest.mark.parametrize(
    ("timeframe", "step", "now", "kept"),
    [
        ("1d", "D", datetime(2020, 2, 27, 12, tzinfo=UTC), 59),
        ("1d", "D", datetime(2020, 2, 28, 12, tzinfo=UTC), 60),
        ("1h", "h", datetime(2020, 1, 3, 10, 59, tzinfo=UTC), 59),
        ("1h", "h", datetime(2020, 1, 3, 11, 0, tzinfo=UTC), 60),
    ],
)
def test_bars_from_the_future_are_dropped(timeframe, step, now, kept):
    times = np.datetime64("2020-01-01", step) + np.arange(SOUND)
    bars = build(times, sound_columns(SOUND), timeframe=timeframe, now=now)
    assert len(bars) == kept


@pytest.mark.parametrize(("bad", "refused"), [(3, False), (4, True)])
def test_more_than_one_bad_bar_in_twenty_refuses_the_series(bad, refused):
    assert SOUND * MAX_BAD_SHARE == 3
    columns = with_value("close", slice(0, bad), -1.0)
    if not refused:
        assert len(build(days(SOUND), columns)) == SOUND - bad
        return
    with pytest.raises(UnusableSeries) as refusal:
        build(days(SOUND), columns)
    assert refusal.value.message.startswith("AAPL: 4 of 60 1d bars are unusable, at most 5% may be; first: ")
    assert "2020-01-01 close is not positive; 2020-01-02" in refusal.value.message
    first = refusal.value.details[0]
    assert (first.field, first.problem) == ("2020-01-01", "close is not positive")


def test_no_more_than_five_offenders_are_named():
    with pytest.raises(UnusableSeries) as refusal:
        build(days(SOUND), with_value("close", slice(0, 30), math.nan))
    assert len(refusal.value.details) == 5


@pytest.mark.parametrize("close", [[], [math.nan]])
def test_a_series_without_a_sound_bar_is_refused(close):
    with pytest.raises(UnusableSeries, match="AAPL"):
        build(np.array(["2020-01-01"][: len(close)], dtype="datetime64[D]"), {"close": np.array(close)})


def test_columns_of_different_length_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="volume has shape"):
        build(days(SOUND), {"close": np.ones(SOUND), "volume": np.ones(SOUND - 1)})


@pytest.mark.parametrize(
    ("name", "value"), [("volume", 0.0), ("volume", math.nan), ("open", 0.0), ("adj_close", math.nan)]
)
def test_a_column_that_holds_nothing_is_none_without_ado(name, value):
    bars = build(days(SOUND), with_value(name, slice(None), value))
    assert getattr(bars, name) is None
    assert bars.issues == ()


def test_a_day_without_trading_keeps_its_zero_volume():
    assert build(days(SOUND), with_value("volume", 5, 0.0)).volume[5] == 0


@pytest.mark.parametrize("missing", [0.0, math.nan])
def test_when_open_is_often_missing_the_range_columns_go_and_the_closes_stay(missing):
    bars = build(days(SOUND), with_value("open", slice(0, 10), missing))
    assert len(bars) == SOUND
    assert not bars.has_ranges
    assert (bars.open, bars.high, bars.low) == (None, None, None)
    assert [issue.problem for issue in bars.issues] == [
        "ignored: column high, open had to go",
        "ignored: column low, open had to go",
        "ignored: column open, it is missing in too many bars",
    ]


def test_when_volume_is_often_missing_only_volume_goes():
    bars = build(days(SOUND), with_value("volume", slice(0, 10), math.nan))
    assert bars.volume is None
    assert all(column is not None for column in (bars.open, bars.high, bars.low))


def test_a_patchy_adjusted_close_refuses_rather_than_switching_to_unadjusted_returns():
    with pytest.raises(UnusableSeries, match="adj_close is missing"):
        build(days(SOUND), with_value("adj_close", slice(0, 10), math.nan))


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_misprint_that_the_next_bar_undoes_is_dropped(factor):
    close = np.full(SOUND, 10.0)
    close[5] *= factor
    bars = build(days(SOUND), {"close": close})
    assert len(bars) == SOUND - 1
    assert [(i.time, i.problem) for i in bars.issues] == [("2020-01-06", "dropped: a misprint, undone by the next bar")]


@pytest.mark.parametrize(
    ("at", "level", "after", "jump"),
    [(5, 30.0, 30.0, "+200%"), (5, 30.0, 14.0, "+200%"), (5, 18.5, 12.0, "+85%"), (SOUND - 1, 30.0, 30.0, "+200%")],
    ids=["it stays", "it is partly undone", "the way back is no jump", "the last bar cannot be judged"],
)
def test_a_jump_that_stays_is_kept_and_reported(at, level, after, jump):
    close = np.full(SOUND, 10.0)
    close[at], close[at + 1 :] = level, after
    bars = build(days(SOUND), {"close": close})
    assert len(bars) == SOUND
    assert bars.issues[0].time == str(days(SOUND)[at])
    assert bars.issues[0].problem == f"kept: a jump of {jump} in one bar"


def test_jumps_are_looked_for_in_adjusted_prices():
    close = np.where(np.arange(SOUND) < 30, 40.0, 10.0)
    bars = build(days(SOUND), {"close": close, "adj_close": np.full(SOUND, 10.0)})
    assert bars.issues == ()


def test_a_misprinted_close_is_dropped_though_the_adjusted_one_is_right():
    close = np.full(SOUND, 10.0)
    close[5] = 30.0
    bars = build(days(SOUND), {"close": close, "adj_close": np.full(SOUND, 9.0)})
    assert [(i.time, i.problem) for i in bars.issues] == [("2020-01-06", "dropped: a misprint, undone by the next bar")]


def test_a_newest_close_that_the_adjusted_one_does_not_know_is_reported():
    close = np.full(SOUND, 10.0)
    close[-1] = 30.0
    bars = build(days(SOUND), {"close": close, "adj_close": np.full(SOUND, 9.0)})
    assert [(i.time, i.problem) for i in bars.issues] == [(str(days(SOUND)[-1]), "kept: a jump of +200% in one bar")]


@pytest.mark.parametrize(("name", "value", "said"), [("high", 40.0, "+300%"), ("low", 4.0, "-60%")])
def test_a_high_or_low_far_from_the_rest_of_its_bar_is_reported(name, value, said):
    columns = {it: np.full(SOUND, 10.0) for it in ("open", "high", "low", "close")}
    columns[name][5] = value
    bars = build(days(SOUND), columns)
    assert len(bars) == SOUND
    assert [(i.time, i.problem) for i in bars.issues] == [("2020-01-06", f"kept: {name} is {said} from open and close")]


def test_hourly_bars_keep_their_hours_and_daily_ones_only_the_date():
    times = np.datetime64("1969-12-31T05:00:00", "ns") + np.arange(SOUND) * np.timedelta64(1, "D")
    hourly = build(times, sound_columns(SOUND), timeframe="1h")
    assert (hourly.times.dtype, str(hourly.times[0])) == (np.dtype("datetime64[s]"), "1969-12-31T05:00:00")
    daily = build(times, sound_columns(SOUND))
    assert (daily.times.dtype, str(daily.times[0])) == (np.dtype("datetime64[D]"), "1969-12-31")
