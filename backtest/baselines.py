"""What a forecast has to beat. Each uses, at every origin, only what was known then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from contracts import Floats, Ints

REFIT_EVERY = 21
SHORTEST_HISTORY = 250


def random_walk(closes: Floats, rows: Ints, horizons: Ints, levels: Sequence[float]) -> Floats:
    """Quantiles of all h-bar log returns of the same symbol that were complete at the origin.

    The price is a random walk whose steps are drawn from its own past, without regard to current volatility.
    Recomputed every 21 bars. (n_bars,) closes -> (n_rows, n_horizons, n_levels).
    """
    log_price = np.log(closes)
    blocks = np.unique(rows // REFIT_EVERY, return_inverse=True)
    fitted = np.empty((len(blocks[0]), len(horizons), len(levels)))
    for i, block in enumerate(blocks[0]):
        last = max(int(block) * REFIT_EVERY, SHORTEST_HISTORY)
        for j, horizon in enumerate(horizons):
            fitted[i, j] = np.quantile(log_price[horizon : last + 1] - log_price[: last + 1 - horizon], levels)
    return fitted[blocks[1]]


def ewma_gaussian(sigma: Floats, horizons: Ints, levels: Sequence[float]) -> Floats:
    """Normal, mean zero, RiskMetrics volatility times sqrt(h): (n_rows,) -> (n_rows, n_horizons, n_levels)."""
    return sigma[:, None, None] * np.sqrt(horizons)[:, None] * ndtri(np.asarray(levels))
