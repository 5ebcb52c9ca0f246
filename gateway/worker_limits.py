"""The windows that the workers of one gateway share where there is no Redis: in a SQLite file beside its state.

A question costs some ten microseconds, so it is asked where it arises, in the event loop.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.limits import Clock, Lease, Limit
from storage.worker_file import WorkerFile

log = logging.getLogger("deepfinance.limits")

PATIENCE: Final = 0.03
"""Seconds that a question waits for those of other workers."""
PAUSE: Final = 1.0
"""Seconds that the file is left alone after it could not be used."""

_PREPARE: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS leases (caller TEXT NOT NULL, units INTEGER NOT NULL, expires_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS leases_of ON leases (caller, expires_at);
CREATE INDEX IF NOT EXISTS leases_by_age ON leases (expires_at);
"""


class WorkerWindows:
    """``gateway.limits.SharedWindows`` in ``file``. Opens nothing before the first question; belongs to one thread.

    ``now`` is of the day, in seconds: the file outlives its processes, and with it what was counted.
    """

    def __init__(self, file: Path, clock: Clock = time.monotonic, now: Clock = time.time) -> None:
        self.on_change: Callable[[bool], None] = lambda answers: None
        self._file = WorkerFile(file, _PREPARE, PATIENCE)
        self._clock, self._now = clock, now
        self._away_until = float("-inf")
        self._failing = False

    def is_away(self, now: float) -> bool:
        return now < self._away_until

    async def lease(self, caller: str, limit: Limit, units: int) -> Lease | None:
        try:
            lease = self._take(caller, limit, units)
        except (sqlite3.Error, OSError) as failure:
            self._away_until = self._clock() + PAUSE
            self._note(failing=True, why=str(failure))
            return None
        self._note(failing=False)
        return lease

    async def close(self) -> None:
        self._file.close()

    def _take(self, caller: str, limit: Limit, units: int) -> Lease:
        """What of ``units`` is left, counted for as long as the limit says."""
        connection, now = self._file.opened(), self._now()
        with connection:  # a transaction; the file is this worker's alone from its first statement on
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM leases WHERE expires_at <= ?", (now,))
            used, oldest = connection.execute(
                "SELECT coalesce(sum(units), 0), min(expires_at) FROM leases WHERE caller = ?", (caller,)
            ).fetchone()
            left = max(0, -(-limit.amount // limit.unit) - used)
            if granted := min(units, left):
                connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (caller, granted, now + limit.seconds))
        return Lease(granted, left - granted, limit.seconds if oldest is None else max(0.0, oldest - now))

    def _note(self, failing: bool, why: str = "") -> None:
        """Say it once when it goes and once when it is back."""
        if failing:
            self._file.close()
        if failing == self._failing:
            return
        self._failing = failing
        self.on_change(not failing)
        if failing:
            log.warning("requests cannot be counted together (%s): every worker counts its own until they can", why)
        else:
            log.warning("the requests of all workers are counted together again")
