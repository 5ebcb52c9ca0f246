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


@np.errstate(all="ignore")
def measured(measures: Mapping[str, Callable[[], float]]) -> Measured:
    """Compute each measure; one that is undefined, or too large for a number, gets a reason instead."""
    values: dict[str, float | None] = {}
    unavailable: dict[str, str] = {}
    for name, measure in measures.items():
        try:
            values[name] = _finite(measure)
        except Undefined as reason:
            values[name], unavailable[name] = None, str(reason)
    return Measured(values, unavailable)


@np.errstate(all="ignore")
def finite(measure: Callable[[], float]) -> float:
    """The value of ``measure``; raises Undefined where that is not a finite number."""
    return _finite(measure)


def _finite(measure: Callable[[], float]) -> float:
    try:
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
    return spread_of(values - values.mean(), values)


def spread_of(moves: Floats, values: Floats) -> float:
    """The same from ``moves`` (n,), the (n,) values less their mean."""
    spread = math.sqrt(float((moves * moves).sum()) / (len(values) - 1))
    if not math.isfinite(spread):
        raise Undefined("the returns are too large to tell their spread")
    if spread <= ROUNDING * max(float(values.max()), -float(values.min())):
        raise Undefined("the returns do not vary")
    return spread


def quantiles(values: Floats, *shares: float) -> list[float]:
    """Of (n,) values, interpolated as numpy does, which takes three times as long."""
    last = len(values) - 1
    places = [share * last for share in shares]
    pairs = [(int(place), min(int(place) + 1, last)) for place in places]
    ranked = np.partition(values, sorted({rank for pair in pairs for rank in pair}))
    return [
        float(ranked[low] + (place - low) * (ranked[high] - ranked[low]))
        for place, (low, high) in zip(places, pairs, strict=True)
    ]


def divided(numerator: float, denominator: float, otherwise: str) -> float:
    """A ratio; raises Undefined with ``otherwise`` where the denominator is zero."""
    if denominator == 0:
        raise Undefined(otherwise)
    if not math.isfinite(denominator):
        raise Undefined("too large or too small to be a number")
    return numerator / denominator
