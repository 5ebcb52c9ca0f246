"""What forecasts are compared with, for rows of a history: the simple references, and those fitted by arch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from backtest.garch import garch_references
from backtest.score import SCORED_LEVELS
from contracts import Floats, Ints
from training.evidence import References, baseline_quantiles
from training.history import History

# Seeds the simulation, the same for every symbol: references differ by their parameters, not by luck.
SEED = 20190101


def with_garch(report: Callable[[str], None]) -> References:
    """Random walk, EWMA, GARCH-t, GJR-t and filtered historical simulation; failed fits are told to ``report``.

    One thread fits, whatever the machine: sums that several threads share differ in their last bits, and an optimiser
    makes something of it. Half a second a symbol and window of five years at 1, 5 and 20 bars, one and a half up to
    90 bars.
    """

    def references(history: History, rows: Ints, horizons: Ints) -> Mapping[str, Floats]:
        rng = np.random.Generator(np.random.PCG64(SEED))
        closes = history.bars.total_return_close
        with threadpool_limits(1):
            found = garch_references(closes, history.rows[rows], horizons, SCORED_LEVELS, rng)
        for problem in found.problems:
            report(f"{history.bars.symbol}: {problem}")
        return {**baseline_quantiles(history, rows, horizons), **found.quantiles}

    return references
