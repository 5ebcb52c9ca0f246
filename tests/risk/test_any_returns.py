"""Whatever the returns are like: no NaN, no infinity, no error, and a reason beside every null."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from gateway.risk_schemas import ReturnsResponse
from risk.plain import plain_report
from risk.report import Series, Terms, report

SCALES = (1e-300, 1e-12, 1e-4, 0.01, 0.01, 0.01, 0.3, 1.0, 1e6, 1e200, 1e300)
COUNTS = (1, 2, 3, 4, 5, 10, 20, 21, 49, 60, 120, 250, 600)


def any_returns(rng: np.random.Generator) -> np.ndarray:
    """(n,) of any length, size and shape, -1 or more."""
    returns = rng.choice(SCALES) * rng.standard_t(3, int(rng.choice(COUNTS)))
    kind = rng.integers(8)
    if kind == 0:
        returns[:] = rng.choice([0.0, -1.0, 0.01, -0.5, 1e-300, 1e300])
    elif kind == 1:
        returns[rng.integers(0, len(returns), len(returns) // 2)] = 0.0
    elif kind == 2:
        returns = np.round(returns, 2)
    elif kind == 3:
        returns[len(returns) // 2 :] = 0.0
    elif kind == 4:
        returns = np.abs(returns)
    return np.maximum(returns, -1.0)


def any_benchmark(rng: np.random.Generator, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray] | str:
    choices = (returns, np.zeros_like(returns), np.full_like(returns, 0.01), 0.01 * rng.standard_normal(len(returns)))
    kind = int(rng.integers(len(choices) + 1))
    return "none was sent" if kind == len(choices) else (returns, choices[kind])


def problems(value: Any, place: str = "answer", unavailable: dict[str, str] | None = None) -> Iterator[str]:
    """Numbers that JSON does not have, and nulls without a reason."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}"
    elif isinstance(value, dict):
        reasons = unavailable if place.endswith(".measures") else value.get("unavailable", {})
        for name, each in value.items():
            if each is None and not (reasons or {}).get(name):
                yield f"{place}.{name} is null without a reason"
            yield from problems(each, f"{place}.{name}", value.get("unavailable"))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from problems(each, f"{place}[{i}]")


@pytest.mark.parametrize("seed", range(20))
def test_two_thousand_series_give_numbers_or_reasons(seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        returns = any_returns(rng)
        terms = Terms((0.95, 0.99), int(rng.choice([1, 1, 1, 10, 90])), float(rng.choice([1, 12, 252, 365])), 0.02)
        period = int(rng.integers(1, len(returns) + 1)) if rng.random() < 0.3 else len(returns)
        pair = any_benchmark(rng, returns)
        told = report(Series(returns, period, pair, "GARCH was not fitted"), terms)
        body = plain_report(told, range(len(returns) + 1))
        assert not list(problems(body)), returns[:5]
        for entry in body["value_at_risk"]:
            if entry["value_at_risk"] is not None:
                assert entry["expected_shortfall"] >= entry["value_at_risk"] - 1e-12 * abs(entry["value_at_risk"])
        assert orjson.loads(orjson.dumps(body)) == body


@pytest.mark.parametrize("count", [1, 2, 60, 600])
def test_the_body_has_the_shape_that_is_documented(count: int):
    returns = any_returns(np.random.default_rng(count))
    told = report(Series(returns, len(returns), "none", "none"), Terms((0.95,), 1, 252, 0.0))
    body = plain_report(told, range(len(returns) + 1))
    ReturnsResponse.model_validate({"returns": len(returns), "periods_per_year": 252, **body})


def test_a_benchmark_that_does_not_move_gives_no_beta_of_one():
    returns = 0.01 * np.random.default_rng(0).standard_normal(300)
    told = report(Series(returns, 300, (returns, np.zeros(300)), "none"), Terms((0.95,), 1, 252, 0.0)).measures
    assert told.values["beta"] is None
    assert told.unavailable["beta"] == "the benchmark's returns do not vary"
    assert told.unavailable["up_capture"] == "the benchmark never rose"
    assert told.values["tracking_error"] > 0


def test_a_null_without_a_reason_would_be_found():
    assert list(problems({"measures": {"beta": None}, "unavailable": {}}))
    assert list(problems({"measures": {"beta": 1.0}, "depth": math.nan, "unavailable": {}}))
    assert not list(problems({"measures": {"beta": None}, "unavailable": {"beta": "why"}}))
