"""The recursion of online.py over several series side by side, to the last bit what each gives alone.

A column is one horizon of one series; series lie side by side, the horizons of each together. Every operation is
elementwise, so that no column knows of another. A bar costs some fifteen calls of numpy for however many columns.

What an outcome teaches follows from two counts: how many of the quantiles then in force lay below it, and how many did
not lie above. They are taken when the forecast is made, kept as one number, its rank, and learned from when the outcome
is known. Quantiles need not be put in order for that: sorting changes no count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from contracts import Floats, Grid, Ints

LARGEST_LOG_SCALE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """What each rank at each horizon adds to the log scale (n_horizons * n_ranks,) and to the shifts of the quantiles
    (n_levels, n_horizons * n_ranks). The last rank of a horizon is of what is not known, and adds nothing."""

    log_scale: Floats
    shift: Floats
    n_ranks: int


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """Forecasts and outcomes of all series, columns last: ``median`` and ``outcomes`` (n_rows, n_columns), ``spread``
    (n_rows, n_levels, n_columns) about the median. A series that ends sooner has no outcomes from there on."""

    median: Floats
    spread: Floats
    outcomes: Floats


class _State:
    """What is in force now: ``log_scale`` (n_columns,) and ``shift`` (n_levels, n_columns); arrays are made once."""

    def __init__(self, steps: _Steps, n_levels: int, n_columns: int) -> None:
        self.log_scale, self.shift = np.zeros(n_columns), np.zeros((n_levels, n_columns))
        self._steps = steps
        self._lowest, self._highest = np.full(n_columns, -LARGEST_LOG_SCALE), np.full(n_columns, LARGEST_LOG_SCALE)
        self._of_columns, self._of_levels = np.empty(n_columns), np.empty((n_levels, n_columns))
        self._lies = np.empty((2, n_levels, n_columns), np.bool_)  # below the outcome, not above it
        dtype = np.min_scalar_type(steps.n_ranks)
        self._counts, self._each = np.empty((2, n_columns), dtype), np.full(n_columns, n_levels + 1, dtype)

    def learn(self, ranks: Ints) -> None:
        """From outcomes that are known now, a rank for each column."""
        np.add(self.log_scale, self._steps.log_scale.take(ranks, out=self._of_columns, mode="clip"), out=self.log_scale)
        np.minimum(self.log_scale, self._highest, out=self.log_scale)
        np.maximum(self.log_scale, self._lowest, out=self.log_scale)
        np.add(self.shift, self._steps.shift.take(ranks, axis=1, out=self._of_levels, mode="clip"), out=self.shift)

    def counted(self, median: Floats, spread: Floats, outcomes: Floats) -> Ints:
        """(n_columns,) how many of the quantiles in force lie below the outcome, times n_levels + 1, and how many do
        not lie above it."""
        in_force = np.multiply(spread, np.exp(self.log_scale, out=self._of_columns), out=self._of_levels)
        np.add(in_force, median, out=in_force)
        np.add(in_force, self.shift, out=in_force)
        np.less(in_force, outcomes, out=self._lies[0])
        np.less_equal(in_force, outcomes, out=self._lies[1])
        below, not_above = np.add.reduce(self._lies.view(np.uint8), axis=1, dtype=self._each.dtype, out=self._counts)
        return np.add(np.multiply(below, self._each, out=below), not_above, out=below)


def replay(
    series: Sequence[tuple[Floats, Floats]], grid: Grid, rates: Floats, first: int = 0
) -> list[tuple[Floats, Floats]]:
    """The recursion from nothing over consecutive rows of each series.

    (n_rows, n_horizons, n_levels) quantiles and (n_rows, n_horizons) outcomes of each -> log scale (n_kept, n_horizons)
    and shift (n_kept, n_horizons, n_levels) in force at each of its rows from ``first`` on.
    """
    log_scale, shift = _run(_sheet(series, grid), _steps(grid, float(rates[0]), float(rates[1])), grid, first)
    by_series = log_scale.reshape(len(log_scale), len(series), -1)
    shifts = shift.reshape(*shift.shape[:2], len(series), -1)
    kept = [len(outcomes) - first for _, outcomes in series]
    return [(by_series[:n, i], shifts[:n, :, i].swapaxes(1, 2)) for i, n in enumerate(kept)]


def _run(sheet: _Sheet, steps: _Steps, grid: Grid, first: int) -> tuple[Floats, Floats]:
    """Log scale (n_kept, n_columns) and shift (n_kept, n_levels, n_columns)."""
    n_rows, n_levels, n_columns = sheet.spread.shape
    log_scale, shift = np.empty((n_rows - first, n_columns)), np.empty((n_rows - first, n_levels, n_columns))
    state = _State(steps, n_levels, n_columns)
    base, ranks = _ranks(sheet.outcomes, grid, steps.n_ranks)
    flat = ranks.reshape(-1)
    # from a column of the row in which a forecast is made to its place in the row in which it is learned from
    ahead = np.tile(grid.horizons, n_columns // len(grid.horizons)) * n_columns + np.arange(n_columns)
    for row in range(n_rows):
        state.learn(ranks[row])
        if row >= first:
            log_scale[row - first], shift[row - first] = state.log_scale, state.shift
        counted = state.counted(sheet.median[row], sheet.spread[row], sheet.outcomes[row])
        flat[row * n_columns :][ahead] = counted + base[row]
    return log_scale, shift


def _sheet(series: Sequence[tuple[Floats, Floats]], grid: Grid) -> _Sheet:
    n_rows, (n_horizons, n_levels) = max(len(outcomes) for _, outcomes in series), grid.shape
    spread = np.zeros((n_rows, n_levels, len(series), n_horizons))
    known = np.full((n_rows, len(series), n_horizons), np.nan)
    for i, (quantiles, outcomes) in enumerate(series):
        spread[: len(quantiles), :, i] = quantiles.swapaxes(1, 2)
        known[: len(outcomes), i] = outcomes
    in_columns = spread.reshape(n_rows, n_levels, -1)
    median = in_columns[:, grid.levels.index(0.5)].copy()
    in_columns -= median[:, None]
    return _Sheet(median, in_columns, known.reshape(n_rows, -1))


def _ranks(outcomes: Floats, grid: Grid, n_ranks: int) -> tuple[Ints, Ints]:
    """What makes a rank at its horizon of the counts of a forecast (n_rows, n_columns), and the ranks to learn from at
    each row (n_rows + longest horizon, n_columns), which are those of the unknown until forecasts fill them in."""
    n_rows, n_columns = outcomes.shape
    first = np.tile(np.arange(len(grid.horizons)) * n_ranks, n_columns // len(grid.horizons))
    unknown = first + (n_ranks - 1)
    # what is not known, NaN, lies neither above nor on any quantile, so that its counts are nothing
    return np.where(np.isnan(outcomes), unknown, first), np.tile(unknown, (n_rows + grid.horizons[-1], 1))


@lru_cache(maxsize=64)
def _steps(grid: Grid, scale_rate: float, shift_rate: float) -> _Steps:
    """For every rank, below * (n_levels + 1) + not_above; ``rates`` are g and k of online.py."""
    roots, levels, n_levels = np.sqrt(grid.horizons), np.asarray(grid.levels), len(grid.levels)
    below, not_above = np.divmod(np.arange((n_levels + 1) ** 2), n_levels + 1)
    lower_90, upper_90, lower_50, upper_50 = (grid.levels.index(level) for level in (0.05, 0.95, 0.25, 0.75))
    miss_90 = (not_above <= lower_90) | (below > upper_90)
    miss_50 = (not_above <= lower_50) | (below > upper_50)
    is_reached = np.arange(n_levels)[:, None] >= below  # by the quantile at each level: z <= q
    n_ranks = len(below) + 1
    log_scale, shift = np.zeros((len(roots), n_ranks)), np.zeros((n_levels, len(roots), n_ranks))
    log_scale[:, :-1] = (scale_rate / roots)[:, None] * ((miss_90 - 0.10) + 0.5 * (miss_50 - 0.50))
    shift[..., :-1] = (shift_rate / roots)[:, None] * (levels[:, None] - is_reached)[:, None]
    return _Steps(log_scale.reshape(-1), shift.reshape(n_levels, -1), n_ranks)
