"""What an expression is at a moment, over samples that were scraped: Prometheus' own rules, for what ``promql`` knows.

Held against Prometheus by deploy/prometheus/rules_test.yaml, which both must pass.
"""

from __future__ import annotations

import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tests.deploy.promql import Aggregation, Binary, Call, Node, Number, Selector

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
LOOK_BACK = 300.0
"""Seconds for which the newest sample of a series stands."""
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else (math.nan if not left else math.copysign(math.inf, left)),
}
AGGREGATES: Mapping[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min, "count": len}


@dataclass
class Series:
    """Seconds and values, oldest first; a value of None says that the series has ended."""

    times: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def newest(self, at: float) -> float | None:
        place = bisect_right(self.times, at) - 1
        return self.values[place] if place >= 0 and self.times[place] > at - LOOK_BACK else None

    def within(self, start: float, end: float) -> list[tuple[float, float]]:
        found = slice(bisect_left(self.times, start), bisect_right(self.times, end))
        pairs = zip(self.times[found], self.values[found], strict=True)
        return [(time, value) for time, value in pairs if value is not None]


class Samples:
    """All series, by name and labels."""

    def __init__(self) -> None:
        self._series: dict[str, dict[Labels, Series]] = {}

    def add(self, at: float, name: str, labels: Labels, value: float | None) -> None:
        series = self._series.setdefault(name, {}).setdefault(labels, Series())
        series.times.append(at)
        series.values.append(value)

    def chosen(self, selector: Selector) -> Iterable[tuple[Labels, Series]]:
        for labels, series in self._series.get(selector.name, {}).items():
            if all(_matches(dict(labels), *matcher) for matcher in selector.matchers):
                yield labels, series

    def evaluate(self, tree: Node, at: float) -> Vector | float:
        """A vector, or a number where the expression is one."""
        match tree:
            case Number(value):
                return value
            case Selector():
                found = ((labels, series.newest(at)) for labels, series in self.chosen(tree))
                return {labels: value for labels, value in found if value is not None}
            case Call():
                return self._called(tree, at)
            case Aggregation(function, by, over):
                groups: dict[Labels, list[float]] = {}
                for labels, value in _vector(self.evaluate(over, at)).items():
                    groups.setdefault(frozenset(it for it in labels if it[0] in by), []).append(value)
                return {labels: float(AGGREGATES[function](values)) for labels, values in groups.items()}
            case Binary(sign, left, right):
                return _combined(sign, self.evaluate(left, at), self.evaluate(right, at))

    def _called(self, call: Call, at: float) -> Vector:
        if call.function == "vector":
            return {frozenset(): _number(self.evaluate(call.arguments[0], at))}
        if call.function == "histogram_quantile":
            quantile, buckets = (self.evaluate(it, at) for it in call.arguments)
            return _quantiles(_number(quantile), _vector(buckets))
        (selector,) = call.arguments
        assert isinstance(selector, Selector)
        assert selector.span is not None
        start, found = at - selector.span, {}
        for labels, series in self.chosen(selector):
            if (value := OVER_TIME[call.function](series.within(start, at), start, at)) is not None:
                found[labels] = value
        return found


def _increase(samples: list[tuple[float, float]], start: float, end: float) -> float | None:
    """With the parts of the range before the first and after the last sample added, as far as a series is likely to
    have been there: `extrapolatedRate` in Prometheus' promql/functions.go."""
    if len(samples) < 2:
        return None
    gained = sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(samples))
    (first_at, first), (last_at, _) = samples[0], samples[-1]
    sampled = last_at - first_at
    usual = sampled / (len(samples) - 1)
    before, after = first_at - start, end - last_at
    if gained > 0:
        before = min(before, sampled * first / gained)
    reaches = sampled + sum(it if it < 1.1 * usual else usual / 2 for it in (before, after))
    return gained * reaches / sampled


def _rate(samples: list[tuple[float, float]], start: float, end: float) -> float | None:
    gained = _increase(samples, start, end)
    return None if gained is None else gained / (end - start)


def _least(samples: list[tuple[float, float]], start: float, end: float) -> float | None:
    return min((value for _, value in samples), default=None)


def _most(samples: list[tuple[float, float]], start: float, end: float) -> float | None:
    return max((value for _, value in samples), default=None)


OVER_TIME = {"rate": _rate, "increase": _increase, "min_over_time": _least, "max_over_time": _most}


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in buckets.items():
        named = dict(labels)
        bound = float(named.pop("le").replace("+Inf", "inf"))
        groups.setdefault(frozenset(named.items()), []).append((bound, value))
    return {labels: _quantile(quantile, sorted(group)) for labels, group in groups.items()}


def _quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """Linear within the bucket; the highest finite bound where it lies beyond."""
    total = buckets[-1][1]
    if not total or len(buckets) < 2 or math.isfinite(buckets[-1][0]):
        return math.nan
    rank = quantile * total
    place = next(it for it, (_, count) in enumerate(buckets) if count >= rank)
    if place == len(buckets) - 1:
        return buckets[-2][0]
    lower, below = buckets[place - 1] if place else (0.0, 0.0)
    bound, count = buckets[place]
    return lower + (bound - lower) * (rank - below) / (count - below)


def _combined(sign: str, left: Vector | float, right: Vector | float) -> Vector | float:
    if sign in ("and", "or", "unless"):
        return _of_sets(sign, _vector(left), _vector(right))
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {labels: (value, right[labels]) for labels, value in left.items() if labels in right}
    elif isinstance(left, dict):
        pairs = {labels: (value, _number(right)) for labels, value in left.items()}
    elif isinstance(right, dict):
        pairs = {labels: (left, value) for labels, value in right.items()}
    else:
        return ARITHMETIC[sign](left, right)
    if sign in COMPARISONS:
        kept = 1 if isinstance(left, float) else 0
        return {labels: pair[kept] for labels, pair in pairs.items() if COMPARISONS[sign](*pair)}
    return {labels: ARITHMETIC[sign](*pair) for labels, pair in pairs.items()}


def _of_sets(sign: str, left: Vector, right: Vector) -> Vector:
    if sign == "or":
        return {**right, **left}
    return {labels: value for labels, value in left.items() if (labels in right) == (sign == "and")}


def _matches(labels: Mapping[str, str], label: str, sign: str, value: str) -> bool:
    own = labels.get(label, "")
    is_alike = own == value if sign in ("=", "!=") else re.fullmatch(value, own) is not None
    return is_alike == (sign in ("=", "=~"))


def _vector(value: Vector | float) -> Vector:
    assert isinstance(value, dict)
    return value


def _number(value: Vector | float) -> float:
    assert isinstance(value, float)
    return value
