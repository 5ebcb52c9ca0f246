"""Who wants to hear of which forecast, and one watcher for each forecast, however many listen.

A watcher looks at the series every ``poll_s`` seconds, which costs a look into memory, and forecasts anew when its
bars, its price or the model set have changed. A message is made once and given to every listener; a listener keeps only
the newest one of each topic, so what waits for a slow reader is bounded by what it subscribed to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

import orjson

from contracts import ForecastRequest
from errors import DeepFinanceError, Unavailable
from gateway.backend import Backend, SeriesState
from gateway.responses import error_info, log_if_unforeseen, problem_of

Topic = Hashable


class Listener:
    """What one socket has not sent yet."""

    def __init__(self) -> None:
        self._waiting: dict[Topic, str] = {}
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, topic: Topic, message: str) -> None:
        """Have it sent; it takes the place of an older message of the same topic that is still waiting."""
        self._waiting[topic] = message
        self._ready.set()

    def forget(self, topic: Topic) -> None:
        self._waiting.pop(topic, None)

    async def next(self) -> str:
        """The message that has waited longest."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        return self._waiting.pop(next(iter(self._waiting)))


@dataclass(eq=False)
class _Watch:
    """A forecast that somebody listens to. ``refused`` says that asking again cannot help."""

    request: ForecastRequest
    listeners: set[Listener] = field(default_factory=set)
    latest: str | None = None
    task: asyncio.Task[None] | None = None
    refused: bool = False


class Broadcaster:
    """Belongs to one event loop."""

    def __init__(self, backend: Backend, poll_s: float = 1.0) -> None:
        self._backend = backend
        self._poll_s = poll_s
        self._watches: dict[Topic, _Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def join(self, request: ForecastRequest, listener: Listener) -> None:
        """Send the forecast at once and whenever it changes."""
        topic = topic_of(request)
        watch = self._watches.get(topic)
        if watch is None or watch.refused:
            watch = self._watches[topic] = _Watch(request)
            watch.task = asyncio.create_task(self._follow(topic, watch))
        watch.listeners.add(listener)
        if watch.latest is not None:
            listener.offer(topic, watch.latest)

    def leave(self, request: ForecastRequest, listener: Listener) -> None:
        """No more of it; the last one to leave ends the watch."""
        topic = topic_of(request)
        listener.forget(topic)
        watch = self._watches.get(topic)
        if watch is None:
            return
        watch.listeners.discard(listener)
        if not watch.listeners:
            del self._watches[topic]
            if watch.task is not None:
                watch.task.cancel()

    async def close(self) -> None:
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        self._watches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, topic: Topic, watch: _Watch) -> None:
        """Until nobody listens, or the request turns out to be one that cannot be answered."""
        known: SeriesState | None = None
        while not watch.refused:
            try:
                state = await self._backend.series_state(watch.request.symbol, watch.request.timeframe)
                if state != known:
                    self._publish(topic, watch, await self._message(watch.request, state))
                    known = state
            except Exception as error:  # the watch outlives any failure, and listeners are told of it
                log_if_unforeseen(error, problem_of(error))
                watch.refused = isinstance(error, DeepFinanceError) and not isinstance(error, Unavailable)
                known = None
                self._publish(topic, watch, error_message(watch.request, error))
            await asyncio.sleep(self._poll_s)

    async def _message(self, request: ForecastRequest, state: SeriesState) -> str:
        outcome = (await self._backend.predict([request]))[0]
        if isinstance(outcome, DeepFinanceError):
            raise outcome
        head = {"type": "forecast", "symbol": request.symbol, "horizon": request.horizon, "latest_price": state.price}
        return orjson.dumps({**head, "forecast": orjson.Fragment(outcome.body)}).decode()

    def _publish(self, topic: Topic, watch: _Watch, message: str) -> None:
        """Tell everyone, unless it is the same failure again."""
        if message != watch.latest:
            watch.latest = message
            for listener in watch.listeners:
                listener.offer(topic, message)


def topic_of(request: ForecastRequest) -> Topic:
    """What two requests for the same forecast have in common."""
    weights = tuple(sorted(request.weights.items())) if request.weights else None
    return (
        request.symbol,
        request.timeframe,
        request.horizon,
        request.models,
        weights,
        request.confidence_level,
        request.explain,
    )


def error_message(request: ForecastRequest, error: BaseException) -> str:
    """What a subscriber reads where there is no forecast. Nobody's request id: many may read it."""
    info = {**error_info(problem_of(error)), "request_id": None}
    return orjson.dumps({"type": "error", "symbol": request.symbol, "error": info}).decode()
