"""The history as one thing: ``records.History`` over a database, a writer and their upkeep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from contracts import Forecast, MarketData, PartHealth
from errors import HistoryUnavailable
from records import HistoryPage, HistoryQuery, LiveScore, ScoreQuery
from storage.history.database import Database, database_url
from storage.history.journal import Journal
from storage.history.metrics import history_metrics
from storage.history.queries import page_of, scores_of
from storage.history.settlement import Settlement
from storage.history.upkeep import Clock, Upkeep
from storage.history.writer import Writer

T = TypeVar("T")

SCORES_KEPT_FOR = 30.0
"""Seconds: scores change with the day, and counting them reads every outcome."""
SCORE_QUERIES_KEPT = 256
DRAIN_WITHIN = 5.0
PAGE_WITHIN, SCORES_WITHIN, PROBE_WITHIN = 2.0, 4.0, 0.9


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """``url`` None is a SQLite file in ``state_dir``, where the journal lies as well. ``keep`` None is for ever;
    ``settle_every`` is in seconds."""

    state_dir: Path
    url: str | None = None
    keep: timedelta | None = None
    settle_every: float = 300.0


def _now() -> datetime:
    return datetime.now(UTC)


class HistoryStore:
    """Belongs to one event loop; opens nothing before ``start``. Raises ConfigurationError for a malformed address."""

    def __init__(self, options: HistoryOptions, market: MarketData, clock: Clock = _now) -> None:
        url = database_url(options.url, options.state_dir)
        metrics = history_metrics()
        self._kind = url.get_backend_name()
        self._database = Database(url)
        self._journal = Journal(options.state_dir / "history-journal")
        self._writer = Writer(self._database, self._journal, metrics)
        settlement = Settlement(self._database, market, metrics)
        self._upkeep = Upkeep(self._database, settlement, clock, interval=options.settle_every, keep=options.keep)
        self._tasks: list[asyncio.Task[None]] = []
        self._questions: set[asyncio.Task[Any]] = set()
        self._scores: dict[ScoreQuery, tuple[float, Sequence[LiveScore]]] = {}

    def record(self, forecast: Forecast, made_at: datetime) -> None:
        self._writer.put(forecast, made_at)

    async def page(self, query: HistoryQuery) -> HistoryPage:
        return await self._within(PAGE_WITHIN, page_of(self._database, query))

    async def scores(self, query: ScoreQuery) -> Sequence[LiveScore]:
        made_at, kept = self._scores.get(query, (float("-inf"), ()))
        if time.monotonic() - made_at < SCORES_KEPT_FOR:
            return kept
        found = await self._within(SCORES_WITHIN, scores_of(self._database, query))
        if len(self._scores) >= SCORE_QUERIES_KEPT:
            self._scores.clear()
        self._scores[query] = time.monotonic(), found
        return found

    async def health(self) -> PartHealth:
        started = time.monotonic()
        try:
            await self._within(PROBE_WITHIN, self._probe())
        except HistoryUnavailable:
            return PartHealth("history", "failing", None, f"the database does not answer; {self._waiting()}")
        if self._writer.is_stuck:
            return PartHealth("history", "failing", None, f"nothing can be written; {self._waiting()}")
        return PartHealth("history", self._kind, (time.monotonic() - started) * 1000, self._waiting())

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._writer.run()), asyncio.create_task(self._upkeep.run())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        await self._writer.drain(DRAIN_WITHIN)
        await self._database.close()

    async def _probe(self) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.select(sa.literal(1)))

    async def _within(self, seconds: float, question: Coroutine[Any, Any, T]) -> T:
        """The answer, or HistoryUnavailable in time: giving up a connection that hangs takes seconds of its own, and
        nobody waits for that."""
        task = asyncio.create_task(question)
        self._questions.add(task)
        task.add_done_callback(self._forget)
        try:
            await asyncio.wait({task}, timeout=seconds)
            if not task.done():
                raise HistoryUnavailable("the history does not answer in time")
            return task.result()
        finally:
            task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._questions.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; without a look at it asyncio would complain

    def _waiting(self) -> str:
        return f"{self._writer.queued} forecasts in memory and {self._journal.lines} in the journal wait to be stored"
