"""Forecasts for series whose bars are at hand, as a task of an engine: the pipeline that serves, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from contracts import Bars, Floats, Floats32, ForecastRequest, Instrument, MemberSpec, ModelSet, SourceHealth, Timeframe
from engine.base import Work
from errors import DeepFinanceError
from market.calendars import ExchangeCalendars
from pipeline import Outcome, Ports, Series, forecast_many
from runners.members import Member

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests, with the bars of every series that they name or why there are none, and what each symbol is."""

    requests: Sequence[ForecastRequest]
    series: Mapping[Series, Bars | DeepFinanceError]
    instruments: Mapping[str, Instrument | DeepFinanceError]


@dataclass(frozen=True, slots=True)
class Forecasting:
    """What all batches have in common. Called in each process that forecasts; ``now`` (UTC) decides what is stale."""

    members: Callable[[], list[Member]]
    model_set: ModelSet
    now: datetime

    def __call__(self) -> Work[Batch, list[Outcome]]:
        runners = {member.spec.name: _InProcess(member) for member in self.members()}
        calendar = ExchangeCalendars()

        def outcomes(batch: Batch) -> list[Outcome]:
            ports = Ports(_Given(batch), calendar, runners)
            return asyncio.run(forecast_many(batch.requests, ports=ports, model_set=self.model_set, now=self.now))

        return outcomes


class _InProcess:
    """A member that answers here and now."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def spec(self) -> MemberSpec:
        return self._member.spec

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        return self._member.predict(rows)


class _Given:
    """``contracts.MarketData`` of a batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        return _or_raise(self._batch.series[symbol, timeframe])

    def instrument(self, symbol: str) -> Instrument:
        return _or_raise(self._batch.instruments[symbol])

    def symbols(self) -> Sequence[str]:
        return list(self._batch.instruments)

    async def health(self) -> Sequence[SourceHealth]:
        return ()

    async def close(self) -> None:
        """There is nothing to let go of."""


def _or_raise(found: T | DeepFinanceError) -> T:
    if isinstance(found, DeepFinanceError):
        raise found
    return found
