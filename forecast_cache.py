"""Forecasts made before: in this process, in the cache that processes share, or being made by someone right now.

A forecast is kept until the next bar of its exchange closes, or for PREDICTION_CACHE_TTL if that is sooner. One that a
model is missing from is not kept at all: the model may be back the next second. Neither is an error. One whose first
data source could not tell is kept, as its bars are, but may be repeated without a look at the bars for 2 s only.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from contracts import Bars, Calendar, Forecast, ForecastRequest, MarketData, ModelSet, SharedCache, Timeframe
from errors import DeepFinanceError
from gateway.answers import Answer, answer_of, computed, pack, unpack
from lookup import looked_up
from storage.cache import MemoryCache

Outcome = Answer | DeepFinanceError
Compute = Callable[
    [Sequence[ForecastRequest], Mapping[tuple[str, Timeframe], Bars]], Awaitable[Sequence[Forecast | DeepFinanceError]]
]
"""Requests, and the bars that they are about as far as they have been looked up."""

MEMORY_BYTES = 32 * 1024 * 1024
SOURCE_AWAY = 2.0
"""Seconds that a forecast may be repeated unseen while a better data source is away."""

CLAIM_TTL = 5.0
"""Seconds after which work that another process claimed is anyone's again: it may have died."""

POLL, LONGEST_WAIT = 0.01, 1.0
"""Seconds between looks for the forecast that another process is making, and after which we make it ourselves."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds that a forecast is kept (0: not at all), and that it may be given without a look at the bars."""

    forecast: float
    data: float


@dataclass(frozen=True, slots=True)
class _Work:
    """A forecast to be made, and what its key was made of."""

    request: ForecastRequest
    bars: Bars
    models: ModelSet
    future: asyncio.Future[Outcome]


@dataclass(frozen=True, slots=True)
class _Flight:
    """A forecast that is being made, and whether this caller merely joined the one who caused it."""

    future: asyncio.Future[Outcome]
    is_joined: bool


