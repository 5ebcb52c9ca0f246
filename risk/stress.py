"""What a portfolio would have lost in times past, and what it would lose in a shock that the caller sets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from contracts import Floats
from risk.measure import Undefined


@dataclass(frozen=True, slots=True)
class Window:
    """A crisis: from the last close before ``first`` to the last one not after ``last``."""

    name: str
    first: date
    last: date


WINDOWS = (
    Window("Dot-com bust, 2000-03 to 2002-10", date(2000, 3, 1), date(2002, 10, 31)),
    Window("Financial crisis, 2008-09 to 2009-03", date(2008, 9, 1), date(2009, 3, 31)),
    Window("Euro crisis, 2011-07 to 2011-10", date(2011, 7, 1), date(2011, 10, 31)),
    Window("Pandemic, 2020-02 to 2020-03", date(2020, 2, 1), date(2020, 3, 31)),
    Window("Rise of interest rates, 2022-01 to 2022-10", date(2022, 1, 1), date(2022, 10, 31)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Stressed:
    """``result`` is the portfolio's return over the whole window, of which ``contributions`` (n_assets,) are parts;
    ``max_drawdown`` the worst fall within it, negative; ``worst_day`` the lowest return of one period."""

    result: float
    contributions: Floats
    max_drawdown: float
    worst_day: float


def replayed(weights: Floats, prices: Floats) -> Stressed:
    """Today's weights bought at the first of (n_periods + 1, n_assets) ``prices`` and held to the last."""
    if len(prices) < 2:
        raise Undefined("there are fewer than two prices in the window")
    growth = prices / prices[0]
    value = 1.0 + (growth - 1.0) @ weights
    if (value <= 0).any():
        raise Undefined("the portfolio would have lost all it was worth, and its returns end there")
    falls = value / np.maximum.accumulate(value) - 1.0
    worst = float((value[1:] / value[:-1] - 1.0).min())
    contributions = weights * (growth[-1] - 1.0)
    return Stressed(float(contributions.sum()), contributions, float(falls.min()), worst)


def propagated(covariance: Floats, shocked: Floats) -> Floats:
    """(n_assets,) returns where ``shocked`` (n_assets,) holds the shocks, NaN where none is set.

    An asset without a shock moves by its regression on all that have one: covariance with them times the inverse of
    theirs, times the shocks. What it did on average besides (its alpha) is left out.
    """
    given = np.isfinite(shocked)
    slopes, *_ = np.linalg.lstsq(covariance[np.ix_(given, given)], covariance[np.ix_(given, ~given)], rcond=None)
    moved = shocked.copy()
    moved[~given] = shocked[given] @ slopes
    return np.maximum(moved, -1.0)
