"""The windows that gateways share, in Redis: the moving window of the library ``limits``, one entry per unit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.limits import Clock, Lease, Limit

log = logging.getLogger("deepfinance.limits")

_FAILURES = (RedisError, StorageError, OSError, TimeoutError)


class RedisWindows:
    """Answers within ``patience`` seconds or not at all; after a failure Redis is left alone for ``pause`` seconds.

    ``on_change`` is told when it fails (False) and when it answers again (True).
    """

    def __init__(self, url: str, patience: float = 0.04, pause: float = 1.0, clock: Clock = time.monotonic) -> None:
        self.on_change: Callable[[bool], None] = lambda answers: None
        self._patience, self._pause, self._clock = patience, pause, clock
        self._away_until = 0.0
        self._failing = False
        self._pool: ConnectionPool = BlockingConnectionPool.from_url(
            url,
            max_connections=8,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),
        )
        pool: Any = self._pool  # the library's types do not know what its documentation says
        self._limiter = MovingWindowRateLimiter(
            RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        )

    @property
    def state(self) -> str:
        """``ok`` or ``failing``, as the last question went."""
        return "failing" if self._failing else "ok"

    def is_away(self, now: float) -> bool:
        return now < self._away_until

    async def lease(self, caller: str, limit: Limit, units: int) -> Lease | None:
        item = RateLimitItemPerSecond(-(-limit.amount // limit.unit), limit.seconds, namespace="deepfinance")
        try:
            async with asyncio.timeout(self._patience):
                lease = await self._take(item, caller, min(units, item.amount))
        except _FAILURES as failure:
            self._failed(failure)
            return None
        self._note(failing=False)
        return lease

    async def close(self) -> None:
        await self._pool.disconnect()

    async def _take(self, item: RateLimitItem, caller: str, units: int) -> Lease:
        """All of the units, else as many as are left: a request of several is granted whole or not at all."""
        granted = units if await self._limiter.hit(item, caller, cost=units) else 0
        stats = await self._limiter.get_window_stats(item, caller)
        if not granted and 0 < stats.remaining < units and await self._limiter.hit(item, caller, cost=stats.remaining):
            granted = stats.remaining
            stats = await self._limiter.get_window_stats(item, caller)
        return Lease(granted, stats.remaining, max(0.0, stats.reset_time - time.time()))

    def _failed(self, failure: Exception) -> None:
        self._away_until = self._clock() + self._pause
        self._note(failing=True, why=type(failure).__name__)

    def _note(self, failing: bool, why: str = "") -> None:
        """Say it once when it goes and once when it is back."""
        if failing == self._failing:
            return
        self._failing = failing
        self.on_change(not failing)
        if failing:
            log.warning("Redis does not answer (%s): every process counts its own requests until it does", why)
        else:
            log.warning("Redis answers again: requests are counted together")
