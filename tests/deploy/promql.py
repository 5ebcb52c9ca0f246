"""As much of PromQL as the rules and dashboards use: what an expression reads, and its tree to evaluate.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds to every series, or that make up a histogram."""
AGGREGATIONS = ("sum", "max", "min", "count")
LEVELS = (("or",), ("and", "unless"), ("==", "!=", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/"))
"""Operators, those that bind least first; all of them from left to right."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<range>\[\w+\])|(?P<number>\d+(?:\.\d+)?(?![\w:]))"""
    r"""|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>=~|!~|==|!=|<=|>=|[-+*/(){},=<>]))"""
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Selector:
    """``matchers``: (label, sign, value); ``span``: seconds of a range, None for the newest sample."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    span: float | None = None


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Aggregation:
    function: str
    by: tuple[str, ...]
    over: Node


@dataclass(frozen=True)
class Binary:
    sign: str
    left: Node
    right: Node


Node = Number | Selector | Call | Aggregation | Binary


@dataclass(frozen=True)
class Reading:
    """``series`` by name, with the labels that they are chosen by; ``grouping`` are labels that results keep."""

    series: dict[str, set[str]]
    grouping: set[str]


def seconds(duration: str) -> float:
    """Of a duration such as 1h30m; raises ValueError."""
    parts = re.findall(r"(\d+)(ms|[smhd])", duration)
    if not parts or "".join(map("".join, parts)) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def parse(expression: str) -> Node:
    """Raises ValueError for what is not PromQL or not among what is known here."""
    parser = _Parser(expression)
    tree = parser.binary(0)
    parser.expect_end()
    return tree


def nodes(tree: Node) -> Iterator[Node]:
    """It and all within it."""
    yield tree
    within: tuple[Node, ...] = ()
    if isinstance(tree, Call):
        within = tree.arguments
    elif isinstance(tree, Aggregation):
        within = (tree.over,)
    elif isinstance(tree, Binary):
        within = (tree.left, tree.right)
    for each in within:
        yield from nodes(each)


def reading(expression: str) -> Reading:
    """What ``expression`` reads."""
    series: dict[str, set[str]] = {}
    grouping: set[str] = set()
    for node in nodes(parse(expression)):
        if isinstance(node, Selector):
            series.setdefault(node.name, set()).update(label for label, _, _ in node.matchers)
        elif isinstance(node, Aggregation):
            grouping |= set(node.by)
    return Reading(series, grouping)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            if (found := _TOKEN.match(text, place)) is None:
                raise ValueError(f"cannot read {text[place:]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()
        self._at = 0

    def binary(self, level: int) -> Node:
        if level == len(LEVELS):
            return self._single()
        left = self.binary(level + 1)
        while (sign := self._take(*LEVELS[level])) is not None:
            left = Binary(sign, left, self.binary(level + 1))
        return left

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise ValueError(f"{self._next()[1]!r} is not expected in {self._text!r}")

    def _single(self) -> Node:
        if self._take("(") is not None:
            inner = self.binary(0)
            self._expect(")")
            return inner
        minus = self._take("-") is not None
        kind, text = self._next()
        self._at += 1
        if kind == "number":
            return Number(-float(text) if minus else float(text))
        if kind != "name" or minus:
            raise ValueError(f"{text!r} is not expected in {self._text!r}")
        if text in AGGREGATIONS:
            return self._aggregation(text)
        if self._next()[1] == "(":
            return Call(text, self._arguments())
        return self._selector(text)

    def _aggregation(self, function: str) -> Node:
        by = self._names() if self._take("by") is not None else ()
        (over,) = self._arguments()
        return Aggregation(function, by, over)

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        names: list[str] = []
        while self._take(")") is None:
            names.append(self._next()[1])
            self._at += 1
            self._take(",")
        return tuple(names)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        arguments: list[Node] = []
        while self._take(")") is None:
            arguments.append(self.binary(0))
            self._take(",")
        return tuple(arguments)

    def _selector(self, name: str) -> Node:
        matchers: list[tuple[str, str, str]] = []
        if self._take("{") is not None:
            while self._take("}") is None:
                label, sign, value = (self._tokens[self._at + each][1] for each in range(3))
                matchers.append((label, sign, value[1:-1]))
                self._at += 3
                self._take(",")
        span = None
        if self._next()[0] == "range":
            span = seconds(self._next()[1][1:-1])
            self._at += 1
        return Selector(name, tuple(matchers), span)

    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def _take(self, *texts: str) -> str | None:
        kind, text = self._next()
        if kind == "string" or text not in texts:
            return None
        self._at += 1
        return text

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise ValueError(f"{text!r} is missing in {self._text!r}")
