"""Yahoo's chart endpoint (v8), which needs no key and is documented nowhere.

Open, high, low, close and volume are adjusted for splits, adjclose for splits and dividends. Prices are in the unit
the exchange quotes, pence in London (``GBp``): the currency says so, and nothing is converted. Daily stamps are the
opening of the session in the exchange's own time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from contracts import Floats, Timeframe, Times
from errors import UnknownSymbol
from market.faults import Faulty
from market.guard import Guard
from market.source import LatestPrice
from market.vendor import Series, Split, column, same_length

BASE_URL = "https://query2.finance.yahoo.com"
# Not Yahoo's word, which gives none: what its users report as safe.
ALLOWANCES = ((300, 60.0), (2000, 3600.0))
DAYS = {"1d": 3660, "1h": 725}
_INTERVALS = {"1d": "1d", "1h": "60m"}
_GRANULARITIES = {"1d": ("1d",), "1h": ("60m", "1h")}
_COLUMNS = ("open", "high", "low", "close", "volume")
_UNITS = {"GBX": "GBp", "ZAC": "ZAc"}


class Yahoo:
    name = "yahoo"

    def __init__(self, base_url: str = BASE_URL) -> None:
        self._base_url = base_url.rstrip("/")

    def covers(self, symbol: str, timeframe: Timeframe) -> bool:
        return True

    async def series(self, guard: Guard, symbol: str, timeframe: Timeframe, now: datetime) -> Series:
        """Ten years of days, or two of hours. Asked for by dates: with ``range=max`` it answers months."""
        params = {
            "interval": _INTERVALS[timeframe],
            "period1": str(int((now - timedelta(days=DAYS[timeframe])).timestamp())),
            "period2": str(int((now + timedelta(days=1)).timestamp())),
            "events": "div,splits",
            "includePrePost": "false",
        }
        url = f"{self._base_url}/v8/finance/chart/{symbol.replace('^', '%5E')}"
        return await guard.get(url, params, partial(read_chart, symbol, timeframe))


def read_chart(symbol: str, timeframe: Timeframe, status: int, content: Any) -> Series:
    """Raises UnknownSymbol for its error "Not Found" and for a chart without bars, Faulty for a chart of something else
    than was asked for."""
    chart = content["chart"]
    if error := chart.get("error"):
        if str(error.get("code")) in ("Not Found", "Bad Request", "Unprocessable Entity"):
            raise UnknownSymbol(f"yahoo has no {timeframe} bars of {symbol}")
        raise Faulty(f"reports an error of its own (status {status})")
    result = chart["result"][0]
    meta = result["meta"]
    if meta["symbol"] != symbol:
        raise Faulty("answers for another symbol", worth_retrying=False)
    if meta["dataGranularity"] not in _GRANULARITIES[timeframe]:
        raise Faulty("answers bars of another length", worth_retrying=False)
    if not result.get("timestamp"):
        raise UnknownSymbol(f"yahoo has no {timeframe} bars of {symbol}")
    times, columns = _times(result["timestamp"], timeframe, _zone(meta)), _columns(result, timeframe)
    if timeframe == "1d":
        times, columns = _without_live_copy(times, columns)
    return Series(
        times=times,
        columns=columns,
        currency=_UNITS.get(meta.get("currency"), meta.get("currency")),
        exchange=meta.get("fullExchangeName") or meta.get("exchangeName"),
        name=meta.get("longName") or meta.get("shortName"),
        latest=_latest(meta),
        splits=_splits(result.get("events", {}), _zone(meta)),
    )


def _columns(result: Mapping[str, Any], timeframe: Timeframe) -> dict[str, Floats]:
    quote = result["indicators"]["quote"][0]
    given = {name: column(quote[name]) for name in _COLUMNS if name in quote}
    adjusted = result["indicators"].get("adjclose")
    if timeframe == "1d" and adjusted:
        given["adj_close"] = column(adjusted[0]["adjclose"])
    same_length(result["timestamp"], given["close"], *given.values())
    return given


def _without_live_copy(times: Times, columns: dict[str, Floats]) -> tuple[Times, dict[str, Floats]]:
    """It may give the newest day twice, as a row of the chart and as its own last quote: the quote is the newer."""
    if len(times) < 2 or times[-2] != times[-1]:
        return times, columns
    rows = np.delete(np.arange(len(times)), -2)
    return times[rows], {name: values[rows] for name, values in columns.items()}


def _zone(meta: Mapping[str, Any]) -> tzinfo:
    """Of the exchange. Its offset of today would put the midnights of the other half of the year on the day before."""
    return ZoneInfo(meta["exchangeTimezoneName"])


def _times(stamps: Sequence[int | None], timeframe: Timeframe, zone: tzinfo) -> Times:
    if timeframe == "1h":
        return np.array([np.datetime64("NaT") if it is None else np.datetime64(it, "s") for it in stamps])
    days = [None if stamp is None else _day(stamp, zone) for stamp in stamps]
    return np.array([np.datetime64("NaT", "D") if day is None else day for day in days])


def _day(stamp: int, zone: tzinfo) -> np.datetime64:
    return np.datetime64(datetime.fromtimestamp(stamp, zone).date(), "D")


def _latest(meta: Mapping[str, Any]) -> LatestPrice | None:
    price, stamp = meta.get("regularMarketPrice"), meta.get("regularMarketTime")
    if not price or not stamp or price <= 0:
        return None
    return LatestPrice(float(price), datetime.fromtimestamp(stamp, UTC))


def _splits(events: Mapping[str, Any], zone: tzinfo) -> tuple[Split, ...]:
    return tuple(
        Split(_day(it["date"], zone), it["numerator"] / it["denominator"])
        for it in sorted(events.get("splits", {}).values(), key=lambda split: split["date"])
        if it.get("numerator") and it.get("denominator")
    )
