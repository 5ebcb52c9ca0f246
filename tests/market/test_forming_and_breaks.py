"""Which bar is over, and where a series breaks without news."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.breaks import mended, with_splits_applied
from market.calendars import ExchangeCalendars
from market.forming import completed
from market.vendor import Series, Split

CALENDARS = ExchangeCalendars()
DAYS = np.array(["2024-03-14", "2024-03-15"], dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("calendar", "now", "last_is_over"),
    [
        ("XNYS", "2024-03-15T15:00", False),
        ("XNYS", "2024-03-15T20:10", False),  # closed at 20:00, and the vendor is late
        ("XNYS", "2024-03-15T20:21", True),
        ("XTKS", "2024-03-15T07:00", True),  # three in the afternoon there is six in the morning
        ("24/7", "2024-03-15T23:59", False),
        ("24/7", "2024-03-16T00:00", True),
    ],
)
def test_a_day_counts_once_its_session_is_over(calendar, now, last_is_over):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert completed(DAYS, "1d", calendar, CALENDARS, moment).tolist() == [True, last_is_over]


def test_an_hour_counts_once_it_has_passed():
    stamps = np.array(["2024-03-15T13:30", "2024-03-15T14:30", "NaT"], dtype="datetime64[s]")
    at = [datetime(2024, 3, 15, 15, minute, tzinfo=UTC) for minute in (29, 30)]
    assert [completed(stamps, "1h", "XNYS", CALENDARS, now).tolist() for now in at] == [
        [True, False, True],
        [True, True, True],
    ]


RATIOS = st.lists(st.sampled_from([1.0, 1.0, 1.0, 2.0, 4.0, 1.5, 0.1]), min_size=1, max_size=30)


@given(RATIOS)
def test_prices_are_divided_by_every_later_split(ratios):
    traded = {
        "close": np.full(len(ratios), 100.0),
        "volume": np.full(len(ratios), 7.0),
        "adj_close": np.ones(len(ratios)),
    }
    found = with_splits_applied(traded, np.array(ratios))
    for i in range(len(ratios)):
        later = np.prod(ratios[i + 1 :])
        assert found["close"][i] == pytest.approx(100.0 / later)
        assert found["volume"][i] == pytest.approx(7.0 * later)
    assert (found["adj_close"] == 1).all()


def series(closes, *, splits=(), adjusts_splits=True):
    days = np.datetime64("2024-01-01") + np.arange(len(closes))
    return Series(days, {"close": np.array(closes, float)}, splits=splits, adjusts_splits=adjusts_splits)


@pytest.mark.parametrize("ratio", [2.0, 1.5, 20.0, 0.1])
@pytest.mark.parametrize("is_applied", [True, False])
def test_a_split_is_applied_once_whoever_does_it(ratio, is_applied):
    closes = np.array([10.0, 10.1, 10.05, 10.2, 10.1])
    given_closes = closes.copy()
    if not is_applied:
        given_closes[:3] *= ratio
    day = np.datetime64("2024-01-04")
    found, issues = mended(series(given_closes, splits=(Split(day, ratio),)))
    assert np.allclose(found.columns["close"], closes)
    assert len(issues) == (not is_applied)


def test_a_fall_on_the_day_of_a_split_is_not_taken_for_it():
    closes = [10.0, 10.0, 7.5, 7.5]
    found, issues = mended(series(closes, splits=(Split(np.datetime64("2024-01-03"), 2.0),)))
    assert (found.columns["close"].tolist(), issues) == (closes, [])


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_series_starts_after_the_last_change_of_unit(factor):
    closes = np.array([1.0, 1.01, 1.02, 1.0, 1.01])
    closes[2:] *= factor
    found, issues = mended(series(closes))
    assert found.columns["close"].tolist() == closes[2:].tolist()
    assert issues[0].problem.startswith("dropped: 2 bars before 2024-01-03")


def test_a_misprint_by_a_factor_of_a_hundred_is_no_change_of_unit():
    found, issues = mended(series([1.0, 1.0, 100.0, 1.0, 1.0]))
    assert (len(found.times), issues) == (5, [])


def test_a_move_counts_as_a_split_only_where_the_vendor_does_not_adjust():
    closes = [10.0, 10.0, 7.0, 7.1]
    assert len(mended(series(closes))[0].times) == 4
    found, issues = mended(series(closes, adjusts_splits=False))
    assert (found.columns["close"].tolist(), len(issues)) == ([7.0, 7.1], 1)


def test_rows_come_out_oldest_first():
    given_series = series([1.0, 2.0, 3.0])
    turned = Series(given_series.times[::-1], {"close": given_series.columns["close"][::-1]})
    assert mended(turned)[0].columns["close"].tolist() == [1.0, 2.0, 3.0]
