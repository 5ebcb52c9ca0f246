"""The routes for those who run the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from fastapi import FastAPI, HTTPException

from counting import COUNTS
from gateway import operations_examples as examples
from gateway.backend import Backend
from gateway.draining import DRAINING
from gateway.operations_reports import (
    ModelsStatusReport,
    PerformanceReport,
    PerformanceSummary,
    ReloadReport,
    WarmupReport,
)
from gateway.performance import performance, summary
from gateway.schemas import ErrorBody

Responses = dict[int | str, dict[str, Any]]
_RELOAD: Responses = {
    200: {"content": {"application/json": {"example": examples.RELOAD}}},
    403: {"model": ErrorBody, "description": "The key lacks the scope `admin`."},
    415: {"model": ErrorBody, "description": "The body must be application/json, or none."},
    422: {
        "model": ErrorBody,
        "description": "The published set is refused; the details say why. The one in use stays.",
        "content": {"application/json": {"example": examples.REFUSED}},
    },
    503: {"model": ErrorBody, "description": "A model is away, so that no set can be loaded now."},
}


def add_operations(app: FastAPI, backend: Callable[[], Backend]) -> None:
    """All of them."""
    _add_warmup(app, backend)
    _add_models_status(app, backend)
    _add_reload(app, backend)
    _add_performance(app)


def _shown(example: dict[str, Any]) -> Responses:
    return {200: {"content": {"application/json": {"example": example}}}}


def _add_warmup(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get(
        "/warmup/status", summary="How far the start has come", tags=["Operations"], responses=_shown(examples.WARMUP)
    )
    async def warmup_status() -> WarmupReport:
        """Which models have answered, and whether a forecast has gone all the way through, in this gateway worker."""
        report = backend().warmup()
        return report.model_copy(update={"ready": report.ready and not DRAINING.active})


def _add_models_status(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get(
        "/models/status", summary="How every model does", tags=["Operations"], responses=_shown(examples.MODELS_STATUS)
    )
    async def models_status() -> ModelsStatusReport:
        """Loaded version, state, circuit, latency, calls and failures of every model, as this worker sees it."""
        return backend().models_status()


def _add_reload(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.post("/models/reload", summary="Serve the published model set", tags=["Operations"], responses=_RELOAD)
    async def models_reload() -> ReloadReport:
        """Checks the set that is published now, loads it beside the one in use, makes a forecast with it, and puts it
        in place at once: requests under way finish with the old one, and none fails. A set that cannot be served is
        refused with the reason, and nothing changes. Other gateway workers follow within a second."""
        return await backend().reload()

    @app.get("/models/reload", include_in_schema=False)
    async def not_by_get() -> None:
        """Left to ``/models/{name}`` it would be a model that nobody knows."""
        raise HTTPException(405, headers={"Allow": "POST"})


def _add_performance(app: FastAPI) -> None:
    @app.get(
        "/performance/metrics", summary="What was measured", tags=["Operations"], responses=_shown(examples.PERFORMANCE)
    )
    async def performance_metrics() -> PerformanceReport:
        """Latency percentiles and error rate of every route, batch sizes, cache use and memory, since the start."""
        COUNTS.hand_over()
        return await asyncio.to_thread(performance, BentoMLContainer.metrics_client.get())

    @app.get(
        "/performance/summary",
        summary="What was measured, in short",
        tags=["Operations"],
        responses=_shown(examples.SUMMARY),
    )
    async def performance_summary() -> PerformanceSummary:
        """The same in a few numbers."""
        COUNTS.hand_over()
        return await asyncio.to_thread(summary, BentoMLContainer.metrics_client.get())
