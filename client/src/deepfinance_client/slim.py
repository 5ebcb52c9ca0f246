"""A batch with no more of each forecast than a row of a table has: read in a fifth of the time, as the path to the
target is most of an answer.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from deepfinance_client.body import Body
from deepfinance_client.calls import Call
from deepfinance_client.responses import BatchError, Interval, Prediction


class SlimEvidence(Body):
    """What is said of the evidence."""

    coverage: float | None
    samples: int
    skill_vs_random_walk: float | None
    p_value: float | None
    beats_random_walk: bool


class SlimData(Body):
    """What is said of the prices."""

    provider: str
    last_bar: datetime.date
    stale: bool


class SlimForecast(Body):
    """What is said of a forecast."""

    forecast_id: str
    symbol: str
    timeframe: str
    as_of: datetime.date
    current_price: float
    currency: str | None
    horizon: int
    target_date: datetime.date
    prediction: Prediction
    interval: Interval
    quantiles: dict[str, float]
    evidence: SlimEvidence
    data: SlimData
    models_version: str
    degraded: list[str]


class SlimResult(Body):
    """An item that was answered."""

    status: Literal[200]
    forecast: SlimForecast


class SlimBatch(Body):
    """One result per request, in the same order."""

    results: list[Annotated[SlimResult | BatchError, Field(union_mode="left_to_right")]]


def predict_batch_slim(requests: Sequence[Mapping[str, Any]]) -> Call[SlimBatch]:
    """``POST /predict/batch``."""
    return Call("POST", "/predict/batch", SlimBatch, {"requests": list(requests)})
