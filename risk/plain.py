"""A report as plain values, names as the API has them. Every null has its reason under ``unavailable`` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from risk.drawdown import Drawdown
from risk.report import RiskReport, ValueAtRisk
from risk.var_backtest import Backtest, LikelihoodRatio

Place = date | int
NOT_RECOVERED = "the value has not come back to its high"
NO_TABLE = "the Basel table is for 250 days at 0.99"
NO_LEVEL = "annual volatility, which the level is read from, is not available"


def plain_report(report: RiskReport, places: Sequence[Place]) -> dict[str, Any]:
    """``places`` (n + 1,) name what lies before the first return of the history and after each: dates, or 0 to n."""
    unavailable = dict(report.measures.unavailable)
    if report.level is None:
        unavailable["risk_level"] = NO_LEVEL
    if report.drawdown is None:
        unavailable["drawdown"] = unavailable["max_drawdown"]
    period = places[len(places) - 1 - report.count :]
    return {
        "measures": dict(report.measures.values),
        "drawdown": None if report.drawdown is None else _drawdown(report.drawdown, period),
        "value_at_risk": [_value_at_risk(entry, places) for entry in report.value_at_risk],
        "risk_level": None if report.level is None else asdict(report.level),
        "unavailable": unavailable,
    }


def _drawdown(drawdown: Drawdown, places: Sequence[Place]) -> dict[str, Any]:
    recovery = None if drawdown.recovery is None else places[drawdown.recovery]
    fell = drawdown.depth < 0
    return {
        "depth": drawdown.depth,
        "peak": places[drawdown.peak],
        "trough": places[drawdown.trough],
        "recovery": recovery,
        "periods_to_trough": drawdown.trough - drawdown.peak,
        "longest": {
            "periods": drawdown.longest,
            "start": places[drawdown.longest_start],
            "end": places[drawdown.longest_end],
            "is_over": drawdown.longest_over,
        },
        "unavailable": {} if recovery is not None else {"recovery": NOT_RECOVERED if fell else "there was no drawdown"},
    }


def _value_at_risk(entry: ValueAtRisk, places: Sequence[Place]) -> dict[str, Any]:
    return {
        "method": entry.method,
        "definition": entry.definition,
        "confidence_level": entry.confidence_level,
        "horizon": entry.horizon,
        "value_at_risk": entry.tail and entry.tail.value_at_risk,
        "expected_shortfall": entry.tail and entry.tail.expected_shortfall,
        "backtest": None if entry.backtest is None else _backtest(entry.backtest, entry, places),
        "unavailable": dict(entry.unavailable),
    }


def _backtest(tested: Backtest, entry: ValueAtRisk, places: Sequence[Place]) -> dict[str, Any]:
    unavailable = dict(tested.unavailable)
    light = asdict(tested.traffic_light)
    light["unavailable"] = {"multiplier": NO_TABLE} if light["multiplier"] is None else {}
    return {
        "verdict": tested.verdict,
        "passes": tested.passes,
        "days": tested.days,
        "window": entry.window,
        "scope": entry.scope,
        "first": places[int(entry.tested[0]) + 1],
        "last": places[int(entry.tested[-1]) + 1],
        "exceedances": len(tested.at),
        "expected": tested.expected,
        "kupiec": _ratio(tested.kupiec),
        "independence": _ratio(tested.independence),
        "conditional_coverage": _ratio(tested.conditional_coverage),
        "traffic_light": light,
        "dates": [places[int(place) + 1] for place in entry.tested[tested.at]],
        "unavailable": unavailable,
    }


def _ratio(test: LikelihoodRatio | None) -> dict[str, float] | None:
    return None if test is None else asdict(test)
