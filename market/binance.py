"""Binance's klines for crypto pairs, days of UTC and hours. No key.

Dollars are not traded there: BTC-USD is read as BTCUSDT, and the currency that is answered is USDT."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from contracts import AssetClass, Timeframe
from errors import UnknownSymbol
from market.calendars import describe
from market.faults import Faulty, Throttled
from market.guard import Guard
from market.source import LatestPrice
from market.vendor import Series, column

BASE_URL = "https://api.binance.com"
ALLOWANCES = ((1000, 60.0),)
PAGE = 1000
DAYS = {"1d": 3660, "1h": 180}
_NAMES = ("open", "high", "low", "close", "volume")


class Binance:
    name = "binance"

    def __init__(self, base_url: str = BASE_URL) -> None:
        self._base_url = base_url.rstrip("/")

    def covers(self, symbol: str, timeframe: Timeframe) -> bool:
        return describe(symbol).asset_class is AssetClass.CRYPTO

    async def series(self, guard: Guard, symbol: str, timeframe: Timeframe, now: datetime) -> Series:
        """Page after page of ``PAGE`` bars, oldest first, until one is not full."""
        pair, quote = market_of(symbol)
        start = int((now - timedelta(days=DAYS[timeframe])).timestamp() * 1000)
        rows: list[list[Any]] = []
        while True:
            params = {"symbol": pair, "interval": timeframe, "startTime": str(start), "limit": str(PAGE)}
            page = await guard.get(f"{self._base_url}/api/v3/klines", params, lambda _, it: _rows(symbol, it))
            rows += page
            if len(page) < PAGE:
                break
            if page[-1][0] < start:
                raise Faulty("binance answers the same page again", worth_retrying=False)
            start = page[-1][0] + 1
        return read_klines(symbol, timeframe, rows, quote, now)


def market_of(symbol: str) -> tuple[str, str]:
    """``BTC-USD`` -> ``BTCUSDT``, ``USDT``."""
    base, quote = symbol.split("-")
    quote = "USDT" if quote == "USD" else quote
    return base + quote, quote


def _rows(symbol: str, content: Any) -> list[list[Any]]:
    """A page, or what its error code means: -1121 no such pair, -1003 too many calls."""
    if isinstance(content, dict):
        if content["code"] in (-1121, -1100):
            raise UnknownSymbol(f"binance has no pair {symbol}")
        if content["code"] == -1003:
            raise Throttled("asks for fewer calls", retry_after=60)
        raise Faulty(f"reports error {int(content['code'])}")
    for row in content:
        if not isinstance(row[0], int) or len(row) < 7:
            raise ValueError("a row that is no kline")
    return list(content)


def read_klines(symbol: str, timeframe: Timeframe, rows: list[list[Any]], quote: str, now: datetime) -> Series:
    if not rows:
        raise UnknownSymbol(f"binance has no {timeframe} bars of {symbol}")
    unit = "D" if timeframe == "1d" else "s"
    times = np.array([row[0] for row in rows], dtype="datetime64[ms]").astype(f"datetime64[{unit}]")
    columns = {name: column([row[at] for row in rows]) for at, name in enumerate(_NAMES, start=1)}
    ends = datetime.fromtimestamp(rows[-1][6] / 1000, UTC)
    latest = LatestPrice(float(columns["close"][-1]), min(now, ends))
    return Series(times, columns, currency=quote, exchange="Binance", latest=latest)
