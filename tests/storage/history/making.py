"""Forecasts and bars whose outcome is known by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from contracts import AssetClass, Bars, Forecast, ForecastRequest, Instrument, SourceHealth, Timeframe
from errors import DeepFinanceError, UnknownSymbol
from tests.gateway.fakes import forecast_for

MADE_AT = datetime(2023, 1, 3, 21, 0, 0, 123456, tzinfo=UTC)
AS_OF = date(2023, 1, 3)
_NUMBERS = itertools.count()


def forecast(symbol: str = "AAPL", horizon: int = 5, **changes: Any) -> Forecast:
    """A forecast from 100 on AS_OF, with an id of its own and a target ``horizon`` days later."""
    made = replace(
        forecast_for(ForecastRequest(symbol, horizon)),
        forecast_id=f"{next(_NUMBERS):032x}",
        as_of=AS_OF,
        target_date=AS_OF + timedelta(days=horizon),
        quantiles={"0.05": 95.0, "0.25": 98.0, "0.5": 100.25, "0.75": 102.0, "0.95": 106.0},
        lower=95.0,
        upper=106.0,
    )
    return replace(made, **changes)


def at(seconds: float) -> datetime:
    return MADE_AT + timedelta(seconds=seconds)


def daily(closes: Sequence[float], last: date, symbol: str = "AAPL", adj: Sequence[float] | None = None) -> Bars:
    """A bar every day, the newest on ``last``."""
    end = np.datetime64(last)
    times = np.arange(end - len(closes) + 1, end + 1).astype("datetime64[s]")
    adjusted = None if adj is None else np.array(adj, dtype=float)
    return Bars(symbol, "1d", times, np.array(closes, dtype=float), "files", adj_close=adjusted)


@dataclass
class Market:
    """Series that a test sets; a symbol without one is unknown, or fails as ``error`` says."""

    series: dict[str, Bars] = field(default_factory=dict)
    error: DeepFinanceError | None = None
    asked: list[str] = field(default_factory=list)

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        self.asked.append(symbol)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if symbol not in self.series:
            raise UnknownSymbol("there is no such symbol")
        return self.series[symbol]

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(symbol, AssetClass.EQUITY, "XNYS", "USD")

    def symbols(self) -> Sequence[str]:
        return list(self.series)

    async def health(self) -> Sequence[SourceHealth]:
        return []


async def until(condition: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
    """Wait until it holds; fails where it does not in time."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 (what it waits for is in a database)
            await asyncio.sleep(0.02)
