"""The forecasts of one bar that would have been served in the past: the same members, weights and calibration, the
correction in force at each origin, and nothing that was not known there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np

from contracts import Bars, FeatureMatrix, Floats, Ints, MemberRunner, ModelSet
from corrections import RecentPast, recent_past
from ensemble.distribution import distribution, recent_corrections
from errors import UnusableSeries
from features.build import check_usable

ROWS_A_CALL = 64
"""A request of one row waits behind so many of a replay at most: its calls follow one another."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Forecasts of the next bar made at the bars ``origins`` (n,): ``quantiles`` (n, n_levels) of its log return at
    ``levels``."""

    origins: Ints
    quantiles: Floats
    levels: tuple[float, ...]


def fitted_until(model_set: ModelSet) -> date | None:
    """The last day that anything in the set was fitted or calibrated on; None where its manifest does not say."""
    windows = cast(Mapping[str, Any], model_set.manifest.get("windows") or {})
    ends = [date.fromisoformat(windows[name][1]) for name in ("training", "calibration") if name in windows]
    return max(ends, default=None)


async def replayed(
    bars: Bars, kind: str, first: int, runners: Mapping[str, MemberRunner], model_set: ModelSet
) -> Replay:
    """What would have been said of the next bar at each bar from ``first`` on but the last, unless the service would
    have refused it there (features.build.check_usable).

    Raises the DeepFinanceError of a model that cannot answer: with fewer members these would be other forecasts.
    """
    past = await asyncio.to_thread(recent_past, bars, model_set.grid, first)
    wanted = await asyncio.to_thread(_usable, bars, past, first)
    if not len(wanted):
        return Replay(wanted, np.empty((0, len(model_set.grid.levels))), model_set.grid.levels)
    keys = [f"{bars.fingerprint}@{day}" for day in past.origins]
    witnesses = await _answers(model_set.witnesses(kind), keys, past.matrix, runners)
    now = past.matrix.take(wanted)
    members = await _answers(model_set.weighted(kind), [keys[row] for row in wanted], now, runners)

    def blended() -> Floats:
        correction = recent_corrections(model_set, kind, witnesses, past.outcomes, past.origins, wanted)
        return distribution(model_set, kind, members, now, None, correction, 1).surfaces[:, 0]

    return Replay(past.rows[wanted], await asyncio.to_thread(blended), model_set.grid.levels)


def _usable(bars: Bars, past: RecentPast, first: int) -> Ints:
    """(n,) rows of the past from bar ``first`` on at which a forecast would have been made and is not open now."""

    def would_be_served(bar: int) -> bool:
        adjusted = None if bars.adj_close is None else bars.adj_close[: bar + 1]
        known = Bars(
            bars.symbol,
            bars.timeframe,
            bars.times[: bar + 1],
            bars.close[: bar + 1],
            bars.provider,
            adj_close=adjusted,
            fingerprint="not needed",  # working it out would take most of the time
        )
        try:
            check_usable(known)
        except UnusableSeries:
            return False
        return True

    asked = np.flatnonzero((past.rows >= first) & (past.rows < len(bars) - 1))
    return asked[np.array([would_be_served(int(bar)) for bar in past.rows[asked]], bool)]


async def _answers(
    names: Sequence[str], keys: Sequence[str], matrix: FeatureMatrix, runners: Mapping[str, MemberRunner]
) -> dict[str, Floats]:
    """(n_rows, n_horizons, n_levels) z quantiles of each member."""
    rows = {name: matrix.rows_for(runners[name].spec.takes) for name in names}
    parts = [slice(start, start + ROWS_A_CALL) for start in range(0, len(keys), ROWS_A_CALL)]
    answers = [
        await asyncio.gather(*(runners[name].predict(keys[part], rows[name][part]) for name in names)) for part in parts
    ]
    return {name: np.concatenate([answer[i] for answer in answers]) for i, name in enumerate(names)}
