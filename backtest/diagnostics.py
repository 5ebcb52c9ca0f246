"""What a score does not say: where the outcomes fell in the forecast distributions, and how good each part of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from backtest.score import pinball_loss
from contracts import Floats
from ensemble.surface import at_level, probability_below

PIT_BINS = 20
# Levels at which the integral of the CRPS is evaluated: midpoints of 50 equal steps.
CRPS_LEVELS = tuple((np.arange(50) + 0.5) / 50)


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """All (n, n_horizons), NaN where the outcome is not known; axis 0 is (symbol, origin), as in measure.Scored.

    ``pit`` is the forecast probability of a return no larger than the one that came (Dawid, 1984). ``crps``,
    ``error`` (distance of the median) and ``naive_error`` (of no change) are log returns; ``naive_scale`` is the
    mean ``naive_error`` of the symbol's earlier past, NaN without one. ``width_50`` and ``width_80`` are log returns.
    """

    pit: Floats
    crps: Floats
    width_50: Floats
    width_80: Floats
    error: Floats
    naive_error: Floats
    naive_scale: Floats


def diagnose(outcomes: Floats, surfaces: Floats, levels: Sequence[float], naive_scale: Floats) -> Diagnostics:
    """(n, n_horizons) outcomes, (n, n_horizons, n_levels) quantiles and (n_horizons,) scale, all log returns."""
    unknown = 0.0 * outcomes
    median = at_level(surfaces, levels, 0.5)
    return Diagnostics(
        pit=probability_below(surfaces, levels, outcomes) + unknown,
        crps=crps(outcomes, surfaces, levels),
        width_50=_width(surfaces, levels, 0.5) + unknown,
        width_80=_width(surfaces, levels, 0.8) + unknown,
        error=np.abs(outcomes - median),
        naive_error=np.abs(outcomes),
        naive_scale=naive_scale + unknown,
    )


def pooled_diagnostics(parts: Sequence[Diagnostics]) -> Diagnostics:
    """Several symbols as one."""
    return Diagnostics(
        **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Diagnostics)}
    )


def chosen_diagnostics(whole: Diagnostics, which: NDArray[np.bool_]) -> Diagnostics:
    """The forecasts for which ``which`` (n,) holds."""
    return Diagnostics(**{each.name: getattr(whole, each.name)[which] for each in fields(Diagnostics)})


def crps(outcomes: Floats, surfaces: Floats, levels: Sequence[float]) -> Floats:
    """Continuous ranked probability score, in the unit of the outcome: 2 * integral of the pinball loss over the level.

    Quantile form of Laio and Tamea (2007), as in Gneiting and Ranjan (2011), by the midpoint rule over 50 levels,
    between which quantiles are interpolated as they are when served. (n, n_horizons) and (n, n_horizons, n_levels)
    -> (n, n_horizons).
    """
    reached = [np.clip(level, levels[0], levels[-1]) for level in CRPS_LEVELS]
    quantiles = np.stack([at_level(surfaces, levels, float(level)) for level in reached], axis=-1)
    return 2.0 * pinball_loss(outcomes, quantiles, CRPS_LEVELS)


def pit_histogram(pit: Floats, bins: int = PIT_BINS) -> list[int]:
    """Counts in equal bins of [0, 1]; flat if the forecast distributions are right. NaN is left out."""
    counts, _ = np.histogram(pit[~np.isnan(pit)], bins=bins, range=(0.0, 1.0))
    return [int(count) for count in counts]


def scaled_error(part: Diagnostics, column: int) -> float | None:
    """MASE (Hyndman and Koehler, 2006) of the median at one horizon: its absolute error over the one that no change
    had in the symbol's own earlier past, mean over the forecasts. Log returns, not prices. None without a past."""
    ratio = part.error[:, column] / part.naive_scale[:, column]
    return float(np.nanmean(ratio)) if not np.isnan(ratio).all() else None


def _width(surfaces: Floats, levels: Sequence[float], confidence_level: float) -> Floats:
    tail = round((1.0 - confidence_level) / 2.0, 12)
    return at_level(surfaces, levels, 1.0 - tail) - at_level(surfaces, levels, tail)
