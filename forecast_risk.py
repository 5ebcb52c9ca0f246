"""Value at risk from our own forecast: what it says now, and what it would have said before each of the last days.

A set has seen the prices that it was fitted and calibrated on: only later days are tested, and the answer says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np

from contracts import AssetClass, Bars, Floats, ForecastRequest, Instrument, ModelSet, kind_of
from ensemble.surface import at_levels
from errors import DeepFinanceError, Timeout, Unavailable
from features.spec import BARS_NEEDED
from figures import tail_level
from pipeline import Outcome, Ports
from remembering import Remembered
from replay import Replay, fitted_until, replayed
from risk.measure import Undefined
from risk.report import PastForecasts, ValueAtRisk, from_forecast
from risk.returns import simple_returns
from risk.tail import forecast_level, levels_of_tail

MOST_DAYS = 1250
"""Five years: the days of a longer period that are tested are its last."""
AT_ONCE = 2
"""Replays that go on at the same time."""
RATES_CHOSEN_UNTIL = date(2021, 12, 31)
"""Rates of the correction outside the stock market were chosen on prices up to this day
(docs/decisions/0003-correction-by-recent-outcomes.md), whatever a set was fitted on."""
NO_FORECAST = "no forecast is made here"


class Passing(str):
    """A reason that may be gone the next time: an answer that has it is not remembered."""


class OwnForecasts(Protocol):
    """What our forecasts say, and would have said. Both raise a DeepFinanceError."""

    @property
    def model_set(self) -> ModelSet:
        """Who answers now."""
        ...

    async def quantiles(self, symbol: str, horizon: int, levels: Sequence[float]) -> Sequence[float]:
        """Of the simple return."""
        ...

    async def replay(self, bars: Bars, instrument: Instrument, first: int) -> Replay:
        """Forecasts of the next bar, made at bar ``first`` and later ones."""
        ...


class ServedForecasts:
    """``OwnForecasts`` of the service. Belongs to one event loop."""

    def __init__(
        self,
        forecast: Callable[[Sequence[ForecastRequest]], Awaitable[Sequence[Outcome]]],
        answering: Callable[[], tuple[Ports, ModelSet]],
        kept: int = 256,
    ) -> None:
        """``answering`` says who does now; ``kept`` is for how many questions replays are remembered."""
        self._forecast = forecast
        self._answering = answering
        self._replays: Remembered[Replay] = Remembered(kept)
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def model_set(self) -> ModelSet:
        return self._answering()[1]

    async def quantiles(self, symbol: str, horizon: int, levels: Sequence[float]) -> Sequence[float]:
        """The lower ends of central intervals."""
        requests = [ForecastRequest(symbol, horizon, confidence_level=1.0 - 2.0 * level) for level in levels]
        quantiles = []
        for outcome in await self._forecast(requests):
            if isinstance(outcome, DeepFinanceError):
                raise outcome
            quantiles.append(outcome.lower / outcome.current_price - 1.0)
        return quantiles

    async def replay(self, bars: Bars, instrument: Instrument, first: int) -> Replay:
        ports, model_set = self._answering()
        kind = kind_of(instrument.asset_class, bars.has_ranges)

        async def work() -> Replay:
            async with self._turns:
                return await replayed(bars, kind, first, ports.runners, model_set)

        return await self._replays.get((bars.fingerprint, kind, first, model_set.version), work)


@dataclass(frozen=True, slots=True)
class Asked:
    """The last ``period`` returns of ``bars``; ``horizon`` is that of the value at risk; backtests are of one day."""

    bars: Bars
    instrument: Instrument
    period: int
    horizon: int
    levels: Sequence[float]


@dataclass(frozen=True, slots=True)
class ForecastRisk:
    """One entry a level; whole where nothing is missing that may be there the next time."""

    entries: tuple[ValueAtRisk, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _Past:
    """Forecasts of days later than everything that the models were fitted on, and what to say of them."""

    replay: Replay
    scope: str


async def forecast_risk(asked: Asked, forecasts: OwnForecasts | None) -> ForecastRisk:
    """What cannot be had becomes a reason; raises nothing."""
    tails, past = await asyncio.gather(_tails(asked, forecasts), _past(asked, forecasts))
    history = simple_returns(asked.bars.total_return_close)
    entries = tuple(
        from_forecast(level, asked.horizon, tail, _stated(asked.bars, past, level), history)
        for level, tail in zip(asked.levels, tails, strict=True)
    )
    return ForecastRisk(entries, not any(isinstance(part, Passing) for part in (*tails, past)))


async def _tails(asked: Asked, forecasts: OwnForecasts | None) -> list[Sequence[float] | str]:
    """The tail of our forecast beyond each level, or why there is none."""
    return await asyncio.gather(*(_tail(asked, level, forecasts) for level in asked.levels))


async def _tail(asked: Asked, level: float, forecasts: OwnForecasts | None) -> Sequence[float] | str:
    if forecasts is None:
        return NO_FORECAST
    try:
        return await forecasts.quantiles(asked.bars.symbol, asked.horizon, levels_of_tail(level))
    except Undefined as reason:
        return str(reason)
    except DeepFinanceError as error:
        return _reason(error, "no forecast")


async def _past(asked: Asked, forecasts: OwnForecasts | None) -> _Past | str:
    """Of those of the days asked about that are out of sample."""
    if forecasts is None:
        return NO_FORECAST
    bars, until = asked.bars, _seen_until(asked.instrument, forecasts.model_set)
    if until is None:
        return "the model set does not say on which days it was fitted"
    days = bars.times.astype("datetime64[D]")
    unseen = int(np.searchsorted(days, np.datetime64(until), side="right")) - 1  # the bar before the first unseen day
    if unseen >= len(bars) - 1:
        return f"the models were fitted and calibrated on prices up to {until}, and no day asked about is later"
    first = max(len(bars) - 1 - min(asked.period, MOST_DAYS), unseen, BARS_NEEDED - 1)
    if first >= len(bars) - 1:
        return f"{bars.symbol} has {len(bars)} bars; a forecast of the last of them needs {BARS_NEEDED} before it"
    try:
        replay = await forecasts.replay(bars, asked.instrument, first)
    except DeepFinanceError as error:
        return _reason(error, "no forecasts of the past")
    if not len(replay.origins):
        return "on none of these days would a forecast have been made: the bars before them could not carry one"
    return _Past(replay, _scope(asked, replay, until))


def _seen_until(instrument: Instrument, model_set: ModelSet) -> date | None:
    """The last day that anything in its forecasts was fitted, calibrated or chosen on."""
    until = fitted_until(model_set)
    if until is None or instrument.asset_class in (AssetClass.EQUITY, AssetClass.INDEX):
        return until
    return max(until, RATES_CHOSEN_UNTIL)


def _scope(asked: Asked, replay: Replay, until: date) -> str:
    first, tested = asked.bars.times[replay.origins[0] + 1].astype("datetime64[D]"), len(replay.origins)
    scope = (
        f"measured out of sample from {first} on: each forecast is made from prices before its day, by models fitted "
        f"and calibrated on prices up to {until}"
    )
    return scope if tested == asked.period else f"{scope}; {tested:,} of the {asked.period:,} days asked about"


def _reason(error: DeepFinanceError, what: str) -> str:
    """In words; Passing where the error may pass."""
    return (Passing if isinstance(error, (Unavailable, Timeout)) else str)(f"{what}: {error.message}")


def _stated(bars: Bars, past: _Past | str, level: float) -> PastForecasts | str:
    """The value at risk at one level before each of these days."""
    if isinstance(past, str):
        return past
    try:
        lowest = forecast_level(level)
    except Undefined as reason:
        return str(reason)
    if lowest < past.replay.levels[0]:
        return "the quantiles of this model set do not reach to a loss that is so rare"
    return PastForecasts(-past_quantiles(bars, past.replay, lowest), past.replay.origins, BARS_NEEDED - 1, past.scope)


def past_quantiles(bars: Bars, replay: Replay, level: float) -> Floats:
    """(n,) of the simple return of the next bar, at a level below a half, as ``ServedForecasts.quantiles`` reads it."""
    returns = at_levels(replay.quantiles, replay.levels, (tail_level(1.0 - 2.0 * level),))[:, 0]
    price = bars.close[replay.origins]
    lower: Floats = price * np.exp(returns)
    return lower / price - 1.0
