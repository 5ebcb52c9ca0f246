"""Finnhub's stock candles. Daily ones are adjusted for splits, hourly ones for nothing. Keys of the free plan are
refused (403): candles are part of the paid ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from contracts import AssetClass, Timeframe, Times
from errors import UnknownSymbol
from market.calendars import describe
from market.faults import Faulty, Refused, Throttled
from market.guard import Guard
from market.vendor import Series, column, same_length

BASE_URL = "https://finnhub.io/api/v1"
ALLOWANCES = ((60, 60.0), (30, 1.0))
DAYS = {"1d": 3660, "1h": 365}
_RESOLUTIONS = {"1d": "D", "1h": "60"}
_NAMES = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class Finnhub:
    name = "finnhub"

    def __init__(self, key: str, base_url: str = BASE_URL) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")

    def covers(self, symbol: str, timeframe: Timeframe) -> bool:
        return describe(symbol).asset_class is AssetClass.EQUITY

    async def series(self, guard: Guard, symbol: str, timeframe: Timeframe, now: datetime) -> Series:
        params = {
            "symbol": symbol.replace("-", "."),  # BRK.B, where we and Yahoo write BRK-B
            "resolution": _RESOLUTIONS[timeframe],
            "from": str(int((now - timedelta(days=DAYS[timeframe])).timestamp())),
            "to": str(int(now.timestamp())),
        }
        read = partial(read_candles, symbol, timeframe)
        return await guard.get(f"{self._base_url}/stock/candle", params, read, headers={"X-Finnhub-Token": self._key})


def read_candles(symbol: str, timeframe: Timeframe, status: int, content: Any) -> Series:
    """Raises UnknownSymbol for ``no_data``. An ``error`` in a 200 is told by what it speaks of and never repeated."""
    if "error" in content:
        raise _meaning_of(str(content["error"]).lower())
    if content["s"] == "no_data" or not content["t"]:
        raise UnknownSymbol(f"finnhub has no {timeframe} bars of {symbol}")
    columns = {name: column(content[short]) for name, short in _NAMES.items() if short in content}
    same_length(content["t"], columns["close"], *columns.values())
    return Series(_times(content["t"], timeframe), columns, adjusts_splits=timeframe == "1d")


def _meaning_of(text: str) -> Exception:
    if "limit" in text:
        return Throttled("asks for fewer calls", retry_after=60)
    if "key" in text or "access" in text:
        return Refused("refuses the key, or its plan")
    return Faulty("reports an error of its own")


def _times(stamps: list[int], timeframe: Timeframe) -> Times:
    """Daily stamps are a midnight, of UTC or of the exchange: the midnight of UTC that is nearest."""
    seconds = np.array(stamps, dtype=np.int64)
    if timeframe == "1h":
        return seconds.astype("datetime64[s]")
    return ((seconds + 12 * 3600) // 86400).astype("datetime64[D]")
