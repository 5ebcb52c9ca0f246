"""What every measure shares: a number, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from contracts import Floats

# Spread below this share of the largest value is rounding, not variation.
ROUNDING = 1e-12


class Undefined(Exception):
    """The measure does not exist for these returns; the message says why, for whoever asked."""


@dataclass(frozen=True, slots=True)
class Measured:
    """``values`` by name; one that is None has its reason in ``unavailable``, and no other is there."""

    values: Mapping[str, float | None]
    unavailable: Mapping[str, str]


def measured(measures: Mapping[str, Callable[[], float]]) -> Measured:
    """Compute each measure; one that is undefined, or too large for a number, gets a reason instead."""
    values: dict[str, float | None] = {}
    unavailable: dict[str, str] = {}
    for name, measure in measures.items():
        try:
            values[name] = finite(measure)
        except Undefined as reason:
            values[name], unavailable[name] = None, str(reason)
    return Measured(values, unavailable)


def finite(measure: Callable[[], float]) -> float:
    """The value of ``measure``; raises Undefined where that is not a finite number."""
    try:
        with np.errstate(all="ignore"):
            value = float(measure())
    except (OverflowError, ZeroDivisionError):
        value = math.inf
    if not math.isfinite(value):
        raise Undefined("too large or too small to be a number")
    return value


def require(returns: Floats, least: int) -> None:
    """Raise Undefined where there are fewer than ``least`` returns."""
    if len(returns) < least:
        raise Undefined(f"needs at least {least} returns, has {len(returns)}")


def deviation(values: Floats) -> float:
    """(n,) -> standard deviation with n - 1; raises Undefined where the values do not vary."""
    require(values, 2)
    spread = float(np.std(values, ddof=1))
    if not math.isfinite(spread):
        raise Undefined("the returns are too large to tell their spread")
    if spread <= ROUNDING * float(np.max(np.abs(values))):
        raise Undefined("the returns do not vary")
    return spread


def divided(numerator: float, denominator: float, otherwise: str) -> float:
    """A ratio; raises Undefined with ``otherwise`` where the denominator is zero."""
    if denominator == 0:
        raise Undefined(otherwise)
    if not math.isfinite(denominator):
        raise Undefined("too large or too small to be a number")
    return numerator / denominator
