"""The finite-sample quantile on which conformal prediction rests."""

from __future__ import annotations

import numpy as np

from contracts import Floats


def finite_sample_quantile(scores: Floats, level: float) -> float:
    """The ceil((n + 1) * level)-th smallest of n exchangeable scores.

    A further exchangeable score is at most this with probability at least ``level`` and at most
    level + 1 / (n + 1) (Vovk, Gammerman and Shafer, 2005; Lei et al., 2018). Above the largest score the bound
    would be infinite; the largest is returned, and n >= 1 / (1 - level) - 1 makes that moot.
    """
    n = len(scores)
    if n == 0:
        raise ValueError("a finite-sample quantile needs at least one score")
    rank = int(np.ceil(round((n + 1) * level, 9)))
    return float(np.partition(scores, min(max(rank, 1), n) - 1)[min(max(rank, 1), n) - 1])
