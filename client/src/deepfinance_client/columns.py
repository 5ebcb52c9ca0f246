"""One forecast as one row of a table: what it was asked, what came of it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from deepfinance_client.responses import BatchError, BatchForecast, ErrorInfo, PredictResponse

COLUMNS: Mapping[str, type] = {
    "symbol": str,
    "horizon": int,
    "timeframe": str,
    "confidence_level": float,
    "models": str,
    "status": int,
    "error_code": str,
    "error_message": str,
    "forecast_id": str,
    "as_of": datetime.date,
    "target_date": datetime.date,
    "current_price": float,
    "currency": str,
    "price_target": float,
    "expected_return": float,
    "direction": str,
    "probability_up": float,
    "confidence": float,
    "lower": float,
    "upper": float,
    "q05": float,
    "q25": float,
    "q50": float,
    "q75": float,
    "q95": float,
    "coverage": float,
    "samples": int,
    "skill_vs_random_walk": float,
    "p_value": float,
    "beats_random_walk": bool,
    "provider": str,
    "last_bar": datetime.date,
    "stale": bool,
    "degraded": str,
    "models_version": str,
}
"""The columns and what is in them. All may be empty but ``status``: 200, or that of the row's own error. ``models``
are those that were asked for, ``degraded`` those that failed, joined by ``+``; ``coverage`` to ``beats_random_walk``
are the evidence. Nothing is in them that depends on when or how often it was asked."""

QUANTILES = {"q05": "0.05", "q25": "0.25", "q50": "0.5", "q75": "0.75", "q95": "0.95"}


def row_of(request: Mapping[str, Any], result: BatchForecast | BatchError) -> dict[str, Any]:
    """Every column of one request."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(_asked(request), status=result.status)
    if isinstance(result, BatchForecast):
        row.update(_forecast(result.forecast))
    else:
        row.update(error_code=result.error.code, error_message=_in_words(result.error))
    return row


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the request says. A value of the wrong kind is left empty: the row's error names it."""
    asked = {name: request.get(name) for name in ("symbol", "horizon", "timeframe", "confidence_level")}
    asked = {name: value if type(value) in _FITTING[name] else None for name, value in asked.items()}
    return {**asked, "models": joined(request.get("models"))}


_FITTING: Mapping[str, Sequence[type]] = {
    "symbol": (str,),
    "horizon": (int,),
    "timeframe": (str,),
    "confidence_level": (float, int),
}


def joined(names: Any) -> str | None:
    """Names joined by ``+``, None where there are none."""
    return "+".join(map(str, names)) if isinstance(names, Sequence) and not isinstance(names, str) and names else None


def _forecast(forecast: PredictResponse) -> dict[str, Any]:
    evidence, prediction = forecast.evidence, forecast.prediction
    return {
        **_same(forecast, "symbol", "horizon", "timeframe", "forecast_id", "as_of", "target_date"),
        **_same(forecast, "current_price", "currency", "models_version"),
        **_same(prediction, "price_target", "expected_return", "direction", "probability_up", "confidence"),
        **_same(forecast.interval, "confidence_level", "lower", "upper"),
        **{name: forecast.quantiles.get(level) for name, level in QUANTILES.items()},
        **_same(evidence, "coverage", "samples", "skill_vs_random_walk", "p_value", "beats_random_walk"),
        **_same(forecast.data, "provider", "last_bar", "stale"),
        "degraded": joined(forecast.degraded),
    }


def _same(record: object, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _in_words(error: ErrorInfo) -> str:
    return "; ".join([error.message, *(f"{it.field}: {it.problem}" for it in error.details)])
