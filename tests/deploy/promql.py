"""As much of PromQL as it takes to say which series an expression reads, and by which labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds to every series, or that make up a histogram."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(|\{[^}]*\})?")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")


@dataclass(frozen=True)
class Reading:
    """``series`` by name, with the labels that they are chosen by; ``grouping`` are labels that results keep."""

    series: dict[str, set[str]]
    grouping: set[str]


def reading(expression: str) -> Reading:
    """What ``expression`` reads."""
    plain = _RANGE.sub("", _STRING.sub('""', expression))
    grouping = {label.strip() for found in _GROUPING.findall(plain) for label in found.split(",") if label.strip()}
    series: dict[str, set[str]] = {}
    for name, what_follows in _SELECTOR.findall(_GROUPING.sub(" ", plain)):
        if what_follows == "(" or name in WORDS:
            continue
        series.setdefault(name, set()).update(_LABEL.findall(what_follows))
    return Reading(series, grouping)
