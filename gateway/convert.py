"""From a checked body to the record the pipeline takes, and from its forecast back to a body."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from contracts import Evidence, Explanation, Forecast, ForecastRequest
from errors import ErrorDetail, InvalidRequest, UnknownModel
from gateway.backend import Catalogue
from gateway.schemas import PredictRequest


def to_request(body: PredictRequest, catalogue: Catalogue) -> ForecastRequest:
    """Check what one field alone cannot tell, and put models and weights into published order, normalised.

    Raises InvalidRequest with every problem found, or UnknownModel naming ``models[i]``.
    """
    problems = [
        *_timeframe_problems(body, catalogue),
        *_model_problems(body),
        *_weight_problems(body, catalogue),
    ]
    if problems:
        raise InvalidRequest(_count(problems), problems)
    _refuse_unknown_models(body.models or (), catalogue)
    chosen = _in_published_order(body.models, catalogue)
    return ForecastRequest(
        symbol=body.symbol,
        horizon=body.horizon,
        timeframe=body.timeframe,
        models=chosen,
        weights=None if body.weights is None else _normalised(body.weights, chosen or catalogue.models),
        confidence_level=body.confidence_level,
        explain=body.explain,
    )


def _count(problems: Sequence[ErrorDetail]) -> str:
    return "1 field is wrong" if len(problems) == 1 else f"{len(problems)} fields are wrong"


def _timeframe_problems(body: PredictRequest, catalogue: Catalogue) -> Iterator[ErrorDetail]:
    if body.timeframe not in catalogue.timeframes:
        published = ", ".join(catalogue.timeframes)
        yield ErrorDetail("timeframe", f"no model set for {body.timeframe} bars is published; published: {published}")


def _model_problems(body: PredictRequest) -> Iterator[ErrorDetail]:
    seen: set[str] = set()
    for index, name in enumerate(body.models or ()):
        if name in seen:
            yield ErrorDetail(f"models[{index}]", f"{name!r} is named twice")
        seen.add(name)


def _weight_problems(body: PredictRequest, catalogue: Catalogue) -> Iterator[ErrorDetail]:
    if body.weights is None:
        return
    chosen = catalogue.models if body.models is None else body.models
    for name in body.weights:
        if name not in chosen:
            yield ErrorDetail(f"weights.{name}", f"is not a chosen model; chosen: {', '.join(chosen)}")
    if not any(body.weights.values()):
        yield ErrorDetail("weights", "must not all be zero")


def _refuse_unknown_models(names: Sequence[str], catalogue: Catalogue) -> None:
    published = ", ".join(catalogue.models)
    problems = [
        ErrorDetail(f"models[{index}]", f"{name!r} is not published; published: {published}")
        for index, name in enumerate(names)
        if name not in catalogue.models
    ]
    if problems:
        raise UnknownModel("there is no such model", problems)


def _in_published_order(names: Sequence[str] | None, catalogue: Catalogue) -> tuple[str, ...] | None:
    return None if names is None else tuple(name for name in catalogue.models if name in names)


def _normalised(weights: Mapping[str, float], chosen: Sequence[str]) -> dict[str, float]:
    """A weight for each chosen model, summing to 1. The largest is divided out first, so no sum overflows."""
    largest = max(weights.values())
    scaled = {name: weights.get(name, 0.0) / largest for name in chosen}
    total = math.fsum(scaled.values())
    return {name: weight / total for name, weight in scaled.items()}


def from_forecast(forecast: Forecast) -> dict[str, Any]:
    """The body of one forecast, plain JSON values, numbers as they are. ``explanation`` only where there is one."""
    explained = {} if forecast.explanation is None else {"explanation": _explanation(forecast.explanation)}
    return {
        "forecast_id": forecast.forecast_id,
        "symbol": forecast.symbol,
        "timeframe": forecast.timeframe,
        "as_of": forecast.as_of.isoformat(),
        "current_price": forecast.current_price,
        "currency": forecast.currency,
        "horizon": forecast.horizon,
        "target_date": forecast.target_date.isoformat(),
        "prediction": _prediction(forecast),
        "interval": {
            "confidence_level": forecast.confidence_level,
            "lower": forecast.lower,
            "upper": forecast.upper,
        },
        "quantiles": dict(forecast.quantiles),
        "path": _path(forecast),
        "members": [asdict(member) for member in forecast.members],
        "confidence_breakdown": asdict(forecast.confidence_breakdown),
        "evidence": _evidence(forecast.evidence),
        "data": _data(forecast),
        "models_version": forecast.models_version,
        "degraded": list(forecast.degraded),
        "cached": forecast.cached,
        "notes": list(forecast.notes),
        **explained,
    }


def _prediction(forecast: Forecast) -> dict[str, Any]:
    return {
        "price_target": forecast.price_target,
        "expected_return": forecast.expected_return,
        "direction": forecast.direction,
        "probability_up": forecast.probability_up,
        "confidence": forecast.confidence,
    }


def _path(forecast: Forecast) -> list[dict[str, Any]]:
    return [
        {
            "step": step.step,
            "date": step.date.isoformat(),
            "median": step.median,
            "lower": step.lower,
            "upper": step.upper,
        }
        for step in forecast.path
    ]


def _evidence(evidence: Evidence) -> dict[str, Any]:
    window = evidence.window and [day.isoformat() for day in evidence.window]
    return {**asdict(evidence), "window": window}


def _data(forecast: Forecast) -> dict[str, Any]:
    data = asdict(forecast.data)
    return {**data, "last_bar": forecast.data.last_bar.isoformat(), "dropped": list(data["dropped"])}


def _explanation(explanation: Explanation) -> dict[str, Any]:
    body = asdict(explanation)
    if explanation.attention is not None:
        body["attention"]["patches"] = [
            {"first": patch.first.isoformat(), "last": patch.last.isoformat()}
            for patch in explanation.attention.patches
        ]
    return body
