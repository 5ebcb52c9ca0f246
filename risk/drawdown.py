"""Losses from the highest value so far, as negative fractions: -0.2 is twenty per cent below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts import Floats
from risk.measure import Undefined, require
from risk.returns import wealth


def drawdowns(returns: Floats) -> Floats:
    """(n,) -> (n + 1,) distance below the running maximum, 0 or negative; starts with 0, before the first return."""
    value = wealth(returns)
    return value / np.maximum.accumulate(value) - 1.0


def max_drawdown(returns: Floats) -> float:
    """The largest loss from a peak, 0 or negative, a fraction."""
    require(returns, 1)
    return float(np.min(drawdowns(returns)))


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Places are counted in returns: 0 is before the first, i after the i-th.

    ``peak`` is the last high before the fall, ``trough`` the lowest place, ``recovery`` the first place at or above
    the peak again, None if there was none. ``longest`` is the largest number of periods from a high to the recovery,
    or to the end, from ``longest_start`` to ``longest_end``; ``longest_over`` says whether it was a recovery.
    """

    depth: float
    peak: int
    trough: int
    recovery: int | None
    longest: int
    longest_start: int
    longest_end: int
    longest_over: bool


def worst_drawdown(returns: Floats) -> Drawdown:
    """The deepest and the longest drawdown, the first of equals. Without a fall every place is 0."""
    require(returns, 1)
    below = drawdowns(returns)
    if not np.isfinite(below).all():
        raise Undefined("the value grows too large to be a number")
    trough = int(np.argmin(below))
    highs = np.flatnonzero(below >= 0)
    peak = int(highs[np.searchsorted(highs, trough, side="right") - 1])
    later = highs[highs > trough]
    fell = below[trough] < 0
    recovery = int(later[0]) if fell and len(later) else None
    ends = np.append(highs[1:], len(below) - 1)
    # From one high to the next is a drawdown only if something lies between, or the end does.
    spans = ends - highs
    spans[:-1][spans[:-1] == 1] = 0
    longest = int(np.argmax(spans))
    return Drawdown(
        float(below[trough]),
        peak,
        trough,
        recovery,
        int(spans[longest]),
        int(highs[longest]) if spans[longest] else 0,
        int(ends[longest]) if spans[longest] else 0,
        longest < len(highs) - 1,
    )
