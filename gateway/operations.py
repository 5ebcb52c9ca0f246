"""What the documentation says about the native routes. One that is missing here stops the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway import examples
from gateway.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse

Examples = Mapping[str, tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One POST route: examples are name -> (summary, body)."""

    operation_id: str
    summary: str
    description: str
    tag: str
    request: type[BaseModel]
    response: type[BaseModel]
    errors: tuple[int, ...]
    request_examples: Examples
    response_examples: Examples


NATIVE: Mapping[str, Operation] = {
    "/api/v1/predict": Operation(
        operation_id="predict",
        summary="Forecast one symbol",
        description="A calibrated forecast: the median path with its interval, every model's own answer, "
        "and what the out-of-sample evaluation measured for this horizon.",
        tag="Forecasts",
        request=PredictRequest,
        response=PredictResponse,
        errors=(400, 401, 404, 413, 415, 422, 503, 504),
        request_examples={
            "shortest": ("Only what is needed", {"symbol": "AAPL"}),
            "full": ("Everything said", examples.REQUEST),
        },
        response_examples={"forecast": ("A forecast", examples.FORECAST)},
    ),
    "/api/v1/predict/batch": Operation(
        operation_id="predict_batch",
        summary="Forecast many symbols",
        description="Up to 500 requests in one. Each item gets its forecast or its own error, in the same "
        "order; one wrong item does not refuse the others.",
        tag="Forecasts",
        request=BatchRequest,
        response=BatchResponse,
        errors=(400, 401, 413, 415, 422, 503, 504),
        request_examples={"two": ("Two symbols, one of them unknown", examples.BATCH_REQUEST)},
        response_examples={"two": ("One forecast, one error", examples.BATCH_RESPONSE)},
    ),
}
