"""Scores of quantile forecasts, and the test that tells skill from luck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

from contracts import Floats, Ints, Times

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
    """Statistic and two-sided p-value for equal loss; the statistic is positive when ``difference`` (reference -
    ours) favours us.

    Diebold and Mariano (1995) on the differences summed by day, since the symbols of one day share its news. The
    statistic has the customary Newey-West variance (1987), ``horizon`` lags or four, whichever is more. The p-value is
    NOT that of the statistic: with overlapping outcomes the customary test calls luck skill far too often, so it comes
    from an equal-weighted cosine variance and Student's t (Lazarus, Lewis, Stock and Watson, 2018), which holds its
    size much better (tests/statistical). (n,) differences and their origin times, NaN left out.
    """
    known = ~np.isnan(difference)
    if known.sum() < 2:
        return 0.0, 1.0
    mean, error = _mean_and_error(difference[known], times[known], horizon)
    if not error > 0:
        return 0.0, 1.0
    return mean / error, _cosine_p_value(mean, difference[known], times[known], horizon)


def standard_error(values: Floats, times: Times, horizon: int) -> float:
    """Standard error of the mean of (n,) values without NaN, from forecasts of h bars made at ``times``.

    As in ``diebold_mariano``: the symbols of one day may move as one, and neighbouring days as far as they overlap.
    """
    return _mean_and_error(values, times, horizon)[1]


def _mean_and_error(values: Floats, times: Times, horizon: int) -> tuple[float, float]:
    """Mean of all values, and its standard error clustered by day, Newey-West across days.

    A day on which few symbols trade weighs less, in the mean as in the error, so that the sign of a mean difference
    is that of the skill.
    """
    mean, surplus = _daily_surplus(values, times)
    variance = max(_newey_west(surplus, max(horizon, 4)), 0.0)
    return mean, float(np.sqrt(variance * len(surplus)) / len(values))


def _daily_surplus(values: Floats, times: Times) -> tuple[float, Floats]:
    """Mean of all values, and by how much each day's values exceed it in sum."""
    _, day = np.unique(times, return_inverse=True)
    mean = float(values.sum() / len(values))
    return mean, np.bincount(day, weights=values) - np.bincount(day) * mean


def _cosine_p_value(mean: float, values: Floats, times: Times, horizon: int) -> float:
    """Two-sided p-value of a zero mean. As many cosines as 0.4 n^(2/3), but no wave shorter than four horizons, which
    overlap makes too quiet to tell the long-run variance from."""
    _, surplus = _daily_surplus(values, times)
    n = len(surplus)
    terms = max(int(min(0.4 * n ** (2 / 3), n / (2 * horizon))), 1)
    waves = np.sqrt(2.0 / n) * np.cos(np.pi * np.arange(1, terms + 1)[:, None] * (np.arange(n) + 0.5) / n)
    variance = float(np.mean((waves @ surplus) ** 2))
    if not variance > 0:
        return 1.0
    statistic = mean * len(values) / np.sqrt(variance * n)
    return float(2.0 * stdtr(terms, -abs(statistic)))


def _newey_west(centred: Floats, lags: int) -> float:
    """Long-run variance with Bartlett weights."""
    n = len(centred)
    total = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    return total


def expected_calibration_error(probability: Floats, happened: Floats, bins: int = 10) -> float:
    """Mean distance between stated probability and frequency over equally filled bins (Naeini et al., 2015)."""
    parts = binned(probability, bins)
    gaps = [abs(probability[part].mean() - happened[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(probability))


def binned(values: Floats, bins: int) -> list[Ints]:
    """Positions of (n,) values in at most ``bins`` equally filled bins, smallest values first; none is empty.

    Equal values stay together, where the first of them belongs: a constant is one bin, not ten pieces in the order
    of the rows, whose frequencies would differ by season.
    """
    order = np.argsort(values, kind="stable")
    edges = np.cumsum([len(part) for part in np.array_split(order, bins)])[:-1]
    ranks = np.searchsorted(values[order], values, side="left")
    number = np.searchsorted(edges, ranks, side="right")
    return [np.flatnonzero(number == each) for each in np.unique(number)]
