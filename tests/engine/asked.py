"""What every engine is asked, so that answers can be compared to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contracts import Bars, Timeframe
from engine.base import Engine
from market.bundled import BundledSource
from runners.model_set import load_model_set
from tests.engine.tasks import OnDoomedNode, Summing
from training.evaluate import evaluate, result_of
from training.plan import Windows
from training.shared import DEFAULT_TARGET

SLICES = [(str(i), slice(i, i + 1000)) for i in range(0, 8000, 1000)]
NUMBERS = np.random.default_rng(0).random(8000)


class Recent(BundledSource):
    """The last six years alone: GARCH takes its time with thirty."""

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        known = await super().bars(symbol, timeframe)
        return replace(known, times=known.times[-1500:], close=known.close[-1500:], fingerprint="")


def scores(engine: Engine) -> dict[str, Any]:
    """Of two bundled shares at one bar, GARCH and all."""
    model_set, window = load_model_set(DEFAULT_TARGET), Windows().evidence
    found = evaluate(Recent(), model_set, DEFAULT_TARGET, window, [1], symbols=["KO", "AAPL"], engine=engine)
    return result_of(found, model_set, window, [1])


def sums(engine: Engine, folder: Path, doomed: int | None = None) -> dict[str, float]:
    """Of parts of a shared array, each begun with a file in ``folder``; on the way the node of that raylet is lost."""
    folder.mkdir()
    with engine.sharing(NUMBERS) as shared:
        summing = Summing(shared, folder) if doomed is None else OnDoomedNode(shared, folder, raylet=doomed)
        return engine.run(summing, SLICES)
