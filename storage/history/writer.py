"""From the request's path into the database: a bounded queue, batches, and a journal for when it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from contracts import Forecast
from errors import HistoryUnavailable
from storage.history.database import Database, Refused
from storage.history.journal import Journal, WaitingFile
from storage.history.metrics import HistoryMetrics
from storage.history.rows import Row, row_of
from storage.history.tables import FORECASTS

log = logging.getLogger("deepfinance.history")

FLUSH_INTERVAL = 0.25
"""Seconds between two batches: about what a process that is killed loses at most."""
BATCH = 50
"""Forecasts in one transaction; small, as making its statement holds up the event loop for some milliseconds."""
CAPACITY = 5_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
_REMEMBERED, _REMEMBERED_FOR = 20_000, 3600.0


class Writer:
    """Belongs to one event loop. A batch that the database does not take goes to the journal at once, and comes back
    from there when the database does."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        metrics: HistoryMetrics,
        *,
        interval: float = FLUSH_INTERVAL,
        capacity: int = CAPACITY,
    ) -> None:
        self._database, self._journal, self._metrics = database, journal, metrics
        self._interval, self._capacity = interval, capacity
        self._queue: deque[tuple[Forecast, datetime]] = deque()
        self._in_hand: list[Row] = []
        self._full = asyncio.Event()
        self._recent = _Recent()
        self._pause, self._try_again_at = 0.0, 0.0
        self._replayed = False
        self._stuck = self._loses = False

    @property
    def is_stuck(self) -> bool:
        """Whether neither the database nor the journal took what there was to write, as on a disk that is full."""
        return self._stuck

    @property
    def queued(self) -> int:
        return len(self._queue) + len(self._in_hand)

    def put(self, forecast: Forecast, made_at: datetime) -> None:
        """Returns at once. Where the queue is full, which takes thousands of forecasts in one interval, the forecast
        goes to the journal: a write to the page cache, some tens of microseconds."""
        try:
            if self._recent.has(forecast.forecast_id):
                return
            if len(self._queue) < self._capacity:
                self._queue.append((forecast, made_at))
                if len(self._queue) >= BATCH:
                    self._full.set()
            else:
                self._spill([row_of(forecast, made_at)])
        except Exception:
            self._metrics.lost(1)
            if not self._loses:
                log.exception("a forecast could not be kept, nor will others be until this is mended")
            self._loses = True

    async def run(self) -> None:
        """Write until cancelled; what goes wrong is tried again, and logged when it begins."""
        while True:
            try:
                await self._write_all()
                await self._replay()
                self._stuck = self._loses = False
            except Exception:
                if not self._stuck:
                    log.exception("the history cannot be written; it is tried again and again")
                self._stuck = True
            try:
                async with asyncio.timeout(self._interval):
                    await self._full.wait()
            except TimeoutError:
                pass

    async def drain(self, within: float) -> None:
        """Write what is queued; what is left after ``within`` seconds goes to the journal. For after ``run``."""
        try:
            async with asyncio.timeout(within):
                self._try_again_at = 0.0  # once more, however lately it failed
                await self._write_all()
        except TimeoutError:
            log.warning("the database was too slow to take what was queued")
        except OSError:
            log.warning("neither the database nor the journal took what was queued")
        left = self._in_hand + [row_of(*each) for each in self._queue]
        self._in_hand = []
        self._queue.clear()
        if left:
            self._spill_or_lose(left)
        self._journal.rotate()

    async def _write_all(self) -> None:
        self._full.clear()
        while self._in_hand or self._queue:
            self._metrics.queued(self.queued)  # before it may fail, as it does for as long as nothing takes them
            if not self._in_hand:  # else the last batch, which neither database nor journal took
                some = min(len(self._queue), BATCH)
                self._in_hand = [row_of(*self._queue.popleft()) for _ in range(some)]
            if not await self._write(self._in_hand):
                await asyncio.to_thread(partial(self._spill, self._in_hand, sync=True))
            self._in_hand = []
        self._metrics.queued(self.queued)

    async def _write(self, rows: Sequence[Row]) -> bool:
        """Whether the database took them; while it is away it is asked seldom."""
        if time.monotonic() < self._try_again_at:
            return False
        try:
            await self._insert(rows)
        except HistoryUnavailable:
            self._is_away()
            return False
        if self._pause:
            log.info("the database is back")
        self._pause = 0.0
        self._metrics.written(len(rows))
        return True

    async def _insert(self, rows: Sequence[Row]) -> None:
        """Those that it refuses are found one by one, so that they do not hold up the others."""
        if not rows:
            return
        try:
            async with self._database.transaction() as connection:
                await connection.execute(self._database.insert_once(FORECASTS), rows)
        except Refused:
            if len(rows) == 1:
                self._metrics.lost(1)
                log.exception("the database refuses forecast %s", rows[0]["forecast_id"])
                return
            for row in rows:
                await self._insert([row])

    def _is_away(self) -> None:
        self._metrics.failures(1)
        if not self._pause:
            log.warning("the database is away; forecasts go to the journal until it is back")
            self._replayed = False
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._try_again_at = time.monotonic() + self._pause

    async def _replay(self) -> None:
        """Once after the start and whenever something was spilled: bring the journal into the database."""
        if (self._replayed and not self._journal.lines) or time.monotonic() < self._try_again_at:
            return
        self._journal.rotate()
        for file in self._journal.waiting():
            if not await self._replay_file(file):
                return
        self._replayed = True

    async def _replay_file(self, file: WaitingFile) -> bool:
        """Whether all of it is stored now; where it is not, the file stays, and is replayed from its beginning."""
        rows = 0
        for batch in file.batches(BATCH):
            if not await self._write(batch):
                return False
            rows += len(batch)
            await self._write_all()  # what is made meanwhile does not wait for the journal
        file.remove()
        log.info("%d forecasts of the journal are in the database", rows)
        return True

    def _spill(self, rows: Sequence[Row], *, sync: bool = False) -> None:
        self._journal.append(rows, sync=sync)
        self._metrics.spilled(len(rows))

    def _spill_or_lose(self, rows: Sequence[Row]) -> None:
        try:
            self._spill(rows, sync=True)
        except OSError:
            self._metrics.lost(len(rows))
            log.exception("%d forecasts are lost: neither the database nor the journal takes them", len(rows))


class _Recent:
    """Ids that were put in lately: the same forecast computed a thousand times need not be written as often."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._since = time.monotonic()

    def has(self, forecast_id: str) -> bool:
        """Whether it is there; it is afterwards. Forgets all now and then, as the database may have, too."""
        if len(self._ids) >= _REMEMBERED or time.monotonic() - self._since > _REMEMBERED_FOR:
            self._ids.clear()
            self._since = time.monotonic()
        if forecast_id in self._ids:
            return True
        self._ids.add(forecast_id)
        return False
