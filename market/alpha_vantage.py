"""Alpha Vantage's time series of shares. Every problem comes with status 200 and a text in ``Note``, ``Information`` or
``Error Message``; the text can hold the key that was sent, so it is understood and never repeated.

Tried in this order, until the plan of the key has it: days with splits and dividends, plain days. Plain days are as
traded. The last hundred days, which is all that a free key gets of them, are too few for a forecast: not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from contracts import AssetClass, Floats, Timeframe, Times
from errors import UnknownSymbol
from market.breaks import with_splits_applied
from market.calendars import describe
from market.faults import Faulty, Refused, Throttled
from market.guard import Guard
from market.vendor import Series

BASE_URL = "https://www.alphavantage.co"
ALLOWANCES = ((5, 60.0), (25, 86400.0))
"""Of the free plan."""

# Its endings for exchanges, after Yahoo's.
_SUFFIXES = {"L": "LON", "DE": "DEX", "TO": "TRT", "V": "TRV", "BO": "BSE", "SS": "SHH", "SZ": "SHZ"}
_NAMES = ("open", "high", "low", "close")
_DAILY = ("TIME_SERIES_DAILY_ADJUSTED", "TIME_SERIES_DAILY")


class AlphaVantage:
    name = "alpha_vantage"

    def __init__(self, key: str, base_url: str = BASE_URL) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._beyond_plan: set[str] = set()

    def covers(self, symbol: str, timeframe: Timeframe) -> bool:
        return describe(symbol).asset_class is AssetClass.EQUITY and _own_name(symbol) is not None

    async def series(self, guard: Guard, symbol: str, timeframe: Timeframe, now: datetime) -> Series:
        functions = _DAILY if timeframe == "1d" else ("TIME_SERIES_INTRADAY",)
        for function in functions:
            if function in self._beyond_plan:
                continue
            found = await guard.get(
                f"{self._base_url}/query", self._params(function, symbol), partial(read_series, symbol, timeframe)
            )
            if found is not None:
                return found
            self._beyond_plan.add(function)
        raise Refused("alpha_vantage: the plan of this key does not have such bars")

    def _params(self, function: str, symbol: str) -> dict[str, str]:
        params = {
            "function": function,
            "symbol": _own_name(symbol) or symbol,
            "outputsize": "full",
            "datatype": "json",
            "apikey": self._key,
        }
        if function == "TIME_SERIES_INTRADAY":
            params |= {"interval": "60min", "adjusted": "true", "extended_hours": "false"}
        return params


def _own_name(symbol: str) -> str | None:
    """``VOD.L`` -> ``VOD.LON``; None for an exchange it does not have."""
    if describe(symbol).calendar == "XNYS":
        return symbol
    stem, _, suffix = symbol.rpartition(".")
    return f"{stem}.{_SUFFIXES[suffix]}" if suffix in _SUFFIXES else None


def read_series(symbol: str, timeframe: Timeframe, status: int, content: Any) -> Series | None:
    """None where the plan of the key does not have this series. Raises UnknownSymbol, Throttled, Refused, Faulty."""
    if "Error Message" in content:
        if "apikey" in content["Error Message"].lower():
            raise Refused("refuses the key")
        raise UnknownSymbol(f"alpha_vantage has no {timeframe} bars of {symbol}")
    for notice in ("Note", "Information"):
        if notice in content:
            _require_beyond_plan(str(content[notice]).lower())
            return None
    if not content:
        raise UnknownSymbol(f"alpha_vantage has no {timeframe} bars of {symbol}")
    meta = {title.split(". ", 1)[1]: text for title, text in content["Meta Data"].items()}
    if meta["Symbol"].upper() != (_own_name(symbol) or symbol).upper():
        raise Faulty("answers for another symbol", worth_retrying=False)
    rows = next(part for title, part in content.items() if title.startswith("Time Series ("))
    if not rows:
        raise UnknownSymbol(f"alpha_vantage has no {timeframe} bars of {symbol}")
    return _series(rows, timeframe, meta["Time Zone"])


def _require_beyond_plan(text: str) -> None:
    """What a notice means: wait a minute, come back tomorrow, the key is refused, or, which passes, pay for it."""
    if "per day" in text and "per minute" not in text:
        raise Throttled("has used up the calls of its key for today", retry_after=3600)
    if "per minute" in text or "call frequency" in text or "rate limit" in text or "per second" in text:
        raise Throttled("asks for fewer calls", retry_after=60)
    if "premium" in text:
        return
    if "api key" in text or "apikey" in text:
        raise Refused("refuses the key")
    raise Faulty("answers with a notice instead of prices", worth_retrying=False)


def _series(rows: Mapping[str, Mapping[str, str]], timeframe: Timeframe, zone: str) -> Series:
    stamps = sorted(rows)
    bars = [{title.split(". ", 1)[1]: text for title, text in rows[stamp].items()} for stamp in stamps]
    columns = {name: np.array([bar[name] for bar in bars], dtype=np.float64) for name in (*_NAMES, "volume")}
    times = _times(stamps, timeframe, zone)
    if "split coefficient" not in bars[0]:
        return Series(times, columns, adjusts_splits=timeframe == "1h")
    ratios: Floats = np.array([bar["split coefficient"] for bar in bars], dtype=np.float64)
    columns["adj_close"] = np.array([bar["adjusted close"] for bar in bars], dtype=np.float64)
    return Series(times, with_splits_applied(columns, np.where(ratios > 0, ratios, 1.0)))


def _times(stamps: list[str], timeframe: Timeframe, zone: str) -> Times:
    if timeframe == "1d":
        return np.array(stamps, dtype="datetime64[D]")
    place = ZoneInfo(zone)
    moments = [datetime.fromisoformat(stamp).replace(tzinfo=place).astimezone(UTC) for stamp in stamps]
    return np.array([moment.replace(tzinfo=None) for moment in moments], dtype="datetime64[s]")
