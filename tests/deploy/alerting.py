"""The rules of deploy/prometheus over time, as Prometheus evaluates them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.evaluation import Labels, Samples, Vector
from tests.deploy.promql import Node, parse, seconds

INTERVAL = 15.0


@dataclass
class Rule:
    """``name`` of what it records, or of the alert; ``since``: when each of its alerts began to be true."""

    name: str
    is_alert: bool
    tree: Node
    wait: float
    labels: Labels
    summary: str
    since: dict[Labels, float] = field(default_factory=dict)
    now: Vector = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """One that fires."""

    labels: Mapping[str, str]
    summary: str


class Rules:
    """Those of a rules file over ``samples``, which recorded ones are added to."""

    def __init__(self, groups: Iterable[Mapping[str, Any]], samples: Samples) -> None:
        self._samples = samples
        self._groups = [
            (seconds(it.get("interval", f"{INTERVAL:g}s")), [_rule(each) for each in it["rules"]]) for it in groups
        ]

    def evaluate(self, at: float) -> None:
        """All groups whose interval is over; call it every ``INTERVAL`` seconds, or every multiple of theirs."""
        for interval, rules in self._groups:
            if at % interval < INTERVAL:
                for rule in rules:
                    self._evaluate(rule, at)

    def firing(self, at: float) -> dict[str, list[Alert]]:
        """By name of the alert."""
        found: dict[str, list[Alert]] = {}
        for rule in (it for _, rules in self._groups for it in rules if it.is_alert):
            for labels, began in rule.since.items():
                if at - began >= rule.wait:
                    alert = Alert(dict(labels | rule.labels), _filled(rule.summary, dict(labels), rule.now[labels]))
                    found.setdefault(rule.name, []).append(alert)
        return found

    def _evaluate(self, rule: Rule, at: float) -> None:
        result = self._samples.evaluate(rule.tree, at)
        assert isinstance(result, dict)
        if rule.is_alert:
            rule.since = {labels: rule.since.get(labels, at) for labels in result}
        else:
            for labels in rule.now.keys() | result.keys():
                self._samples.add(at, rule.name, labels, result.get(labels))
        rule.now = result


def _rule(it: Mapping[str, Any]) -> Rule:
    labels = frozenset(it.get("labels", {}).items())
    summary = it.get("annotations", {}).get("summary", "")
    wait = seconds(it["for"]) if "for" in it else 0.0
    return Rule(it.get("record") or it["alert"], "alert" in it, parse(it["expr"]), wait, labels, summary)


def _filled(summary: str, labels: Mapping[str, str], value: float) -> str:
    """The template with labels and value in it."""
    texts = {
        "$value": f"{value:.15g}",
        "$value | humanizePercentage": f"{100 * value:.4g}%",
        "$value | humanizeDuration": f"{value:.4g}s",
        **{f"$labels.{name}": text for name, text in labels.items()},
    }
    return re.sub(r"{{ (.*?) }}", lambda it: texts[it[1]], summary)
