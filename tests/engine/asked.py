"""What every engine is asked, so that answers can be compared to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.base import Engine
from market.bundled import BundledSource
from runners.model_set import load_model_set
from tests.engine.tasks import OnDoomedNode, Summing
from training.evaluate import evaluate, result_of
from training.plan import Windows
from training.shared import DEFAULT_TARGET

SLICES = [(str(i), slice(i, i + 1000)) for i in range(0, 8000, 1000)]
NUMBERS = np.random.default_rng(0).random(8000)


def scores(engine: Engine) -> dict[str, Any]:
    """Of two bundled shares at one bar, GARCH and all."""
    model_set, window = load_model_set(DEFAULT_TARGET), Windows().evidence
    source = BundledSource(candles=True)
    found = evaluate(source, model_set, DEFAULT_TARGET, window, [1], symbols=["KO", "AAPL"], engine=engine)
    return result_of(found, model_set, window, [1])


def sums(engine: Engine, folder: Path, doomed: int | None = None) -> dict[str, float]:
    """Of parts of a shared array, each begun with a file in ``folder``; on the way the node of that raylet is lost."""
    folder.mkdir()
    with engine.sharing(NUMBERS) as shared:
        summing = Summing(shared, folder) if doomed is None else OnDoomedNode(shared, folder, raylet=doomed)
        return engine.run(summing, SLICES)
