"""The correction of a series by its own recent outcomes (ensemble/online.py): worked out once, then remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from backtest.splits import log_returns_ahead
from contracts import Bars, FeatureMatrix, Floats, Grid, Ints, MemberRunner, ModelSet, Times
from ensemble.distribution import recent_corrections
from ensemble.online import Correction, anchor
from errors import DeepFinanceError
from features.build import history_inputs
from remembering import Remembered

AT_ONCE = 8
"""Replays that go on at the same time: each asks every model for one to two years of forecasts, and requests of one row
must not wait behind thousands of those, nor a replay so long that it times out."""
AT_ONCE_FOR_ONE = 4
"""Of these for one call of the pipeline: a batch of new symbols leaves room for whoever comes later."""

Work = Callable[[], Awaitable[Correction | None]]


class Memory(Protocol):
    """Corrections by all that they depend on. ``known`` are those that nobody has to wait for."""

    def known(self, key: Hashable) -> Correction | None: ...

    async def recall(self, key: Hashable, work: Work) -> Correction | None: ...


class CorrectionMemory:
    """The last corrections, few of them worked out at the same time. Belongs to one event loop."""

    def __init__(self, kept: int = 4096, at_once: int = AT_ONCE) -> None:
        self._known: Remembered[Correction | None] = Remembered(kept, keeps=lambda found: found is not None)
        self._turns = asyncio.Semaphore(at_once)

    def known(self, key: Hashable) -> Correction | None:
        """What is known under ``key`` now."""
        return self._known.known(key)

    async def recall(self, key: Hashable, work: Work) -> Correction | None:
        """What is known under ``key``, else what ``work`` finds, which is remembered unless it is None."""

        async def in_turn() -> Correction | None:
            async with self._turns:
                return await work()

        return await self._known.get(key, in_turn)


class InTurns:
    """A memory as one call of the pipeline sees it: however many series are asked for, few are worked out at a time."""

    def __init__(self, memory: Memory, at_once: int = AT_ONCE_FOR_ONE) -> None:
        self._memory = memory
        self._turns = asyncio.Semaphore(at_once)

    def known(self, key: Hashable) -> Correction | None:
        return self._memory.known(key)

    async def recall(self, key: Hashable, work: Work) -> Correction | None:
        async with self._turns:
            return await self._memory.recall(key, work)


@dataclass(frozen=True, slots=True)
class RecentPast:
    """Inputs at the bars ``rows``, every one since the anchor of the first that is asked about, and what is known to
    have followed, in z."""

    matrix: FeatureMatrix
    outcomes: Floats
    origins: Times
    rows: Ints


def recent_past(bars: Bars, grid: Grid, first: int = -1) -> RecentPast:
    """Forecasts that could have been made of this series in the one to two years before bar ``first``, and since."""
    days = bars.times.astype("datetime64[D]")
    matrix, rows = history_inputs(bars, int(np.searchsorted(days, anchor(days[first]))))
    horizons = np.asarray(grid.horizons)
    returns = log_returns_ahead(bars.total_return_close, rows, horizons)
    return RecentPast(matrix, returns / (matrix.sigma[:, None] * np.sqrt(horizons)), days[rows], rows)


async def corrections_of(
    series: Sequence[Bars], kind: str, runners: Mapping[str, MemberRunner], model_set: ModelSet, memory: Memory
) -> list[Correction | None]:
    """The correction in force at the last bar of each series, one row; None where a witness (ModelSet.witnesses) could
    not say what it would have forecast, which the answer mentions. Waits only for what is not known yet."""
    keys = [(bars.fingerprint, model_set.version, kind) for bars in series]
    found = [memory.known(key) for key in keys]
    new = [at for at, each in enumerate(found) if each is None]
    works = [partial(_replayed, series[at], kind, runners, model_set) for at in new]
    replayed = await asyncio.gather(*(memory.recall(keys[at], work) for at, work in zip(new, works, strict=True)))
    for at, each in zip(new, replayed, strict=True):
        found[at] = each
    return found


async def _replayed(
    bars: Bars, kind: str, runners: Mapping[str, MemberRunner], model_set: ModelSet
) -> Correction | None:
    names = model_set.witnesses(kind)
    past = await asyncio.to_thread(recent_past, bars, model_set.grid)
    keys = [f"{bars.fingerprint}@{row}" for row in range(len(past.origins))]
    try:
        answers = await asyncio.gather(
            *(runners[name].predict(keys, past.matrix.rows_for(runners[name].spec.takes)) for name in names)
        )
    except DeepFinanceError:
        return None
    members, last = dict(zip(names, answers, strict=True)), np.array([len(past.origins) - 1])
    return await asyncio.to_thread(recent_corrections, model_set, kind, members, past.outcomes, past.origins, last)
