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
from ensemble.recursion import replay

SIDE_BY_SIDE = 16
"""Series that go through the recursion together: each takes an eighth of the time that it takes alone, which nearly all
goes into calling numpy."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was forecast of one symbol at consecutive bars, and what became of it.

    ``quantiles`` (n_rows, n_horizons, n_levels) are the statically calibrated forecasts made at ``origins`` (n_rows,),
    ``outcomes`` (n_rows, n_horizons) what followed (NaN while open), both in z. The rows reach back to the anchor of
    the first one ``wanted`` (n_wanted,), or to the first of the symbol that could have been forecast.
    """

    quantiles: Floats
    outcomes: Floats
    origins: Times
    wanted: Ints

    @property
    def years(self) -> Ints:
        """(n_rows,) of the origins."""
        return self.origins.astype("datetime64[Y]").astype(np.intp)


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


def corrections(pasts: Sequence[Past], grid: Grid, rates: Floats) -> list[Correction]:
    """The correction in force at the wanted rows of each symbol, to the last bit the same in any company; ``rates`` are
    g and k."""
    found = [
        Correction(np.zeros((len(past.wanted), grid.shape[0])), np.zeros((len(past.wanted), *grid.shape)))
        for past in pasts
    ]
    spans = [
        (past, to, int(year))
        for past, to in zip(pasts, found, strict=True)
        for year in np.unique(past.years[past.wanted])
    ]
    for first in range(0, len(spans), SIDE_BY_SIDE):
        _fill(spans[first : first + SIDE_BY_SIDE], grid, rates)
    return found


def _fill(spans: Sequence[tuple[Past, Correction, int]], grid: Grid, rates: Floats) -> None:
    """Into each correction what is in force at the wanted rows of one year of its past."""
    series, places = [], []
    for past, _, year in spans:
        years = past.years
        start, end = np.searchsorted(years, year - 1), np.searchsorted(years, year, side="right")
        series.append((past.quantiles[start:end], past.outcomes[start:end]))
        places.append(past.wanted[years[past.wanted] == year] - start)
    first = min(int(at.min()) for at in places)
    replayed = replay(series, grid, rates, first)
    for (past, to, year), at, (log_scale, shift) in zip(spans, places, replayed, strict=True):
        own = past.years[past.wanted] == year
        to.log_scale[own], to.shift[own] = log_scale[at - first], shift[at - first]
