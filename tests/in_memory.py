"""Ports of the pipeline in memory: prices, a calendar, and models whose answer follows from the row alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
from scipy.special import ndtri

from contracts import AssetClass, Bars, Floats, Floats32, Instrument, MemberSpec, SourceHealth, Timeframe
from errors import DeepFinanceError, UnknownSymbol
from features.spec import BARS_NEEDED
from tests.ensemble.model_sets import GRID, NAMES
from tests.features.series import wandering_bars

KINDS = {"AAPL": AssetClass.EQUITY, "MSFT": AssetClass.EQUITY, "^GSPC": AssetClass.INDEX, "BTC-USD": AssetClass.CRYPTO}


@dataclass
class MemoryMarket:
    """Wandering prices of four symbols, and one that is too short."""

    calls: list[str] = field(default_factory=list)
    series: dict[str, Bars] = field(
        default_factory=lambda: (
            {symbol: wandering_bars(BARS_NEEDED + 5 * i, seed=i, symbol=symbol) for i, symbol in enumerate(KINDS)}
            | {"SHORT": wandering_bars(40, symbol="SHORT")}
        )
    )

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        self.calls.append(symbol)
        await asyncio.sleep(0)
        if symbol not in self.series:
            raise UnknownSymbol(f"no source knows {symbol}")
        return self.series[symbol]

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(symbol, KINDS[symbol], "weekdays", "USD")

    def symbols(self) -> Sequence[str]:
        return list(self.series)

    async def health(self) -> Sequence[SourceHealth]:
        return []

    async def close(self) -> None:
        pass


class Weekdays:
    """Mondays to Fridays, but the 4th of July."""

    def _trades(self, day: date) -> bool:
        return day.weekday() < 5 and (day.month, day.day) != (7, 4)

    def sessions_after(self, calendar: str, last: date, count: int) -> Sequence[date]:
        days = (last + timedelta(days=i) for i in range(1, 10 * count + 10))
        return [day for day in days if self._trades(day)][:count]

    def last_completed_session(self, calendar: str, now: datetime) -> date:
        return next(day for i in range(9) if self._trades(day := now.date() - timedelta(days=i)))

    def sessions_between(self, calendar: str, first: date, last: date) -> int:
        return sum(self._trades(first + timedelta(days=i)) for i in range((last - first).days + 1))


@dataclass
class ReckoningRunner:
    """z quantiles that follow from the row alone: normal, its centre and width read from two of its columns.

    It raises ``error``, or ``error_in_replay`` where it is asked what it would have forecast in the past."""

    spec: MemberSpec
    error: DeepFinanceError | None = None
    error_in_replay: DeepFinanceError | None = None
    batches: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        assert rows.shape == (len(keys), self.spec.row_width)
        self.keys.extend(keys)
        self.batches.append(len(keys))
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        if self.error_in_replay and any("@" in key for key in keys):
            raise self.error_in_replay
        place = (*NAMES, "har_range").index(self.spec.name)
        centre = 0.1 * np.tanh(rows[:, place].astype(np.float64)) + 0.02 * place
        width = 1.0 + 0.1 * place + 0.05 * np.tanh(rows[:, 5].astype(np.float64))
        per_horizon = 1.0 + 0.01 * np.arange(len(GRID.horizons))
        normal = ndtri(np.asarray(GRID.levels))
        quantiles: Floats = centre[:, None, None] + (width[:, None] * per_horizon)[..., None] * normal
        return quantiles
