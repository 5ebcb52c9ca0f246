"""What each input adds to a tree's median and to the width of its 90 % interval, in z and in money.

Contributions in z are additive. So are log returns, but prices are not: a contribution's share of the price change is
taken with the logarithmic mean, L(p, q) = (p - q) / log(p / q), for which p - q = L(p, q) * log(p / q) whatever the
parts of the logarithm are (additive log-mean decomposition, Ang, 2004). Nothing is left over.
"""

from __future__ import annotations

import numpy as np

from contracts import Effect, Floats, Grid
from ensemble.surface import grid_position

LOWER, MIDDLE, UPPER = 0.05, 0.5, 0.95


def horizons_to_ask(horizon: int, grid: Grid) -> tuple[list[int], list[float]]:
    """Grid horizons whose answers make up the one at ``horizon``, and their shares (linear in log horizon)."""
    lower, share = grid_position(grid.horizons, np.array([horizon]))
    at, weight = int(lower[0]), float(share[0])
    pairs = [(grid.horizons[at], 1.0 - weight), (grid.horizons[at + 1], weight)]
    asked = [(bars, part) for bars, part in pairs if part > 0.0]
    return [bars for bars, _ in asked], [part for _, part in asked]


def parts_of(contributions: Floats, shares: list[float], grid: Grid) -> Floats:
    """(n_asked, n_levels, n_parts) contributions at the horizons asked -> (n_parts, 3): what each part adds to the
    quantiles 0.05, 0.5 and 0.95 at the horizon between them."""
    levels = [grid.levels.index(level) for level in (LOWER, MIDDLE, UPPER)]
    return np.einsum("alp,a->pl", contributions[:, levels], np.array(shares))


def effects(parts: Floats, price: float, unit: float) -> list[Effect]:
    """(n_parts, 3) z of quantiles 0.05, 0.5, 0.95 -> the effect of each part; ``unit`` is sigma * sqrt(horizon).

    Their sum is the effect of the whole: the change from ``price`` to the median, and the width of the interval.
    """
    low, middle, high = price * np.exp(unit * parts.sum(axis=0))
    per_return, per_width = log_mean(middle, price), log_mean(high, low)
    return [
        Effect(
            median_z=float(median),
            width_z=float(upper - lower),
            median_price=float(per_return * unit * median),
            width_price=float(per_width * unit * (upper - lower)),
        )
        for lower, median, upper in parts
    ]


def log_mean(p: float, q: float) -> float:
    """Logarithmic mean of two positive numbers: between them, and their common value where they are equal."""
    ratio = float(np.log(p / q))
    return q if ratio == 0.0 else q * float(np.expm1(ratio)) / ratio
