"""``contracts.SharedCache`` for the workers of one gateway where there is no Redis: a SQLite file beside its state.

It is asked where the question arises, in the event loop: some ten microseconds each. Look-ups wait for nobody; what is
written in one turn of the event loop is one transaction, which waits a moment for that of another worker. Nothing
waits for the disk. What cannot be done costs hits alone.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from storage.worker_file import WorkerFile

log = logging.getLogger("deepfinance.cache")

LAYOUT: Final = 1
"""Number of the layout of the values, in the name of the file: releases never read each other's."""

PATIENCE: Final = 0.01
"""Seconds that a transaction waits for those of other workers."""
PAUSE: Final = 1.0
"""Seconds that the file is left alone after it could not be used."""
MAX_BYTES: Final = 64 * 1024 * 1024

Result = Literal["hit", "miss", "error"]
_UNKNOWN: Final = object()

_PREPARE: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS kept_by_age ON kept (expires_at);
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID;
"""
_CLAIM: Final = """
INSERT INTO claims VALUES (:key, :until) ON CONFLICT (key) DO UPDATE SET expires_at = :until WHERE expires_at <= :now
"""
_DROP_HALF: Final = """
DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept ORDER BY expires_at LIMIT (SELECT (count(*) + 1) / 2 FROM kept))
"""


def worker_cache_file(folder: Path) -> Path:
    """Where the workers whose state is in ``folder`` share what they keep."""
    return folder / f"shared.{LAYOUT}.db"


Work = Callable[[sqlite3.Connection, float], object]
"""Is done within a transaction, at a time of the day."""


@dataclass(frozen=True, slots=True)
class _Write:
    """``size``: bytes that it adds."""

    work: Work
    done: asyncio.Future[Any]
    size: int


class WorkerCache:
    """Opens nothing before the first question; belongs to one event loop. ``on_get`` is told how each look-up went;
    ``now`` is of the day, in seconds, since processes compare it. ``problem`` says why the file cannot be used."""

    def __init__(
        self,
        file: Path,
        *,
        on_get: Callable[[Result], None] = lambda _: None,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = WorkerFile(file, _PREPARE, PATIENCE)
        self._on_get, self._max_bytes = on_get, max_bytes
        self._clock, self._now = clock, now
        self._writes: list[_Write] = []
        self._just_found: set[str] = set()
        self._away_until = float("-inf")
        self.problem: str | None = None

    async def get(self, key: str) -> bytes | None:
        found = self._guarded(lambda connection: self._look(connection, key))
        self._on_get("error" if found is _UNKNOWN else "miss" if found is None else "hit")
        if not isinstance(found, bytes):
            return None
        if not self._just_found:
            asyncio.get_running_loop().call_soon(self._just_found.clear)
        self._just_found.add(key)
        return found

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Values larger than a quarter of what there is room for are not kept."""

        def keep(connection: sqlite3.Connection, now: float) -> None:
            connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (key, value, now + ttl))

        if ttl > 0 and len(value) <= self._max_bytes // 4:
            await self._write(keep, size=len(value))

    async def claim(self, key: str, ttl: float) -> bool:
        """False as well where the value of that key is kept by now: there is no work to do. Where it was found in this
        turn of the event loop nobody is asked."""

        def take(connection: sqlite3.Connection, now: float) -> bool:
            if self._look(connection, key) is not None:
                return False
            return connection.execute(_CLAIM, {"key": key, "until": now + ttl, "now": now}).rowcount == 1

        if key in self._just_found:
            return False
        return await self._write(take) is not False

    async def release(self, key: str) -> None:
        """Whoever holds the claim by now: at worst work is done twice."""
        await self._write(lambda connection, _: connection.execute("DELETE FROM claims WHERE key = ?", (key,)))

    async def close(self) -> None:
        self._write_all()
        self._file.close()

    def _look(self, connection: sqlite3.Connection, key: str) -> bytes | None:
        asked = "SELECT value FROM kept WHERE key = ? AND expires_at > ?"
        row = connection.execute(asked, (key, self._now())).fetchone()
        return None if row is None else bytes(row[0])

    async def _write(self, work: Work, size: int = 0) -> Any:
        """What comes of it, or ``_UNKNOWN``."""
        loop = asyncio.get_running_loop()
        write = _Write(work, loop.create_future(), size)
        self._writes.append(write)
        if len(self._writes) == 1:
            loop.call_soon(self._write_all)
        return await write.done

    def _write_all(self) -> None:
        writes, self._writes = self._writes, []
        if not writes:
            return
        outcomes = self._guarded(lambda connection: self._transaction(connection, writes))
        for number, write in enumerate(writes):
            if not write.done.done():
                write.done.set_result(_UNKNOWN if outcomes is _UNKNOWN else outcomes[number])

    def _transaction(self, connection: sqlite3.Connection, writes: list[_Write]) -> list[object]:
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # the file is this worker's alone from here on
            now = self._now()
            if size := sum(write.size for write in writes):
                connection.execute("DELETE FROM kept WHERE expires_at <= ?", (now,))
                if _bytes_in(connection) + size > self._max_bytes:
                    connection.execute(_DROP_HALF)
            return [write.work(connection, now) for write in writes]

    def _guarded(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """What comes of it, or ``_UNKNOWN``; a file that is of no use is left alone for a while."""
        if self._clock() < self._away_until:
            return _UNKNOWN
        try:
            done = work(self._file.opened())
        except (sqlite3.Error, OSError) as failure:
            if getattr(failure, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:  # the others are many, not broken
                self._away_until = self._clock() + PAUSE
                self._note(str(failure))
            return _UNKNOWN
        self._note(None)
        return done

    def _note(self, problem: str | None) -> None:
        """Say it once when it goes and once when it is back."""
        was, self.problem = self.problem, problem
        if problem is not None:
            self._file.close()
        if (was is None) == (problem is None):
            return
        if problem is not None:
            log.warning("workers cannot share what they keep (%s): each keeps its own until they can", problem)
        else:
            log.info("workers share what they keep again")


def _bytes_in(connection: sqlite3.Connection) -> int:
    """Of pages in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
