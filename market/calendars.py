"""What a symbol's spelling says about it, and when its exchange trades."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from threading import Lock

import numpy as np

from contracts import AssetClass, Instrument
from errors import UnknownSymbol, UnusableSeries
from market.exchanges import CRYPTO_PAIR, INDEX_VENUES, SUFFIXES
from market.sessions import ALWAYS_OPEN, WEEKDAYS, Sessions, build_sessions
from market.source import require_symbol

# Wide enough that one build normally lasts for the life of a process; other years are built when asked for.
USUAL_YEARS = (1990, 2032)
POSSIBLE_YEARS = (1900, 2200)

_CURRENCY = re.compile(r"([A-Z]{3})?([A-Z]{3})=X")
_US_SHARE_CLASSES = frozenset("AB")


@lru_cache(maxsize=8192)
def describe(symbol: str) -> Instrument:
    """The instrument that a symbol's spelling names; its name is not known here.

    ``^GSPC`` is an index, ``EURUSD=X`` a currency, ``BTC-USD`` crypto, ``SAP.DE`` an equity on the exchange
    of its suffix, ``BRK-B`` and ``BRK.B`` classes of an American share, all else an American equity (New
    York's calendar, dollars, exchange not known). An index that is not in ``market.exchanges`` gets New
    York's calendar and no currency.

    Raises UnknownSymbol for an unknown suffix and for futures (``ES=F``): their trading days would be a
    guess.
    """
    require_symbol(symbol)
    if symbol.startswith("^"):
        calendar, currency = INDEX_VENUES.get(symbol, ("XNYS", None))
        return Instrument(symbol, AssetClass.INDEX, calendar, currency)
    if pair := _CURRENCY.fullmatch(symbol):
        return Instrument(symbol, AssetClass.CURRENCY, WEEKDAYS, pair[2])
    if pair := CRYPTO_PAIR.fullmatch(symbol):
        return Instrument(symbol, AssetClass.CRYPTO, ALWAYS_OPEN, pair[1])
    return _equity(symbol)


def _equity(symbol: str) -> Instrument:
    _, dot, suffix = symbol.rpartition(".")
    if suffix in SUFFIXES and dot:
        venue = SUFFIXES[suffix]
        return Instrument(symbol, AssetClass.EQUITY, venue.calendar, venue.currency, venue.exchange)
    if "=" in symbol or (dot and suffix not in _US_SHARE_CLASSES):
        ending = symbol[-len(suffix) - 1 :] if dot else symbol[symbol.index("=") :]
        raise UnknownSymbol(f"{symbol}: {ending!r} names no exchange whose trading days are known here")
    return Instrument(symbol, AssetClass.EQUITY, "XNYS", "USD")


class ExchangeCalendars:
    """``contracts.Calendar`` for exchanges, currencies ("24/5", weekdays) and crypto ("24/7", UTC days).

    Has no clock: every moment is an argument. The first call for a calendar builds its sessions (about 0.2
    s for an exchange, 0.5 s more for the first because of pandas) and blocks meanwhile; ``warm_up`` does so
    at the start. Later calls take microseconds, from any thread.
    """

    def __init__(self, build: Callable[[str, int, int], Sessions] = build_sessions) -> None:
        self._build = build
        self._sessions: dict[str, Sessions] = {}
        self._building = Lock()

    def warm_up(self, *calendars: str) -> None:
        """Build the sessions of these calendars now, XNYS where none is named."""
        for calendar in calendars or ("XNYS",):
            self._covering(calendar, *USUAL_YEARS)

    def sessions_after(self, calendar: str, last: date, count: int) -> Sequence[date]:
        """The next ``count`` sessions strictly after ``last``, which need not be a session itself."""
        days = self._covering(calendar, last.year, last.year + 1 + count // 200).days
        start = int(np.searchsorted(days, np.datetime64(last, "D"), side="right"))
        return _dates(days[start : start + count])

    def last_completed_session(self, calendar: str, now: datetime) -> date:
        """The newest session whose close is not after ``now``; ValueError if ``now`` has no time zone."""
        if now.tzinfo is None:
            raise ValueError("now must be aware of its time zone")
        moment = now.astimezone(UTC)
        sessions = self._covering(calendar, moment.year - 1, moment.year)
        closed = np.searchsorted(sessions.closes, np.datetime64(moment.replace(tzinfo=None), "us"), side="right")
        return _dates(sessions.days[closed - 1 : closed])[0]

    def sessions_between(self, calendar: str, first: date, last: date) -> int:
        """How many sessions lie in [first, last]; 0 where first is after last."""
        if first > last:
            return 0
        days = self._covering(calendar, first.year, last.year).days
        start = np.searchsorted(days, np.datetime64(first, "D"), side="left")
        return int(np.searchsorted(days, np.datetime64(last, "D"), side="right") - start)

    def _covering(self, calendar: str, first_year: int, last_year: int) -> Sessions:
        """Sessions complete over these years; raises UnusableSeries for years that no prices are from."""
        known = self._sessions.get(calendar)
        if known and known.first_year <= first_year and last_year <= known.last_year:
            return known
        if first_year < POSSIBLE_YEARS[0] or last_year > POSSIBLE_YEARS[1]:
            raise UnusableSeries(f"a date outside the years {POSSIBLE_YEARS[0]} to {POSSIBLE_YEARS[1]}")
        with self._building:
            return self._grow(calendar, first_year, last_year)

    def _grow(self, calendar: str, first_year: int, last_year: int) -> Sessions:
        known = self._sessions.get(calendar)
        first, last = (known.first_year, known.last_year) if known else USUAL_YEARS
        if known is None or first_year < first or last_year > last:
            self._sessions[calendar] = self._build(calendar, min(first, first_year), max(last, last_year))
        return self._sessions[calendar]


def _dates(days: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> list[date]:
    dates: list[date] = days.astype(object).tolist()
    return dates
