"""Forecasts asked for in the very same bytes as before, answered at the door: no pipeline, no framework, no parsing.

What a route answered is kept by path and request body, for as long as the answer may be repeated. The key, the limit
and the type of the body are checked before anybody looks here, and whoever loads other models calls ``clear``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from typing import Final

from gateway.answers import Answer
from gateway.asgi import ASGIApp, Headers, Receive, Scope, Send
from gateway.cache_metrics import cache_metrics
from gateway.reply import KeptReply, Reply, headers_in
from storage.cache import MemoryCache

HOT_PATHS: Final = frozenset({"/api/v1/predict"})
MAX_BYTES: Final = 32 * 1024 * 1024
LONGEST_REQUEST: Final = 4096
"""Bytes of a request body that is remembered; one with every field in use has some three hundred."""

HOT: Final = "deepfinance.hot"
"""On the scope of a request that was answered from here."""


class Place:
    """Where a route leaves its answer for the door."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: Answer | None = None


_place: ContextVar[Place | None] = ContextVar("place_of_answer", default=None)


def leave(answer: Answer) -> None:
    """Called by a route with what it answers: the door, if it waits for it, keeps it."""
    place = _place.get()
    if place is not None:
        place.answer = answer


class HotAnswers:
    """One for a gateway process. ``on_get`` is told how a look went, ``on_change`` how much is kept."""

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_get: Callable[[str], None] = lambda result: None,
        on_change: Callable[[int, int], None] = lambda entries, size: None,
    ) -> None:
        self._kept = MemoryCache[tuple[str, bytes], KeptReply](max_bytes, clock=clock, on_change=on_change)
        self._on_get = on_get
        self._generation = 0

    def clear(self) -> None:
        """Forget everything, and do not keep what is being answered now: other models answer from here on."""
        self._generation += 1
        self._kept.clear()

    def find(self, path: str, body: bytes, if_none_match: bytes | None = None) -> Reply | None:
        """The response to a request with this body; 304 where the caller says that it has the forecast."""
        found = self.look(path, body, if_none_match)
        self._on_get("miss" if found is None else "hit")
        return found

    def count(self, result: str) -> None:
        """A ``hit`` or a ``miss`` of who calls ``look``."""
        self._on_get(result)

    def look(self, path: str, body: bytes, if_none_match: bytes | None) -> Reply | None:
        """The same, uncounted."""
        found = self._kept.get((path, body))
        if found is None:
            return None
        kept, left = found
        return kept.now(left, if_none_match)

    async def make(self, path: str, body: bytes, forecast: Callable[[bytes], Awaitable[Answer]]) -> Answer:
        """What ``forecast`` answers to a request with this body, which is kept. Raises what it raises."""
        generation = self._generation
        answer = await forecast(body)
        if generation == self._generation:
            self.keep(path, body, answer)
        return answer

    def keep(self, path: str, body: bytes, answer: Answer) -> None:
        """Remember what was answered, as it is to be given the next time. Less than a second is not worth it."""
        if answer.max_age < 1 or len(body) > LONGEST_REQUEST:
            return
        again = answer.again(answer.max_age)
        self._kept.put((path, body), KeptReply(again), len(body) + len(again.body), again.max_age)

    async def serve(
        self, app: ASGIApp, scope: Scope, headers: Headers, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Answer from here, which ``scope[HOT]`` then says, or let ``app`` answer and keep that."""
        if scope["path"] not in HOT_PATHS or scope["method"] != "POST":
            await app(scope, receive, send)
        elif found := self.find(scope["path"], body, headers.get(b"if-none-match")):
            scope[HOT] = True
            await send({"type": "http.response.start", "status": found.status, "headers": headers_in(found.lines)})
            await send({"type": "http.response.body", "body": found.body})
        else:
            await self._ask(app, scope, body, receive, send)

    async def _ask(self, app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        generation, place = self._generation, Place()
        token = _place.set(place)
        try:
            await app(scope, receive, send)
        finally:
            _place.reset(token)
        if place.answer is not None and generation == self._generation:
            self.keep(scope["path"], body, place.answer)


@cache
def hot_answers() -> HotAnswers:
    """That of this process: its door finds answers there, and who loads other models clears it."""
    metrics = cache_metrics()
    return HotAnswers(on_get=metrics.counter("hot"), on_change=metrics.gauges("hot"))
