"""Many concurrent requests, few calls: the gateway's side of a model runner.

Rows that wait at the same time share a call; a row that is already being computed is not computed again;
every request ends in its own answer, in an error or in a timeout, whatever happens to the others in its call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from contracts import Floats, Floats32, Grid, MemberSpec
from errors import DeepFinanceError, RunnerUnavailable, Timeout
from runners.blocks import Block, Order
from runners.breaker import Breaker
from runners.foreign import BadAnswer, connection_was_lost, runner_is_away, translated

log = logging.getLogger("deepfinance.runners")

PREPARATION = 15.0
"""Seconds that loading a model may take."""

Call = Callable[[Floats32], Awaitable[Any]]
"""(n_rows, row_width) -> (n_rows, n_horizons, n_levels), from wherever the model is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``rows_per_call`` is what single requests are gathered into; one request may bring up to
    ``largest_call`` rows in a call of its own. ``timeout`` counts from a request's arrival, ``retry_timeout``
    bounds the second attempt after a lost connection; a lost runner is asked every ``pause`` whether it is back and has
    ``patience`` to answer, all in seconds."""

    rows_per_call: int = 64
    largest_call: int = 512
    calls_in_flight: int = 2
    timeout: float = 3.0
    retry_timeout: float = 1.0
    pause: float = 0.25
    patience: float = 5.0


@dataclass(slots=True)
class Counters:
    """What happened since start; ``shared_rows`` were answered by a computation already under way."""

    calls: int = 0
    rows: int = 0
    shared_rows: int = 0
    largest_call: int = 0
    retries: int = 0
    failures: int = 0
    refused: int = 0
    last_latency: float | None = None
    last_error: str | None = None


class Observer(Protocol):
    """Is told what happens to the calls of one runner."""

    def answered(self, n_rows: int, seconds: float) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def refused(self) -> None: ...

    def queued(self, n_rows: int) -> None: ...

    def away(self, is_away: bool) -> None: ...


class Unobserved:
    """Nobody is told."""

    def answered(self, n_rows: int, seconds: float) -> None:
        pass

    def failed(self, error: Exception) -> None:
        pass

    def refused(self) -> None:
        pass

    def queued(self, n_rows: int) -> None:
        pass

    def away(self, is_away: bool) -> None:
        pass


class CoalescingRunner:
    """``contracts.MemberRunner`` over any async call. Belongs to one event loop."""

    def __init__(
        self,
        spec: MemberSpec,
        grid: Grid,
        call: Call,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._spec = spec
        self._grid = grid
        self._call = call
        self._observer = observer or Unobserved()
        self._limits = limits or Limits()
        self._breaker = Breaker(self._try_out, self._limits.pause, self._observer.away)
        self._waiting: deque[Block] = deque()
        self._under_way: dict[str, Block] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters = Counters()

    @property
    def spec(self) -> MemberSpec:
        return self._spec

    @property
    def is_away(self) -> bool:
        """True after the runner was lost and until it has answered again."""
        return self._breaker.is_open

    @property
    def queued_rows(self) -> int:
        """Rows that no call has taken yet."""
        return sum(len(block) for block in self._waiting)

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels); equal keys must name equal rows."""
        self._check(keys, rows)
        order = Order((len(rows), *self._grid.shape))
        if not len(rows):
            return order.answer
        if self._breaker.is_open:
            self.counters.refused += 1
            self._observer.refused()
            raise self._not_answering()
        self._enqueue(keys, rows, order)
        patience = asyncio.get_running_loop().call_later(self._limits.timeout, order.give_up)
        try:
            await order.done
        except TimeoutError:
            raise Timeout(f"model {self._spec.name} did not answer in time") from None
        finally:
            patience.cancel()
        return order.answer

    def lost(self) -> None:
        """Its process has died: who waits for it is told now, not when a call to nobody times out."""
        self._breaker.failed()
        self.counters.last_error = self._not_answering().message
        self._end(self._not_answering())

    @property
    def is_idle(self) -> bool:
        """True while nobody waits for an answer."""
        return not self._under_way

    async def close(self) -> None:
        """End what is under way; whoever still waits gets an error."""
        pending = self._end(RunnerUnavailable("the service is stopping"))
        await asyncio.gather(*pending, return_exceptions=True)
        self._breaker.succeeded()

    def _end(self, error: DeepFinanceError) -> list[asyncio.Task[None]]:
        """Give up every call and row; those calls, cancelled."""
        pending = list(self._tasks)
        self._waiting.clear()
        self._settle_with_error(list(dict.fromkeys(self._under_way.values())), error)
        for task in pending:
            task.cancel()
        self._observer.queued(0)
        return pending

    def _not_answering(self) -> RunnerUnavailable:
        return RunnerUnavailable(f"model {self._spec.name} is not answering", retry_after=1)

    async def prepare(self) -> None:
        """Have the runner answer for one row, for which it may have to load the model; raises what it raises."""
        await self._try_out(PREPARATION)

    async def _try_out(self, patience: float | None = None) -> None:
        """Ask for one row, beside the queue. While the runner is away this hangs in its socket until it is back."""
        row = np.zeros((1, self._spec.row_width), np.float32)
        self._checked(await asyncio.wait_for(self._call(row), patience or self._limits.patience), 1)

    def _check(self, keys: Sequence[str], rows: Floats32) -> None:
        """One caller's bad row must not fail the call it would have shared with others."""
        if rows.dtype != np.float32 or rows.shape != (len(keys), self._spec.row_width) or not np.isfinite(rows).all():
            raise RunnerUnavailable(f"model {self._spec.name} cannot take these inputs")

    def _enqueue(self, keys: Sequence[str], rows: Floats32, order: Order) -> None:
        """Line up the rows that nobody is at, and wait for the others with those who brought them."""
        blocks: list[Block] = []
        fresh: list[int] = []
        shared: dict[Block, tuple[list[int], list[int]]] = {}
        for position, key in enumerate(keys):
            block = self._under_way.get(key)
            if block is None:
                if len(fresh) % self._limits.largest_call == 0:
                    blocks.append(Block(order))
                self._under_way[key] = blocks[-1]
                blocks[-1].places[key] = len(blocks[-1])
                fresh.append(position)
            else:
                positions, places = shared.setdefault(block, ([], []))
                positions.append(position)
                places.append(block.places[key])
        for block, taken in shared.items():
            block.takers.append((order, *taken))
        self.counters.shared_rows += len(keys) - len(fresh)
        self._line_up(blocks, fresh, rows, order)

    def _line_up(self, blocks: Sequence[Block], positions: list[int], rows: Floats32, order: Order) -> None:
        """The rows in ``positions`` of what ``order`` brought, in as many blocks as they need."""
        if not blocks:
            return
        if len(blocks) == 1 and len(positions) == len(rows):
            blocks[0].rows = rows
            blocks[0].takers.append((order, slice(None), slice(None)))
        else:
            for number, block in enumerate(blocks):
                first = number * self._limits.largest_call
                of_block = positions[first : first + self._limits.largest_call]
                block.rows = rows[of_block]
                block.takers.append((order, of_block, slice(None)))
        self._waiting.extend(blocks)
        self._observer.queued(self.queued_rows)
        asyncio.get_running_loop().call_soon(self._start_calls)  # after others that are ready now have queued

    def _start_calls(self) -> None:
        while len(self._tasks) < self._limits.calls_in_flight and (batch := self._next_batch()):
            # as the first who asked, not as whoever happens to start it: what is logged names a request
            context = batch[0].brought_by.context.copy()
            task = asyncio.get_running_loop().create_task(self._run(batch), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._finished)
            self._observer.queued(self.queued_rows)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start_calls()

    def _next_batch(self) -> list[Block]:
        """The oldest rows that fit one call, of which nobody's are split."""
        batch: list[Block] = []
        n_rows = 0
        while self._waiting:
            block = self._waiting[0]
            for key in block.drop_abandoned():
                self._forget(key, block)
            if batch and n_rows + len(block) > self._limits.rows_per_call:
                break
            self._waiting.popleft()
            if len(block):
                batch.append(block)
                n_rows += len(block)
        return batch

    async def _run(self, batch: list[Block]) -> None:
        """One call, from rows to answers. Raises only when cancelled: the outcome belongs to the requests."""
        started = time.monotonic()
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([block.rows for block in batch])
        try:
            answers = await self._ask(rows)
        except asyncio.CancelledError:
            self._settle_with_error(batch, self._not_answering())  # where nobody has been told yet
            raise
        except Exception as error:
            self._note_failure(error, len(rows))
            self._settle_with_error(batch, translated(error, self._spec.name))
        else:
            self._note_success(len(rows), time.monotonic() - started)
            self._settle(batch, answers)

    async def _ask(self, rows: Floats32) -> Floats:
        """The checked answer of the runner; a lost connection is tried once more."""
        deadline = time.monotonic() + self._limits.timeout
        try:
            async with asyncio.timeout(self._limits.timeout):
                raw = await self._call(rows)
        except Exception as error:
            left = min(deadline - time.monotonic(), self._limits.retry_timeout)
            if left <= 0 or not connection_was_lost(error):
                raise
            self.counters.retries += 1
            raw = await asyncio.wait_for(self._call(rows), left)
        return self._checked(raw, len(rows))

    def _checked(self, raw: Any, n_rows: int) -> Floats:
        """Nothing but the exact shape is taken: an answer of another length would reach the wrong callers."""
        try:
            answers: Floats = np.asarray(raw, dtype=np.float64)
        except (TypeError, ValueError):
            raise BadAnswer(f"not numbers but {type(raw).__name__}") from None
        if answers.shape != (n_rows, *self._grid.shape):
            raise BadAnswer(f"shape {answers.shape} for {n_rows} rows of {self._grid.shape}")
        if not np.isfinite(answers).all():
            raise BadAnswer("numbers that are not finite")
        return answers

    def _settle(self, batch: list[Block], answers: Floats) -> None:
        first = 0
        for block in batch:
            self._forget_all(block)
            block.deliver(answers[first : first + len(block)])
            first += len(block)

    def _settle_with_error(self, blocks: list[Block], error: DeepFinanceError) -> None:
        for block in blocks:
            self._forget_all(block)
            block.fail(error)

    def _forget_all(self, block: Block) -> None:
        for key in block.places:
            self._forget(key, block)

    def _forget(self, key: str, block: Block) -> None:
        """Not a row of the same key that came after this one was given up."""
        if self._under_way.get(key) is block:
            del self._under_way[key]

    def _note_success(self, n_rows: int, latency: float) -> None:
        self._breaker.succeeded()
        self._observer.answered(n_rows, latency)
        self.counters.calls += 1
        self.counters.rows += n_rows
        self.counters.largest_call = max(self.counters.largest_call, n_rows)
        self.counters.last_latency = latency
        self.counters.last_error = None

    def _note_failure(self, error: Exception, n_rows: int) -> None:
        self._observer.failed(error)
        if runner_is_away(error):
            self._breaker.failed()
        self.counters.failures += 1
        self.counters.last_error = translated(error, self._spec.name).message
        log.warning("a call to model %s with %d rows failed: %r", self._spec.name, n_rows, error)
