"""From a checked body to the record that the pipeline takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from contracts import ForecastRequest
from errors import ErrorDetail, InvalidRequest, UnknownModel
from gateway.backend import Catalogue
from gateway.schemas import MAX_HORIZON, SYMBOL_PATTERN, PredictRequest

_SIMPLEST: Final = frozenset({"symbol", "horizon", "timeframe", "confidence_level"})
_SYMBOL: Final = re.compile(SYMBOL_PATTERN)


def ordinary_request(body: bytes, catalogue: Catalogue) -> ForecastRequest | None:
    """What a JSON body asks for that has the simplest fields alone and is right beyond doubt; None where
    ``PredictRequest`` and ``to_request`` have to look, which would say the same of what is taken here."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return ordinary_fields(fields, catalogue)


def ordinary_fields(fields: Any, catalogue: Catalogue) -> ForecastRequest | None:
    """The same of a body that has been read."""
    if type(fields) is not dict or not _SIMPLEST.issuperset(fields):
        return None
    symbol: Any = fields.get("symbol")
    timeframe = fields.get("timeframe", "1d")
    horizon, level = fields.get("horizon", 5), fields.get("confidence_level", 0.9)
    is_right = (
        type(symbol) is str
        and _SYMBOL.fullmatch(symbol)
        and timeframe in catalogue.timeframes
        and type(horizon) is int
        and 1 <= horizon <= MAX_HORIZON
        and type(level) is float
        and 0.5 <= level <= 0.99
    )
    return ForecastRequest(symbol.upper(), horizon, timeframe, confidence_level=level) if is_right else None


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
