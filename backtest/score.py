"""Scores of quantile forecasts, and the test that tells skill from luck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from contracts import Floats, Times

# The quantiles that skill is quoted for, as in the tables of the README.
SCORED_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def pinball_loss(outcomes: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Mean over the levels of the quantile loss (Koenker and Bassett, 1978), smaller is better, NaN for a NaN outcome.

    (...,) outcomes and (..., n_levels) quantiles in the same unit -> (...,) in that unit.
    """
    tau = np.asarray(levels)
    miss = outcomes[..., None] - quantiles
    return np.maximum(tau * miss, (tau - 1.0) * miss).mean(axis=-1)


def skill(loss: Floats, reference: Floats) -> float:
    """1 - mean loss / mean reference loss: positive is better than the reference. NaN pairs are left out."""
    known = ~(np.isnan(loss) | np.isnan(reference))
    total = reference[known].sum()
    return float(1.0 - loss[known].sum() / total) if total > 0 else float("nan")


def diebold_mariano(difference: Floats, times: Times, horizon: int) -> tuple[float, float]:
    """Statistic and two-sided p-value for equal loss; positive when ``difference`` (reference - ours) favours us.

    Diebold and Mariano (1995) on the mean difference of each day over all symbols, since the symbols of one day
    share its news; Newey-West variance (1987) with ``horizon`` lags or four, whichever is more, since forecasts
    of h days overlap; normal limit. (n,) differences and their origin times, NaN left out.
    """
    known = ~np.isnan(difference)
    if known.sum() < 2:
        return 0.0, 1.0
    _, day = np.unique(times[known], return_inverse=True)
    daily = np.bincount(day, weights=difference[known]) / np.bincount(day)
    variance = _newey_west(daily - daily.mean(), max(horizon, 4))
    if variance <= 0:
        return 0.0, 1.0
    statistic = float(daily.mean() / np.sqrt(variance / len(daily)))
    return statistic, float(2.0 * ndtr(-abs(statistic)))


def _newey_west(centred: Floats, lags: int) -> float:
    """Long-run variance with Bartlett weights."""
    n = len(centred)
    total = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    return total


def expected_calibration_error(probability: Floats, happened: Floats, bins: int = 10) -> float:
    """Mean distance between stated probability and frequency over equally filled bins (Naeini et al., 2015)."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [abs(probability[part].mean() - happened[part].mean()) * len(part) for part in parts if len(part)]
    return float(sum(gaps) / len(probability))
