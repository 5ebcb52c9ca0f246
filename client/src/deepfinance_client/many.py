"""Any number of forecasts: some batches at a time, fewer where the service asks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from deepfinance_client.errors import DeepFinanceError, UnexpectedAnswer
from deepfinance_client.retries import PASSING, Retries

Requests = Sequence[Mapping[str, Any]]


class HasStatus(Protocol):
    @property
    def status(self) -> int: ...


Result = TypeVar("Result", bound=HasStatus)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Requests ``start`` and following of all that are asked."""

    start: int
    requests: Requests


def chunks_of(requests: Requests, size: int) -> Iterator[Chunk]:
    """All requests, ``size`` at a time."""
    for start in range(0, len(requests), size):
        yield Chunk(start, requests[start : start + size])


class Pace:
    """How many batches may be under way: halved when the service refuses, raised slowly while it answers.

    A refusal also holds back those that have not been sent, for as long as it asks.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._allowed = float(most)
        self._under_way = 0
        self._not_before = 0.0
        self._changed = asyncio.Condition()

    @property
    def allowed(self) -> int:
        """Batches that may be under way now."""
        return max(1, int(self._allowed))

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way < self.allowed)
            self._under_way += 1
        try:
            while (wait := self._not_before - self._clock()) > 0:  # noqa: ASYNC110 -- it is a time, not an event
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            await self._leave()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._leave()

    async def _leave(self) -> None:
        async with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def slower(self, wait: float) -> None:
        """The service refused, and asks for ``wait`` seconds."""
        self._allowed = max(1.0, self._allowed / 2)
        self._not_before = max(self._not_before, self._clock() + wait)

    def faster(self) -> None:
        """It answered."""
        self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)


class Bulk(Generic[Result]):
    """Asks chunk after chunk. ``ask`` sends one batch, once; ``answered`` gets each chunk with its results, in the
    order in which they come. What is refused for the moment, a batch or an item of it, is asked again.
    """

    def __init__(
        self,
        ask: Callable[[Requests], Awaitable[Sequence[Result]]],
        answered: Callable[[Chunk, Sequence[Result]], Awaitable[None]],
        retries: Retries,
        parallel: int,
    ) -> None:
        self._ask, self._answered, self._retries, self._parallel = ask, answered, retries, parallel
        self._pace = Pace(parallel)

    async def run(self, chunks: Iterable[Chunk]) -> None:
        """Every chunk. Raises the first DeepFinanceError that does not pass; what was answered until then was
        handed over.
        """
        waiting = iter(chunks)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._parallel):
                    workers.create_task(self._work(waiting))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _work(self, waiting: Iterator[Chunk]) -> None:
        for chunk in waiting:
            await self._answered(chunk, await self._results(chunk.requests))

    async def _results(self, requests: Requests) -> list[Result]:
        found: dict[int, Result] = {}
        wanted = list(range(len(requests)))
        for attempt in range(1, self._retries.attempts + 1):
            found.update(zip(wanted, await self._batch([requests[it] for it in wanted]), strict=True))
            wanted = [it for it in wanted if found[it].status in PASSING]
            if not wanted:
                break
            if attempt < self._retries.attempts:
                await asyncio.sleep(self._retries.backoff(attempt))
        return [found[it] for it in range(len(requests))]

    async def _batch(self, requests: Requests) -> Sequence[Result]:
        attempt = 1
        while True:
            try:
                async with self._pace:
                    results = await self._ask(requests)
            except DeepFinanceError as error:
                delay = self._retries.delay(attempt, error)
                if delay is None:
                    raise
                self._pace.slower(delay)
                attempt += 1
                continue
            if len(results) != len(requests):
                raise UnexpectedAnswer(f"{len(requests)} requests got {len(results)} results")
            self._pace.faster()
            return results
