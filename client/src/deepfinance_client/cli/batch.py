"""``deepfinance batch``: a file of symbols in, a file of forecasts out, in the same order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfinance_client.async_client import AsyncClient
from deepfinance_client.cli.journal import Journal
from deepfinance_client.cli.tables import write_table
from deepfinance_client.cli.work import Work
from deepfinance_client.cli.wrong import WrongInput
from deepfinance_client.columns import COLUMNS, row_of
from deepfinance_client.many import Bulk, Chunk, Requests
from deepfinance_client.responses import BatchError
from deepfinance_client.retries import NEVER, USUAL
from deepfinance_client.slim import SlimResult, predict_batch_slim

ERROR_CODE = list(COLUMNS).index("error_code")


@dataclass(frozen=True)
class Target:
    """Where the answers go. ``overwrite``: a file that is there already. ``restart``: forget what was answered."""

    path: Path
    overwrite: bool = False
    restart: bool = False

    @property
    def journal(self) -> Path:
        """Where answers are until all of them are there."""
        return self.path.with_name(f"{self.path.name}.journal")

    def check(self) -> None:
        """Raise WrongInput where it must not or cannot be written."""
        if not self.path.parent.is_dir():
            raise WrongInput(f"the folder {self.path.parent} does not exist")
        if self.path.exists() and not self.overwrite and not self.journal.exists():
            raise WrongInput(f"{self.path} exists; say --overwrite to replace it")


@dataclass(frozen=True)
class Outcome:
    """``errors`` by code; ``resumed`` rows had been answered before, the others took ``seconds``."""

    rows: int
    seconds: float
    resumed: int
    errors: Counter[str]


class Run:
    """One run of the command. ``progress`` is told the rows that are answered, and how many of them are errors."""

    def __init__(self, work: Work, target: Target, progress: Callable[[int, int], None]) -> None:
        self._work, self._target, self._progress = work, target, progress
        self._one_writes = asyncio.Lock()
        target.check()
        self.journal = Journal(target.journal, work.name, target.restart)

    def run(self, client: Callable[[], AsyncClient], parallel: int, size: int) -> Outcome:
        """Ask what is missing, write the file, forget the journal. Raises DeepFinanceError where the service does not
        answer any more; what was answered until then is kept.
        """
        with self.journal as journal:
            resumed = journal.answered
            self._progress(resumed, journal.refused)
            began = time.monotonic()
            asyncio.run(self._ask(client, parallel, size))
            seconds = time.monotonic() - began
            errors = Counter[str]()
            write_table(self._target.path, self._work.kinds, self._written(errors))
            journal.remove()
            return Outcome(len(self._work.requests), seconds, resumed, errors)

    async def _ask(self, client: Callable[[], AsyncClient], parallel: int, size: int) -> None:
        async with client() as service:

            async def ask(requests: Requests) -> Sequence[SlimResult | BatchError]:
                return (await service.send(predict_batch_slim(requests), retries=NEVER)).results

            await Bulk(ask, self._answered, USUAL, parallel).run(self._chunks(size))

    def _chunks(self, size: int) -> Iterator[Chunk]:
        for missing in list(self.journal.missing(len(self._work.requests))):
            for start in range(missing.start, missing.stop, size):
                yield Chunk(start, self._work.requests[start : min(start + size, missing.stop)])

    async def _answered(self, chunk: Chunk, results: Sequence[SlimResult | BatchError]) -> None:
        rows = [row_of(request, result) for request, result in zip(chunk.requests, results, strict=True)]
        async with self._one_writes:
            await asyncio.to_thread(self.journal.append, chunk.start, rows)  # the disk takes its time
        self._progress(self.journal.answered, self.journal.refused)

    def _written(self, errors: Counter[str]) -> Iterator[list[Any]]:
        kept = list(self._work.kept.values())
        for place, row in enumerate(self.journal.rows()):
            if row[ERROR_CODE] is not None:
                errors[row[ERROR_CODE]] += 1
            yield [column[place] for column in kept] + row
