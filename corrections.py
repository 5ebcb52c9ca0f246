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
from ensemble.distribution import past_of
from ensemble.online import Correction, Past, anchor, corrections
from errors import DeepFinanceError
from features.build import history_inputs
from inputs import InputMemory
from passes import Passes
from remembering import Remembered

SERIES_A_PASS = 16
"""Series that are replayed together, in one thread, while those that come meanwhile wait for the next pass. So many
take 34 MB, and each costs half of what it costs alone; more threads would take turns at Python's lock."""
OF_ONE_CALL = 8
"""Of these for one call of the pipeline: a batch of new symbols leaves room for whoever comes later."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A series of which nobody knows yet how it is to be corrected. ``inputs`` are told its inputs at the last bar,
    which its replay comes across."""

    bars: Bars
    kind: str
    runners: Mapping[str, MemberRunner]
    model_set: ModelSet
    inputs: InputMemory


class Memory(Protocol):
    """Corrections by all that they depend on. ``known`` are those that nobody has to wait for."""

    def known(self, key: Hashable) -> Correction | None: ...

    async def recall(self, key: Hashable, asked: Asked) -> Correction | None: ...


class CorrectionMemory:
    """The last corrections; those not known are worked out in passes, one at a time. Belongs to one event loop."""

    def __init__(
        self,
        kept: int = 4096,
        replay: Callable[[Sequence[Asked]], Awaitable[Sequence[Correction | None]]] | None = None,
    ) -> None:
        self._known: Remembered[Correction | None] = Remembered(kept, keeps=lambda found: found is not None)
        self._passes = Passes(replay or replayed, SERIES_A_PASS)

    def known(self, key: Hashable) -> Correction | None:
        """What is known under ``key`` now."""
        return self._known.known(key)

    async def recall(self, key: Hashable, asked: Asked) -> Correction | None:
        """What is known under ``key``, else what a replay finds, which is remembered unless it is None."""
        return await self._known.get(key, partial(self._passes.through, asked))


class InTurns:
    """A memory as one call of the pipeline sees it: however many series are asked for, few are worked out at a time."""

    def __init__(self, memory: Memory, at_once: int = OF_ONE_CALL) -> None:
        self._memory = memory
        self._turns = asyncio.Semaphore(at_once)

    def known(self, key: Hashable) -> Correction | None:
        return self._memory.known(key)

    async def recall(self, key: Hashable, asked: Asked) -> Correction | None:
        async with self._turns:
            return await self._memory.recall(key, asked)


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
    series: Sequence[Bars],
    kind: str,
    runners: Mapping[str, MemberRunner],
    model_set: ModelSet,
    memory: Memory,
    inputs: InputMemory | None = None,
) -> list[Correction | None]:
    """The correction in force at the last bar of each series, one row; None where a witness (ModelSet.witnesses) could
    not say what it would have forecast, which the answer mentions. Waits only for what is not known yet; of that,
    ``inputs`` know afterwards what models are asked with."""
    keys = [(bars.fingerprint, model_set.version, kind) for bars in series]
    found = [memory.known(key) for key in keys]
    new = [at for at, each in enumerate(found) if each is None]
    learning = InputMemory() if inputs is None else inputs
    asked = [Asked(series[at], kind, runners, model_set, learning) for at in new]
    recalled = await asyncio.gather(*(memory.recall(keys[at], each) for at, each in zip(new, asked, strict=True)))
    for at, each in zip(new, recalled, strict=True):
        found[at] = each
    return found


async def replayed(asked: Sequence[Asked]) -> list[Correction | None]:
    """The correction in force at the last bar of each series, whose recent pasts are replayed together."""
    pasts = await asyncio.to_thread(lambda: [recent_past(each.bars, each.model_set.grid) for each in asked])
    for each, past in zip(asked, pasts, strict=True):
        each.inputs.learn(each.bars, past.matrix, past.rows)
    answers = await asyncio.gather(*map(_witnesses, asked, pasts))
    return await asyncio.to_thread(_corrected, asked, pasts, answers)


async def _witnesses(asked: Asked, past: RecentPast) -> dict[str, Floats] | None:
    """What each would have forecast, (n_rows, n_horizons, n_levels) z quantiles; None where one could not say."""
    names, runners = asked.model_set.witnesses(asked.kind), asked.runners
    keys = [f"{asked.bars.fingerprint}@{row}" for row in range(len(past.origins))]
    try:
        answers = await asyncio.gather(
            *(runners[name].predict(keys, past.matrix.rows_for(runners[name].spec.takes)) for name in names)
        )
    except DeepFinanceError:
        return None
    return dict(zip(names, answers, strict=True))


def _corrected(
    asked: Sequence[Asked], pasts: Sequence[RecentPast], answers: Sequence[Mapping[str, Floats] | None]
) -> list[Correction | None]:
    """One row each; series of one kind go through the recursion side by side."""
    found: list[Correction | None] = [None] * len(asked)
    alike: dict[tuple[ModelSet, str], dict[int, Past]] = {}
    for at, (each, past, members) in enumerate(zip(asked, pasts, answers, strict=True)):
        if members is not None:
            last = np.array([len(past.origins) - 1])
            learned_from = past_of(each.model_set, each.kind, members, past.outcomes, past.origins, last)
            alike.setdefault((each.model_set, each.kind), {})[at] = learned_from
    for (model_set, kind), own in alike.items():
        rows = corrections(list(own.values()), model_set.grid, model_set.calibration[kind].rates)
        for at, row in zip(own, rows, strict=True):
            found[at] = row
    return found
