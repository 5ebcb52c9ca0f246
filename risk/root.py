"""Roots of many increasing functions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from contracts import Floats, Ints

MOST_TURNS = 100
CLOSE, SMALL = 1e-13, 1e-15
"""It ends where a step is this share of where it is, or where the function is that small."""


def root_below(function: Callable[[Floats, Ints], Floats], high: Floats, slope: Floats) -> Floats:
    """(n,) roots between 0 and ``high`` (n,), at which no function is negative; NaN where a function is.

    By secants, the first with this ``slope``. Halved instead is what is left between the signs wherever a secant leaves
    it, or two have not halved the value. ``function`` gets places (m,) and the numbers (m,) of the functions wanted.
    """
    root, rows = np.full(len(high), np.nan), np.arange(len(high))
    low, x, y = np.zeros(len(high)), high, function(high, rows)
    x_before, y_before, size = 2 * x, y + slope * x, np.full((2, len(high)), np.inf)
    for _ in range(MOST_TURNS):
        low, high = np.where(y < 0, x, low), np.where(y < 0, high, x)
        with np.errstate(all="ignore"):
            chosen = x - y * (x_before - x) / (y_before - y)
        is_good = (low < chosen) & (chosen < high) & (np.abs(y) <= 0.5 * size[0])
        chosen = np.where(is_good, chosen, 0.5 * (low + high))
        is_over = (np.abs(chosen - x) <= CLOSE * x) | (np.abs(y) <= SMALL) | np.isnan(y)
        root[rows[is_over]] = np.where(np.isnan(y), np.nan, x)[is_over]
        left = np.flatnonzero(~is_over)
        if not len(left):
            break
        rows, low, high, size = rows[left], low[left], high[left], np.array([size[1], np.abs(y)])[:, left]
        x_before, y_before, x = x[left], y[left], chosen[left]
        y = function(x, rows)
    else:
        root[rows] = x
    return root
