"""Our own forecasts for those who read them: the same normal distribution every day, by a set fitted long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri

from contracts import Bars, Instrument, ModelSet
from errors import DeepFinanceError
from replay import Replay
from tests.ensemble.model_sets import GRID, made_up_set

WINDOWS = {"training": ["1990-01-01", "2000-12-31"], "calibration": ["2001-01-01", "2001-12-31"]}


def set_fitted_until(day: str) -> ModelSet:
    windows = WINDOWS | {"calibration": ["2001-01-01", day], "evidence": [day, "2030-12-31"]}
    return replace(made_up_set(), manifest={"windows": windows})


@dataclass
class Told:
    """``forecast_risk.OwnForecasts``; raises ``error``, or ``error_in_replay`` where it is asked about the past."""

    error: DeepFinanceError | None = None
    error_in_replay: DeepFinanceError | None = None
    spread: float = 0.01
    model_set: ModelSet = field(default_factory=lambda: set_fitted_until("2001-12-31"))
    asked: list[Sequence[float]] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)

    async def quantiles(self, symbol: str, horizon: int, levels: Sequence[float]) -> Sequence[float]:
        self.asked.append(levels)
        if self.error:
            raise self.error
        return [float(self.spread * ndtri(level)) for level in levels]

    async def replay(self, bars: Bars, instrument: Instrument, first: int) -> Replay:
        self.replayed.append(first)
        if error := self.error_in_replay or self.error:
            raise error
        origins = np.arange(first, len(bars) - 1)
        return Replay(origins, np.tile(self.spread * ndtri(np.asarray(GRID.levels)), (len(origins), 1)), GRID.levels)
