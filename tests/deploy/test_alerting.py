"""What evaluates rules in these tests agrees with Prometheus: it passes the unit tests that promtool passes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.alerting import Rules
from tests.deploy.evaluation import Samples
from tests.deploy.promql import Aggregation, Binary, Call, Number, Reading, Selector, parse, reading, seconds

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
TESTS = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]


def labels_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


def numbers(notation: str) -> list[float]:
    """Of promtool's series: ``5x2`` is 5 5 5, ``0+10x2`` is 0 10 20."""
    found: list[float] = []
    for part in notation.split():
        start, step, times = re.fullmatch(r"(\d+)(?:\+(\d+))?(?:x(\d+))?", part).groups()  # type: ignore[union-attr]
        found += [int(start) + number * int(step or 0) for number in range(int(times or 0) + 1)]
    return found


def in_words(alert: tuple[dict[str, str], str]) -> str:
    labels, summary = alert
    return f"{sorted(labels.items())} {summary}"


@pytest.mark.parametrize("test", TESTS, ids=lambda it: it["name"])
def test_rules_do_what_their_unit_tests_say_without_promtool(test: dict[str, Any]):
    samples = Samples()
    rules = Rules(GROUPS, samples)
    every = seconds(test["interval"])
    series = [
        (it["series"].partition("{")[0], frozenset(labels_of(it["series"]).items()), numbers(it["values"]))
        for it in test["input_series"]
    ]
    asked = test.get("alert_rule_test", []), test.get("promql_expr_test", [])
    last = max(seconds(it["eval_time"]) for each in asked for it in each)
    for number in range(round(last / every) + 1):
        at = number * every
        for name, labels, values in series:
            if number < len(values):
                samples.add(at, name, labels, values[number])
        rules.evaluate(at)
        firing = rules.firing(at)
        for it in asked[0]:
            if seconds(it["eval_time"]) == at:
                expected = [
                    (each["exp_labels"], each["exp_annotations"]["summary"]) for each in it.get("exp_alerts", ())
                ]
                found = [(alert.labels, alert.summary) for alert in firing.get(it["alertname"], ())]
                assert sorted(found, key=in_words) == sorted(expected, key=in_words), it
        for it in asked[1]:
            if seconds(it["eval_time"]) == at:
                found_values = list(samples.evaluate(parse(it["expr"]), at).values())
                assert found_values == pytest.approx([each["value"] for each in it["exp_samples"]])


def test_an_expression_becomes_a_tree():
    assert parse('sum by (a, b) (rate(x_total{c!="d"}[5m])) / 2 > 0.5 and y or vector(0)') == Binary(
        "or",
        Binary(
            "and",
            Binary(
                ">",
                Binary(
                    "/",
                    Aggregation("sum", ("a", "b"), Call("rate", (Selector("x_total", (("c", "!=", "d"),), 300.0),))),
                    Number(2.0),
                ),
                Number(0.5),
            ),
            Selector("y"),
        ),
        Call("vector", (Number(0.0),)),
    )


@pytest.mark.parametrize("wrong", ["", "sum(", "a b", "rate(x[5m]", "a{b=", "x @ 5", "-a"])
def test_what_is_no_expression_is_refused(wrong: str):
    with pytest.raises((ValueError, IndexError)):
        parse(wrong)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", Reading({"up": set()}, set())),
        (
            'sum by (endpoint, le) (rate(a_bucket{job=~"x|y"}[5m])) / b:c{d!="e{f}"} > 0.5',
            Reading({"a_bucket": {"job"}, "b:c": {"d"}}, {"endpoint", "le"}),
        ),
        ("min_over_time(q[2m]) > 512 and r or vector(0)", Reading({"q": set(), "r": set()}, set())),
    ],
)
def test_what_an_expression_reads_is_told(expression: str, expected: Reading):
    assert reading(expression) == expected


def value(samples: Samples, expression: str, at: float) -> Any:
    return samples.evaluate(parse(expression), at)


def test_a_series_that_ended_is_not_there_any_more():
    samples = Samples()
    samples.add(0, "x", frozenset(), 3)
    assert value(samples, "x", 299) == {frozenset(): 3}
    assert value(samples, "x", 300) == {}
    samples.add(30, "x", frozenset(), None)
    assert value(samples, "x", 31) == {}


def test_a_counter_that_starts_again_goes_on():
    samples = Samples()
    for at, count in enumerate((10, 20, 5, 15)):
        samples.add(15 * at, "x_total", frozenset(), count)
    assert value(samples, "increase(x_total[45s])", 45) == {frozenset(): 25}


def test_nothing_divided_by_nothing_is_no_number():
    assert math.isnan(value(Samples(), "vector(0) / vector(0)", 0)[frozenset()])
