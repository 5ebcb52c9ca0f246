from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorDetail, ModelSetRefused
from gateway import operations_examples as examples
from gateway.measurements import LATENCY_BUCKETS, LATENCY_STEP
from gateway.operations_reports import (
    ModelsStatusReport,
    PerformanceReport,
    PerformanceSummary,
    ReloadReport,
    WarmupReport,
)
from gateway.performance import percentile
from tests.gateway.calling import assert_error
from tests.gateway.fakes import FakeBackend


def buckets_of(seconds: Sequence[float]) -> dict[float, float]:
    """What a histogram would hold of these times."""
    return {bound: float(sum(it <= bound for it in seconds)) for bound in (*LATENCY_BUCKETS, float("inf"))}


@given(st.lists(st.floats(0.0002, 30.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_right_within_its_bucket(seconds: list[float], level: float) -> None:
    found = percentile(buckets_of(seconds), level)
    exact = np.quantile(seconds, level, method="inverted_cdf") * 1000
    assert found is not None
    assert exact / LATENCY_STEP <= found * 1.0001
    assert found <= exact * LATENCY_STEP * 1.0001


def test_what_was_not_measured_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile(buckets_of([]), 0.5) is None


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (WarmupReport, examples.WARMUP),
        (ModelsStatusReport, examples.MODELS_STATUS),
        (ReloadReport, examples.RELOAD),
        (PerformanceReport, examples.PERFORMANCE),
        (PerformanceSummary, examples.SUMMARY),
    ],
)
def test_examples_fit(model: Any, example: dict[str, Any]) -> None:
    assert json.loads(model.model_validate(example).model_dump_json()) == example


async def test_what_the_door_answered_is_reported_by_route(client: httpx.AsyncClient) -> None:
    for symbol in ("AAPL", "MSFT", "ZZZZ"):
        await client.get(f"/api/v1/symbols/{symbol}")
    report = (await client.get("/api/v1/performance/metrics")).json()
    [route] = [it for it in report["endpoints"] if it["endpoint"] == "/api/v1/symbols/{symbol}"]
    assert (route["requests"], route["client_errors"], route["server_errors"]) == (3, 1, 0)
    assert route["error_rate"] == 0.0
    assert 0 < route["latency_ms"]["p50"] <= route["latency_ms"]["p95"] <= route["latency_ms"]["p99"] < 5000
    assert report["memory"]["megabytes"] > 10


async def test_probes_are_no_part_of_the_summary(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/metrics", "/api/v1/symbols/AAPL", "/api/v1/symbols/MSFT"):
        await client.get(path)
    report = (await client.get("/api/v1/performance/summary")).json()
    assert report["requests"] == 2
    assert report["error_rate"] == 0.0
    assert report["cache_hit_rate"] is None
    assert report["latency_ms"]["p99"] is None


async def test_a_burst_of_odd_methods_makes_no_new_series(client: httpx.AsyncClient) -> None:
    for number in range(20):
        await client.request(f"ODD{number}", "/api/v1/symbols")
    text = (await client.get("/metrics")).text
    assert "ODD" not in text
    assert 'method="other"' in text
    assert list(prometheus_client.parser.text_string_to_metric_families(text))


async def test_how_models_do_is_told_and_is_no_model_of_that_name(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/models/status")).json() == examples.MODELS_STATUS
    assert (await client.get("/api/v1/warmup/status")).json() == examples.WARMUP


async def test_a_reload_is_told_or_refused_with_the_reason(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    done = await client.post("/api/v1/models/reload")
    assert (done.status_code, done.json()) == (200, examples.RELOAD)
    backend.raises = ModelSetRefused("refused", [ErrorDetail("model_set", "lstm.onnx was changed")])
    error = assert_error(await client.post("/api/v1/models/reload"), 422, "model_set_refused")
    assert error["details"] == [{"field": "model_set", "problem": "lstm.onnx was changed"}]
