"""Calibration that goes on: a symbol's own recent outcomes correct its next intervals.

For each horizon a log scale s and a shift c of every quantile follow the outcomes already known at the origin:

    s <- clip(s + g / sqrt(h) * ((miss_90 - 0.10) + 0.5 * (miss_50 - 0.50)), -1, 1)
    c <- c + k / sqrt(h) * (tau - 1[z <= q])

with miss_90 = 1 where the outcome z fell outside the 90 % interval then in force, q the quantiles then in force: online
gradient steps on the quantile loss (adaptive conformal inference, Gibbs and Candes, 2021; rates per horizon because
outcomes of h bars overlap). A forecast of h bars is corrected by forecasts made h bars ago or earlier, never by one
whose outcome is still open.

The recursion starts from nothing at the first bar of the year before the origin's. What is served therefore depends on
one to two years of a symbol's own bars and on nothing else, and can be recomputed by anyone from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contracts import Floats, Grid, Ints, Times
from ensemble.combine import in_order

LARGEST_LOG_SCALE = 1.0


@dataclass(frozen=True, slots=True)
class Correction:
    """What is in force at each origin: ``log_scale`` (n_rows, n_horizons) and ``shift`` (n_rows, n_horizons,
    n_levels), in z."""

    log_scale: Floats
    shift: Floats

    def take(self, rows: Ints) -> Correction:
        return Correction(self.log_scale[rows], self.shift[rows])

    def up_to(self, n_horizons: int) -> Correction:
        """At the first horizons of the grid."""
        return Correction(self.log_scale[:, :n_horizons], self.shift[:, :n_horizons])


def no_correction(grid: Grid) -> Correction:
    """One row that changes nothing."""
    return Correction(np.zeros((1, grid.shape[0])), np.zeros((1, *grid.shape)))


def stacked(rows: Sequence[Correction]) -> Correction:
    """Several as one, in order."""
    return Correction(np.concatenate([row.log_scale for row in rows]), np.concatenate([row.shift for row in rows]))


def corrected(quantiles: Floats, correction: Correction, grid: Grid) -> Floats:
    """(n_rows, n_horizons, n_levels) z quantiles, spread about their median, shifted and put in order."""
    middle = grid.levels.index(0.5)
    median = quantiles[..., middle : middle + 1]
    spread = (quantiles - median) * np.exp(correction.log_scale)[..., None]
    return in_order(median + spread + correction.shift)


def anchor(origin: np.datetime64) -> np.datetime64:
    """The day from which an origin's correction is worked out: New Year of the year before."""
    return (origin.astype("datetime64[Y]") - 1).astype("datetime64[D]")


def corrections(
    quantiles: Floats, outcomes: Floats, origins: Times, wanted: Ints, grid: Grid, rates: Floats
) -> Correction:
    """The correction in force at the ``wanted`` rows of one symbol.

    ``quantiles`` (n_rows, n_horizons, n_levels) are its statically calibrated forecasts and ``outcomes``
    (n_rows, n_horizons) what became of them (NaN while open), both in z. Rows are consecutive bars and reach back to
    the anchor of the first one wanted, or to the first of the symbol that could have been forecast; ``rates`` are
    g and k.
    """
    years = origins.astype("datetime64[Y]").astype(np.int64)
    log_scale, shift = np.zeros((len(wanted), *outcomes.shape[1:])), np.zeros((len(wanted), *quantiles.shape[1:]))
    for year in np.unique(years[wanted]):
        rows = np.flatnonzero((years == year) | (years == year - 1))
        found = _replay(quantiles[rows], outcomes[rows], grid, rates)
        own = years[wanted] == year
        at = np.searchsorted(rows, wanted[own])
        log_scale[own], shift[own] = found.log_scale[at], found.shift[at]
    return Correction(log_scale, shift)


def _replay(quantiles: Floats, outcomes: Floats, grid: Grid, rates: Floats) -> Correction:
    """The recursion from nothing over consecutive rows; what does not depend on it is worked out before."""
    horizons, levels = np.asarray(grid.horizons), np.asarray(grid.levels)
    lower_90, upper_90, lower_50, upper_50 = (grid.levels.index(level) for level in (0.05, 0.95, 0.25, 0.75))
    scale_rate, shift_rate = rates[0] / np.sqrt(horizons), (rates[1] / np.sqrt(horizons))[:, None]
    n_rows, n_horizons, n_levels = quantiles.shape
    past = np.arange(n_rows)[:, None] - horizons  # the forecasts whose outcomes became known at each origin
    at, columns = np.maximum(past, 0), np.arange(n_horizons)
    became = outcomes[at, columns]
    known = (past >= 0) & ~np.isnan(became)
    places = at * n_horizons + columns
    middle = grid.levels.index(0.5)
    median = quantiles[..., middle : middle + 1]
    spread = quantiles - median
    log_scale, shift = np.zeros((n_rows, n_horizons)), np.zeros(quantiles.shape)
    in_force = np.zeros((n_rows * n_horizons, n_levels))
    scale_now, shift_now = np.zeros(n_horizons), np.zeros(quantiles.shape[1:])
    for row in range(n_rows):
        if known[row].any():
            z, was = became[row], in_force[places[row]]
            miss_90 = (z < was[:, lower_90]) | (z > was[:, upper_90])
            miss_50 = (z < was[:, lower_50]) | (z > was[:, upper_50])
            moved = scale_now + scale_rate * ((miss_90 - 0.10) + 0.5 * (miss_50 - 0.50))
            moved = np.minimum(np.maximum(moved, -LARGEST_LOG_SCALE), LARGEST_LOG_SCALE)
            scale_now = np.where(known[row], moved, scale_now)
            shift_now = np.where(
                known[row][:, None], shift_now + shift_rate * (levels - (z[:, None] <= was)), shift_now
            )
        log_scale[row], shift[row] = scale_now, shift_now
        now = median[row] + spread[row] * np.exp(scale_now)[:, None] + shift_now
        now.sort(axis=-1)
        in_force[row * n_horizons : (row + 1) * n_horizons] = now
    return Correction(log_scale, shift)
