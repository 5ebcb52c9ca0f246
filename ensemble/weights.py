"""Published weights: what minimises pinball loss on data later than training, pulled half way to equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts import Floats

STEPS = 300
RATE = 40.0
SHRINKAGE = 0.5


def fit_weights(quantiles: Sequence[Floats], outcomes: Floats, levels: Sequence[float]) -> Floats:
    """Weights (n_members,) on the simplex for one horizon.

    ``quantiles`` holds one (n_rows, n_levels) array a member, ``outcomes`` is (n_rows,), both in z and without
    NaN. Exponentiated gradient descent (Kivinen and Warmuth, 1997) from equal weights on the mean quantile loss of
    the average, which is convex in the weights. Half way back to equal, because the loss is flat near its minimum
    and estimated weights forecast worse than equal ones when they are few data (Smith and Wallis, 2009).
    """
    stacked = np.stack(quantiles)  # (n_members, n_rows, n_levels)
    tau = np.asarray(levels)
    weights = np.full(len(stacked), 1.0 / len(stacked))
    total = np.zeros_like(weights)
    for _ in range(STEPS):
        blended = np.tensordot(weights, stacked, axes=1)
        slope = np.where(outcomes[:, None] < blended, 1.0 - tau, -tau)  # derivative of the loss by the quantile
        gradient = np.array([(slope * member).mean() for member in stacked])
        weights = weights * np.exp(-RATE * (gradient - gradient.mean()))
        weights = weights / weights.sum()
        total += weights
    return (1.0 - SHRINKAGE) * total / STEPS + SHRINKAGE / len(stacked)
