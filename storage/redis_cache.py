"""``contracts.SharedCache`` over Redis, so that a Redis that is slow, full, restarted or gone costs hits alone.

Whatever is asked for in one turn of the event loop travels in one round trip. A caller waits 50 ms at most. After
three failures in a row nobody waits at all until a PING in the background is answered in time again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError, ResponseError

from errors import ConfigurationError

log = logging.getLogger("deepfinance.cache")

PREFIX = "deepfinance:1:"
"""The number is that of the layout of the values: processes of different releases never read each other's."""

PATIENCE = 0.05
GIVE_UP = 2.0
"""Seconds after which a command is dropped. Nobody waits for it that long, but a connection over a slow link needs
it, and so does a value that is only late."""

FAILURES_TO_OPEN = 3
CONNECTIONS = 32
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0

Result = Literal["hit", "miss", "error"]
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class CacheHealth:
    """``latency_ms`` is of a PING just now; ``detail`` says what is wrong, without the address."""

    state: Literal["ok", "failing"]
    latency_ms: float | None = None
    detail: str | None = None


class RedisCache:
    """Belongs to one event loop. ``url`` may hold a password: it is handed to the library and kept nowhere else.

    Raises ConfigurationError for an address that is none. ``on_get`` is told how each look-up went.
    """

    def __init__(self, url: str, *, on_get: Callable[[Result], None] = lambda _: None) -> None:
        try:
            self._redis = Redis.from_url(
                url, retry=Retry(NoBackoff(), 0), max_connections=CONNECTIONS, socket_timeout=None
            )
        except ValueError:
            raise ConfigurationError("REDIS_URL: expected redis://, rediss:// or unix:// and an address") from None
        self._on_get = on_get
        self._asked: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._failures = 0
        self._problem: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> bytes | None:
        """The bytes under the key, or None where there are none or nobody can tell."""
        reply = await self._ask("GET", PREFIX + key)
        self._on_get("error" if reply is _UNKNOWN else "miss" if reply is None else "hit")
        return reply if isinstance(reply, bytes) else None

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep for ``ttl`` seconds, if Redis can."""
        if ttl > 0:
            await self._ask("SET", PREFIX + key, value, "PX", _milliseconds(ttl))

    async def claim(self, key: str, ttl: float) -> bool:
        """Whether the caller is to do the work; only a Redis that says that another one does it can say no."""
        return await self._ask("SET", _claim(key), b"", "NX", "PX", _milliseconds(ttl)) is not None

    async def release(self, key: str) -> None:
        """Whoever holds the claim by now: at worst work is done twice."""
        await self._ask("DEL", _claim(key))

    async def health(self) -> CacheHealth:
        """One PING, or the last problem where Redis is given up for the moment."""
        if self._problem is not None:
            return CacheHealth("failing", detail=self._problem)
        latency = await self._ping()
        if latency is None:
            return CacheHealth("failing", detail=f"no answer within {PATIENCE * 1000:g} ms")
        return CacheHealth("ok", latency * 1000)

    async def close(self) -> None:
        """Give up what is under way and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _ask(self, *command: Any) -> Any:
        """The reply, or ``_UNKNOWN``: an error, a late answer, or Redis is given up for the moment."""
        if self._problem is not None:
            return _UNKNOWN
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._asked.append((command, reply))
        if len(self._asked) == 1:
            loop.call_soon(self._send_all)
        return await reply

    def _send_all(self) -> None:
        asked, self._asked = self._asked, []
        self._start(self._round_trip([command for command, _ in asked], [reply for _, reply in asked]))

    async def _round_trip(self, commands: list[tuple[Any, ...]], replies: list[asyncio.Future[Any]]) -> None:
        trip = asyncio.create_task(self._execute(commands))
        try:
            answers = await self._in_time(trip)
            for reply, answer in zip(replies, answers or [_UNKNOWN] * len(replies), strict=True):
                if not reply.done():
                    reply.set_result(_UNKNOWN if isinstance(answer, Exception) else answer)
            if not trip.done():
                await asyncio.wait({trip}, timeout=GIVE_UP)
        finally:
            trip.cancel()

    async def _in_time(self, trip: asyncio.Task[list[Any]]) -> list[Any] | None:
        """The replies of a round trip, or None if it failed or takes too long; keeps count of that."""
        await asyncio.wait({trip}, timeout=PATIENCE)
        if not trip.done():
            self._failed(f"no answer within {PATIENCE * 1000:g} ms")
        elif error := trip.exception():
            if not isinstance(error, MaxConnectionsError):  # we are too many, which says nothing of Redis
                self._failed(f"cannot be asked: {_what_it_says(error)}")
        else:
            self._failures = 0
            return trip.result()
        trip.add_done_callback(_forget)
        return None

    async def _execute(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    def _failed(self, problem: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN and self._problem is None:
            self._problem = problem
            log.warning("Redis %s; this process does without until it answers again", problem)
            self._start(self._wait_for_recovery())

    async def _wait_for_recovery(self) -> None:
        pause = FIRST_PAUSE
        while self._problem is not None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if await self._ping() is not None:
                self._failures, self._problem = 0, None
                log.info("Redis answers again")

    async def _ping(self) -> float | None:
        """Seconds that a PING took, None if it failed or took longer than a caller would wait."""
        for _ in range(2):  # the first may have had to connect
            started = time.perf_counter()
            try:
                async with asyncio.timeout(GIVE_UP):
                    await self._redis.ping()
            except Exception:  # whatever the library makes of a broken peer: it is no answer
                return None
            if (took := time.perf_counter() - started) <= PATIENCE:
                return took
        return None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _forget(trip: asyncio.Task[list[Any]]) -> None:
    """Look at the outcome that nobody waits for, or asyncio would complain."""
    if not trip.cancelled():
        trip.exception()


def _what_it_says(error: BaseException) -> str:
    """The kind of error, and the code with which Redis' own ones begin (DENIED, NOPERM), but none of the text."""
    code = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return f"{type(error).__name__} {code}" if code.isupper() else type(error).__name__


def _claim(key: str) -> str:
    return f"{PREFIX}claim:{key}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
