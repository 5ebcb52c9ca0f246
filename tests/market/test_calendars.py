"""Spellings name the right exchange, and exchanges trade when they do."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from exchange_calendars import get_calendar, get_calendar_names
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import AssetClass
from errors import UnknownSymbol, UnusableSeries
from market.calendars import ExchangeCalendars, describe
from market.exchanges import INDEX_VENUES, SUFFIXES

CALENDARS = ExchangeCalendars()


@pytest.mark.parametrize(
    ("symbol", "asset_class", "calendar", "currency", "exchange"),
    [
        ("AAPL", "equity", "XNYS", "USD", None),
        ("BRK-B", "equity", "XNYS", "USD", None),
        ("BRK.B", "equity", "XNYS", "USD", None),
        ("L", "equity", "XNYS", "USD", None),
        ("SAP.DE", "equity", "XETR", "EUR", "XETRA"),
        ("VOD.L", "equity", "XLON", "GBp", "LSE"),
        ("7203.T", "equity", "XTKS", "JPY", "Tokyo"),
        ("0700.HK", "equity", "XHKG", "HKD", "HKEX"),
        ("NOVO-B.CO", "equity", "XCSE", "DKK", "Copenhagen"),
        ("^GSPC", "index", "XNYS", "USD", None),
        ("^N225", "index", "XTKS", "JPY", None),
        ("^UNHEARD", "index", "XNYS", None, None),
        ("BTC-USD", "crypto", "24/7", "USD", None),
        ("ETH-USD", "crypto", "24/7", "USD", None),
        ("BTC-EUR", "crypto", "24/7", "EUR", None),
        ("EURUSD=X", "currency", "24/5", "USD", None),
        ("JPY=X", "currency", "24/5", "JPY", None),
    ],
)
def test_the_spelling_tells_class_calendar_and_currency(symbol, asset_class, calendar, currency, exchange):
    instrument = describe(symbol)
    assert (instrument.symbol, instrument.asset_class) == (symbol, AssetClass(asset_class))
    assert (instrument.calendar, instrument.currency, instrument.exchange) == (calendar, currency, exchange)
    assert instrument.name is None


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("SAP.ZZ", "SAP.ZZ: '.ZZ' names no exchange whose trading days are known here"),
        ("SAP.", "SAP.: '.' names no exchange"),
        ("ES=F", "ES=F: '=F' names no exchange"),
        ("EUR=USD", "EUR=USD: '=USD' names no exchange"),
        ("aapl", "'aapl' is not spelt like a symbol"),
        ("../etc/passwd", "'../etc/passwd' is not spelt like a symbol"),
    ],
)
def test_where_the_calendar_would_be_a_guess_the_symbol_is_refused(symbol, message):
    with pytest.raises(UnknownSymbol) as refusal:
        describe(symbol)
    assert refusal.value.message.startswith(message)


def test_every_calendar_in_the_tables_exists():
    named = {venue.calendar for venue in SUFFIXES.values()} | {calendar for calendar, _ in INDEX_VENUES.values()}
    assert named <= set(get_calendar_names(include_aliases=False))


def test_new_york_rests_on_the_monday_after_christmas_and_new_year():
    days = CALENDARS.sessions_after("XNYS", date(2022, 12, 23), 7)
    assert date(2022, 12, 26) not in days
    assert date(2023, 1, 2) not in days
    assert list(CALENDARS.sessions_after("XNYS", date(2022, 12, 28), 5)) == [
        date(2022, 12, 29),
        date(2022, 12, 30),
        date(2023, 1, 3),
        date(2023, 1, 4),
        date(2023, 1, 5),
    ]


@pytest.mark.parametrize("last", [date(2022, 12, 23), date(2022, 12, 24), date(2022, 12, 25), date(2022, 12, 26)])
def test_sessions_after_a_day_of_rest_are_those_after_the_session_before(last):
    assert CALENDARS.sessions_after("XNYS", last, 1) == [date(2022, 12, 27)]


def test_crypto_trades_every_day_and_currencies_on_weekdays():
    friday = date(2022, 12, 30)
    assert CALENDARS.sessions_after("24/7", friday, 3) == [
        date(2022, 12, 31),
        date(2023, 1, 1),
        date(2023, 1, 2),
    ]
    assert CALENDARS.sessions_after("24/5", friday, 2) == [date(2023, 1, 2), date(2023, 1, 3)]
    assert CALENDARS.sessions_between("24/7", date(2023, 1, 1), date(2023, 12, 31)) == 365
    assert CALENDARS.sessions_between("24/5", friday, date(2023, 1, 8)) == 6


@pytest.mark.parametrize(
    ("calendar", "now", "expected"),
    [
        ("XNYS", "2024-03-08T20:59:59", date(2024, 3, 7)),  # Friday, winter time: closes at 21:00 UTC
        ("XNYS", "2024-03-08T21:00:00", date(2024, 3, 8)),
        ("XNYS", "2024-03-11T19:59:59", date(2024, 3, 8)),  # Monday, summer time: closes at 20:00 UTC
        ("XNYS", "2024-03-11T20:00:00", date(2024, 3, 11)),
        ("XNYS", "2023-11-24T18:00:00", date(2023, 11, 24)),  # the day after Thanksgiving ends at 13:00
        ("XNYS", "2023-01-02T23:00:00", date(2022, 12, 30)),
        ("XTKS", "2024-03-11T06:00:00", date(2024, 3, 11)),
        ("24/7", "2024-03-10T23:59:59", date(2024, 3, 9)),
        ("24/7", "2024-03-11T00:00:00", date(2024, 3, 10)),
        ("24/5", "2024-03-11T12:00:00", date(2024, 3, 8)),
        ("24/5", "1990-01-01T12:00:00", date(1989, 12, 29)),
    ],
)
def test_a_session_is_complete_at_its_close_and_not_before(calendar, now, expected):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert CALENDARS.last_completed_session(calendar, moment) == expected
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5)))
    assert CALENDARS.last_completed_session(calendar, elsewhere) == expected


def test_a_moment_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        CALENDARS.last_completed_session("XNYS", datetime(2024, 3, 8))


@settings(deadline=None)
@given(
    st.sampled_from(["XNYS", "24/7", "24/5"]),
    st.dates(date(1990, 1, 1), date(2035, 12, 31)),
    st.integers(1, 90),
)
def test_the_next_sessions_are_as_many_as_asked_and_without_a_gap(calendar, last, count):
    days = CALENDARS.sessions_after(calendar, last, count)
    assert len(days) == count
    assert days[0] > last
    assert all(earlier < later for earlier, later in pairwise(days))
    assert CALENDARS.sessions_between(calendar, last + timedelta(days=1), days[-1]) == count


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pandas")
def test_new_york_agrees_with_the_library_session_by_session():
    library = get_calendar("XNYS", start="1990-01-01", end="2029-12-31")
    expected = [stamp.date() for stamp in library.sessions]
    assert CALENDARS.sessions_after("XNYS", date(1989, 12, 31), len(expected)) == expected
    last_two_years = zip(library.closes.iloc[-500:], expected[-500:], strict=True)
    assert all(CALENDARS.last_completed_session("XNYS", close) == day for close, day in last_two_years)


def test_years_beyond_the_usual_are_built_when_asked_for():
    calendars = ExchangeCalendars()
    assert calendars.sessions_between("XNYS", date(1980, 1, 1), date(1980, 12, 31)) == 253
    assert calendars.sessions_after("XNYS", date(2039, 12, 30), 1) == [date(2040, 1, 3)]
    assert calendars.sessions_between("XNYS", date(1980, 1, 1), date(1980, 12, 31)) == 253


def test_where_the_holidays_of_an_exchange_are_not_known_weekdays_count():
    assert CALENDARS.sessions_between("XTKS", date(1996, 1, 1), date(1996, 12, 31)) == 262
    assert CALENDARS.sessions_between("XTKS", date(1997, 1, 1), date(1997, 12, 31)) == 245
    assert len(CALENDARS.sessions_after("XSHG", date(2031, 12, 1), 90)) == 90


def test_first_after_last_is_no_session():
    assert CALENDARS.sessions_between("XNYS", date(2024, 1, 5), date(2024, 1, 2)) == 0


def test_years_that_no_prices_are_from_are_refused():
    with pytest.raises(UnusableSeries):
        CALENDARS.sessions_after("XNYS", date(2200, 1, 1), 1)
    with pytest.raises(UnusableSeries):
        CALENDARS.sessions_between("24/7", date(1800, 1, 1), date(2000, 1, 1))


def test_a_calendar_that_does_not_exist_is_a_mistake():
    with pytest.raises(ValueError, match="no calendar 'XXXX'"):
        CALENDARS.sessions_after("XXXX", date(2024, 1, 1), 1)


def test_after_the_warm_up_nothing_is_built(monkeypatch):
    calendars = ExchangeCalendars()
    calendars.warm_up()

    def build(*_):
        raise AssertionError("built again")

    monkeypatch.setattr("market.calendars.build_sessions", build)
    assert len(calendars.sessions_after("XNYS", date(1990, 1, 2), 90)) == 90
    assert calendars.last_completed_session("XNYS", datetime(2026, 7, 1, tzinfo=UTC)) == date(2026, 6, 30)
