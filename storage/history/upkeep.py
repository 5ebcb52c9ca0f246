"""Regular work on the history: settling, and deleting what is older than it is to be kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from errors import HistoryUnavailable
from storage.history.database import Database
from storage.history.rows import microseconds
from storage.history.settlement import Settlement
from storage.history.tables import FORECASTS, LEASES, OUTCOMES

log = logging.getLogger("deepfinance.history")

SOON_AFTER_START = 5.0
"""Seconds from the start to the first round: settling waits until the service has had time to warm up."""
DELETED_AT_ONCE, DELETIONS_A_ROUND = 500, 20

Clock = Callable[[], datetime]
"""The time now, aware, UTC."""


class Upkeep:
    """A round every ``interval`` seconds, by one of the gateways that share the database. ``keep`` None is for ever."""

    def __init__(
        self, database: Database, settlement: Settlement, clock: Clock, *, interval: float, keep: timedelta | None
    ) -> None:
        self._database, self._settlement, self._clock = database, settlement, clock
        self._interval, self._keep = interval, keep

    async def run(self) -> None:
        """Until cancelled; what goes wrong is logged and tried again."""
        await asyncio.sleep(min(SOON_AFTER_START, self._interval))
        while True:
            try:
                await self.round()
            except HistoryUnavailable:
                log.debug("no upkeep: the database is away")
            except Exception:
                log.exception("the upkeep of the history failed")
            await asyncio.sleep(self._interval)

    async def round(self) -> None:
        """Nothing where another gateway has done it within the interval. Raises HistoryUnavailable."""
        now = self._clock()
        if not await lease(self._database, "upkeep", now, timedelta(seconds=self._interval * 0.9)):
            return
        await self._settlement.round(now)
        if self._keep is not None:
            await delete_before(self._database, now - self._keep)


async def lease(database: Database, name: str, now: datetime, length: timedelta) -> bool:
    """Whether this gateway is to do the work of that name until ``length`` has passed. Raises HistoryUnavailable."""
    free = (LEASES.c.name == name) & (LEASES.c.expires_at <= microseconds(now))
    taken = sa.update(LEASES).where(free).values(expires_at=microseconds(now + length))
    async with database.transaction() as connection:
        await connection.execute(database.insert_once(LEASES), [{"name": name, "expires_at": 0}])
        return (await connection.execute(taken)).rowcount == 1


async def delete_before(database: Database, moment: datetime) -> int:
    """Forecasts made, and outcomes settled, before ``moment``: in small transactions, so that nothing waits long for
    one, and a bounded number of them. How many rows there were. Raises HistoryUnavailable."""
    deleted = 0
    for table, at in ((FORECASTS, FORECASTS.c.made_at), (OUTCOMES, OUTCOMES.c.settled_at)):
        key = sa.tuple_(*table.primary_key.columns)
        some = sa.select(*table.primary_key.columns).where(at < microseconds(moment)).limit(DELETED_AT_ONCE)
        for _ in range(DELETIONS_A_ROUND):
            async with database.transaction() as connection:
                count = (await connection.execute(sa.delete(table).where(key.in_(some)))).rowcount
            deleted += count
            if count < DELETED_AT_ONCE:
                break
    if deleted:
        log.info("%d rows older than the history is kept were deleted", deleted)
    return deleted
