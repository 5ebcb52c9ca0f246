"""The correction of a series by its own recent outcomes (ensemble/online.py): worked out once, then remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backtest.splits import log_returns_ahead
from contracts import Bars, FeatureMatrix, Floats, Grid, MemberRunner, ModelSet, Times
from ensemble.distribution import recent_corrections
from ensemble.online import Correction, anchor
from errors import DeepFinanceError
from features.build import history_inputs


class CorrectionMemory:
    """The last correction of each series, by all that it depends on; the least recently used are forgotten."""

    def __init__(self, kept: int = 4096) -> None:
        self._kept = kept
        self._known: OrderedDict[object, Correction] = OrderedDict()

    def get(self, key: object) -> Correction | None:
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def put(self, key: object, correction: Correction) -> None:
        self._known[key] = correction
        while len(self._known) > self._kept:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class RecentPast:
    """Inputs at every bar since the anchor of the last one, and what is known to have followed, in z."""

    matrix: FeatureMatrix
    outcomes: Floats
    origins: Times


def recent_past(bars: Bars, grid: Grid) -> RecentPast:
    """One to two years of forecasts that could have been made of this series."""
    days = bars.times.astype("datetime64[D]")
    matrix, rows = history_inputs(bars, int(np.searchsorted(days, anchor(days[-1]))))
    horizons = np.asarray(grid.horizons)
    returns = log_returns_ahead(bars.total_return_close, rows, horizons)
    return RecentPast(matrix, returns / (matrix.sigma[:, None] * np.sqrt(horizons)), days[rows])


async def correction_of(
    bars: Bars,
    kind: str,
    names: Sequence[str],
    weights: Mapping[str, float] | None,
    runners: Mapping[str, MemberRunner],
    model_set: ModelSet,
    memory: CorrectionMemory,
) -> Correction | None:
    """The correction in force at the last bar, one row, for forecasts of these members; None where a member could
    not say what it would have forecast, which the answer mentions."""
    key = (bars.fingerprint, model_set.version, kind, tuple(names), tuple(sorted((weights or {}).items())))
    known = memory.get(key)
    if known is not None:
        return known
    past = await asyncio.to_thread(recent_past, bars, model_set.grid)
    keys = [f"{bars.fingerprint}@{day}" for day in past.origins]
    try:
        answers = await asyncio.gather(
            *(runners[name].predict(keys, past.matrix.rows_for(runners[name].spec.takes)) for name in names)
        )
    except DeepFinanceError:
        return None
    members = dict(zip(names, answers, strict=True))
    every = await asyncio.to_thread(recent_corrections, model_set, kind, members, past.outcomes, past.origins, weights)
    correction = every.take(np.array([len(past.origins) - 1]))
    memory.put(key, correction)
    return correction
