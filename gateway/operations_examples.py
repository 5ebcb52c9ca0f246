"""Answers of the operations routes shown in the documentation. Tests check each against its schema."""

from __future__ import annotations

from typing import Any, Final

WARMUP: Final[dict[str, Any]] = {
    "ready": True,
    "attempts": 2,
    "steps": [
        {"name": "xgboost", "ready": True, "seconds": 1.9},
        {"name": "lstm", "ready": True, "seconds": 2.1},
        {"name": "forecast", "ready": True, "seconds": 2.4},
    ],
}

MODELS_STATUS: Final[dict[str, Any]] = {
    "models_version": "20221231-f35583bbdb",
    "layout": "per_model",
    "layout_reason": "RUNNER_LAYOUT is per_model",
    "gateway_workers": 1,
    "members": [
        {
            "name": "xgboost",
            "version": "4413bd12fd6a",
            "where": "runner",
            "state": "ok",
            "circuit": "closed",
            "latency_ms": 3.1,
            "calls": 812,
            "rows": 3120,
            "largest_call": 64,
            "shared_rows": 410,
            "failures": 0,
            "refused": 0,
            "queued_rows": 0,
            "last_error": None,
        }
    ],
}

RELOAD: Final[dict[str, Any]] = {
    "status": "reloaded",
    "models_version": "20221231-f35583bbdb",
    "previous_version": "20211231-11d0a37c52",
    "seconds": 0.9,
}

REFUSED: Final[dict[str, Any]] = {
    "error": {
        "code": "model_set_refused",
        "message": "the published model set is refused; the one in use stays",
        "details": [
            {
                "field": "model_set",
                "problem": "lstm.onnx was changed after it was published: sha256 9f2c... expected, 0b1d... found",
            }
        ],
        "request_id": "3f0c2d9e5a1b4c7d8e9f0a1b2c3d4e5f",
    }
}

_LATENCY: Final = {"p50": 3.2, "p95": 9.8, "p99": 22.0}
_MEMORY: Final = {
    "megabytes": 412.5,
    "kind": "pss",
    "processes": [{"process": "DeepFinance", "megabytes": 158.2}, {"process": "LstmRunner", "megabytes": 77.0}],
}

PERFORMANCE: Final[dict[str, Any]] = {
    "uptime_seconds": 5120.4,
    "percentile_error": 0.334,
    "endpoints": [
        {
            "endpoint": "/api/v1/predict",
            "requests": 5210,
            "client_errors": 12,
            "server_errors": 0,
            "error_rate": 0.0,
            "latency_ms": _LATENCY,
        }
    ],
    "forecasts": {"ok": 1204, "unknown_symbol": 12},
    "models": [{"model": "xgboost", "calls": 812, "rows_per_call": 3.8, "failures": 0, "latency_ms": _LATENCY}],
    "cache": [{"layer": "memory", "hits": 3994, "misses": 1204, "errors": 0, "hit_rate": 0.768}],
    "memory": _MEMORY,
}

SUMMARY: Final[dict[str, Any]] = {
    "uptime_seconds": 5120.4,
    "requests": 5391,
    "error_rate": 0.0,
    "latency_ms": _LATENCY,
    "forecasts": 1204,
    "degraded": 0,
    "cache_hit_rate": 0.768,
    "memory_megabytes": 412.5,
}