class ForecastCache:
    """Belongs to one event loop. ``on_get`` is told how each look into memory went. ``clock`` is monotonic, ``now``
    aware, UTC."""

    def __init__(
        self,
        market: MarketData,
        calendar: Calendar,
        lifetimes: Lifetimes,
        memory: MemoryCache[str, Answer] | None = None,
        shared: SharedCache | None = None,
        *,
        on_get: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._market = market
        self._calendar = calendar
        self._lifetimes = lifetimes
        self._memory = MemoryCache[str, Answer](MEMORY_BYTES, clock=clock) if memory is None else memory
        self._shared = shared
        self._on_get = on_get
        self._clock = clock
        self._now = now
        self._flights: dict[str, asyncio.Future[Outcome]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def answers(
        self, requests: Sequence[ForecastRequest], models: ModelSet, compute: Compute
    ) -> Sequence[Outcome]:
        """One answer or error per request, in order; what must be made is made in one call of ``compute``, which
        forecasts with ``models``."""
        if self._lifetimes.forecast <= 0:
            return [computed(outcome) for outcome in await compute(requests, {})]
        series = await looked_up(((request.symbol, request.timeframe) for request in requests), self._market)
        mine: dict[str, _Work] = {}
        found = [self._found(request, series, models, mine) for request in requests]
        if mine:
            self._start(self._do(mine, compute))
        return [await _landed(each) if isinstance(each, _Flight) else each for each in found]

    async def close(self) -> None:
        """Stop what is under way; whoever waits for it is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _found(
        self,
        request: ForecastRequest,
        series: Mapping[tuple[str, Timeframe], Bars | DeepFinanceError],
        models: ModelSet,
        mine: dict[str, _Work],
    ) -> Outcome | _Flight:
        """What is known of a request already, or is being made; what nobody is at yet is added to ``mine``."""
        bars = series[request.symbol, request.timeframe]
        if not isinstance(bars, Bars):
            return bars
        key = forecast_key(request, bars, models)
        kept = self._memory.get(key)
        self._on_get("hit" if kept else "miss")
        if kept:
            answer, left = kept
            return answer.again(self._unseen(bars, left))
        if future := self._flights.get(key):
            return _Flight(future, is_joined=True)
        future = self._flights[key] = asyncio.get_running_loop().create_future()
        mine[key] = _Work(request, bars, models, future)
        return _Flight(future, is_joined=False)

    async def _do(self, work: Mapping[str, _Work], compute: Compute) -> None:
        """Land an outcome for each piece of work. Runs on when the caller who caused it goes away: others may wait."""
        try:
            others = await self._look_shared(work)
            await self._make({key: each for key, each in work.items() if key not in others}, compute)
            await self._await_others({key: work[key] for key in others})
            await self._make({key: work[key] for key in others}, compute)
        except Exception as error:
            for each in work.values():
                if not each.future.done():
                    each.future.set_exception(error)
                    each.future.exception()  # seen, also where every caller has gone away
        finally:
            for key, each in work.items():
                self._flights.pop(key, None)
                each.future.cancel()

    async def _look_shared(self, work: Mapping[str, _Work]) -> set[str]:
        """Land what other processes made; the keys of what they are making now."""
        if self._shared is None:
            return set()
        shared = self._shared
        # Asked together, they travel together: one round trip, whatever the number.
        asked = [pair for key in work for pair in (shared.get(key), shared.claim(key, CLAIM_TTL))]
        replies = await asyncio.gather(*asked)
        others = set()
        for (key, each), value, is_mine in zip(work.items(), replies[::2], replies[1::2], strict=True):
            assert not isinstance(value, bool)
            if self._land_shared(key, each, value):
                if is_mine:
                    self._start(shared.release(key))
            elif not is_mine:
                others.add(key)
        return others

    async def _await_others(self, work: Mapping[str, _Work]) -> None:
        """Wait a moment for what other processes are making."""
        waiting = dict(work)
        give_up = self._clock() + LONGEST_WAIT
        while waiting and self._clock() < give_up:
            await asyncio.sleep(POLL)
            for key in await self._look_shared(waiting) ^ set(waiting):
                del waiting[key]  # landed, or given up by its maker and claimed by us

    def _land_shared(self, key: str, work: _Work, value: object) -> bool:
        unpacked = unpack(value, self._now()) if isinstance(value, bytes) else None
        if unpacked is None:
            return False
        answer, left = unpacked
        left = min(left, self._lifetimes.forecast)
        self._memory.put(key, answer, len(answer.body), left)
        _land(work.future, answer.again(self._unseen(work.bars, left)))
        return True

    async def _make(self, work: Mapping[str, _Work], compute: Compute) -> None:
        """Compute what has not landed, answer, and only then tell the other processes."""
        work = {key: each for key, each in work.items() if not each.future.done()}
        if not work:
            return
        kept: dict[str, Answer] = {}
        try:
            requests = [each.request for each in work.values()]
            bars = {(each.request.symbol, each.request.timeframe): each.bars for each in work.values()}
            outcomes = await compute(requests, bars)
            for (key, each), outcome in zip(work.items(), outcomes, strict=True):
                answer = self._kept(key, each, outcome)
                if isinstance(answer, Answer) and answer.max_age > 0:
                    kept[key] = answer
                    answer = replace(answer, max_age=self._unseen(each.bars, answer.max_age))
                _land(each.future, answer)
        finally:
            self._share(work, kept)

    def _kept(self, key: str, work: _Work, outcome: Forecast | DeepFinanceError) -> Outcome:
        """The answer; its ``max_age`` is for how long it is kept, and was put into memory."""
        if isinstance(outcome, DeepFinanceError) or not _may_be_kept(outcome, work):
            return computed(outcome)
        ttl = self._time_to_live(outcome, work.bars)
        answer = answer_of(outcome, ttl)
        self._memory.put(key, answer.again(ttl), len(answer.body), ttl)
        return answer

    def _unseen(self, bars: Bars, left: float) -> float:
        """Seconds of those left that an answer may be repeated without a look at the bars."""
        return min(left, self._lifetimes.data, SOURCE_AWAY if bars.skipped else left)

    def _share(self, work: Mapping[str, _Work], kept: Mapping[str, Answer]) -> None:
        """Tell the other processes, behind the backs of those who have their answer."""
        if self._shared is None:
            return
        for key in work:
            if answer := kept.get(key):
                self._start(self._shared.put(key, pack(answer, self._now()), answer.max_age))
            self._start(self._shared.release(key))

    def _time_to_live(self, forecast: Forecast, bars: Bars) -> float:
        if forecast.timeframe == "1h":
            left = seconds_to_next_hour(bars, self._now())
        else:
            calendar = self._market.instrument(forecast.symbol).calendar
            left = seconds_to_close(self._calendar, calendar, self._now(), self._lifetimes.forecast)
        return min(self._lifetimes.forecast, left)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def forecast_key(request: ForecastRequest, bars: Bars, models: ModelSet) -> str:
    """Names everything that the answer depends on, but the day and when the bars were fetched: those are what a
    forecast's time to live is for."""
    features = models.manifest.get("features")
    parts = [
        request.symbol,
        request.timeframe,
        request.horizon,
        request.models,
        sorted(request.weights.items()) if request.weights is not None else None,
        request.confidence_level,
        request.explain,
        bars.fingerprint,
        bars.provider,
        bars.issues,
        bars.skipped,
        models.version,
        features.get("fingerprint") if isinstance(features, Mapping) else None,
    ]
    return f"forecast:{hashlib.blake2b(orjson.dumps(parts), digest_size=20).hexdigest()}"


def seconds_to_close(calendar: Calendar, name: str, now: datetime, within: float) -> float:
    """Seconds until the next session of the exchange closes, ``within`` if that is not sooner; exact to 0.1 s, and
    never more."""
    newest = calendar.last_completed_session(name, now)
    open_until, closed_at = 0.0, within
    if calendar.last_completed_session(name, now + timedelta(seconds=within)) == newest:
        return within
    while closed_at - open_until > 0.1:
        middle = (open_until + closed_at) / 2
        if calendar.last_completed_session(name, now + timedelta(seconds=middle)) == newest:
            open_until = middle
        else:
            closed_at = middle
    return open_until


def seconds_to_next_hour(bars: Bars, now: datetime) -> float:
    """Seconds until the next hourly bar, which begins as many minutes past the hour as the last one did."""
    past_the_hour = int(bars.times[-1].astype("datetime64[s]").astype(int)) % 3600
    return 3600 - (now.timestamp() - past_the_hour) % 3600


def _may_be_kept(forecast: Forecast, work: _Work) -> bool:
    """Whole, and of the very models and bars that the key names: either may have changed while it was made."""
    members_answered = all(missing.startswith("source:") for missing in forecast.degraded)
    explained = forecast.explanation is None or not forecast.explanation.missing
    of_its_key = (forecast.models_version, forecast.data.fingerprint) == (work.models.version, work.bars.fingerprint)
    return members_answered and explained and of_its_key


def _land(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


async def _landed(flight: _Flight) -> Outcome:
    # Shielded: a caller who goes away must not take the forecast from the others.
    outcome = await asyncio.shield(flight.future)
    return outcome.again(outcome.max_age) if flight.is_joined and isinstance(outcome, Answer) else outcome
