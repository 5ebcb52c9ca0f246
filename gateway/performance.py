"""From the metrics of all processes to the reports of /performance."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.measurements import LATENCY_STEP
from gateway.operations_reports import (
    CacheUse,
    CallSizes,
    EndpointReport,
    Latency,
    MemoryReport,
    PerformanceReport,
    PerformanceSummary,
    ProcessMemory,
)

FORECASTS: Final = ("/api/v1/predict", "/api/v1/predict/batch")
UNCOUNTED: Final = frozenset(
    {"/", "/docs", "/docs.json", "/livez", "/readyz", "/healthz", "/metrics", "/api/v1/metrics", "/api/v1/health"}
)
_WORKER: Final = "_bentoml_impl.worker.service"

Sample = tuple[Mapping[str, str], float]
Samples = Mapping[str, Sequence[Sample]]
"""Labels and value of every sample, by its name."""


def performance(client: Any) -> PerformanceReport:
    """Everything, read now. Takes tens of milliseconds: not for the event loop."""
    samples, started_at, memory = collected(client), *_processes()
    return PerformanceReport(
        uptime_seconds=max(0.0, time.time() - started_at),
        percentile_error=round(LATENCY_STEP - 1, 3),
        endpoints=_endpoints(samples),
        forecasts=_by(samples, "deepfinance_forecasts_total", "result"),
        models=_models(samples),
        cache=_cache(samples),
        memory=memory,
    )


def summary(client: Any) -> PerformanceSummary:
    """The same in a few numbers."""
    samples, started_at, memory = collected(client), *_processes()
    counted = [each for each in _endpoints(samples) if each.endpoint not in UNCOUNTED]
    forecasts = _by(samples, "deepfinance_forecasts_total", "result")
    made = forecasts.get("ok", 0) + forecasts.get("degraded", 0)
    asked = sum(
        value
        for labels, value in samples.get("deepfinance_cache_requests_total", ())
        if labels["layer"] == "memory" or (labels["layer"], labels["result"]) == ("hot", "hit")
    )
    return PerformanceSummary(
        uptime_seconds=max(0.0, time.time() - started_at),
        requests=sum(each.requests for each in counted),
        error_rate=_share(sum(each.server_errors for each in counted), sum(each.requests for each in counted)),
        latency_ms=latency(_buckets(samples, "deepfinance_http_request_seconds", "endpoint", FORECASTS)),
        forecasts=made,
        degraded=forecasts.get("degraded", 0),
        cache_hit_rate=_share(max(0.0, asked - made), asked),
        memory_megabytes=memory.megabytes,
    )


def collected(client: Any) -> Samples:
    """What every process has written; ``client`` is BentoML's."""
    registry = client.registry
    if client.multiproc:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    found: dict[str, list[Sample]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def latency(buckets: Mapping[float, float]) -> Latency:
    """Percentiles in milliseconds from the number of answers up to each bound, in seconds."""
    return Latency(**{f"p{level}": percentile(buckets, level / 100) for level in (50, 95, 99)})


def percentile(buckets: Mapping[float, float], level: float) -> float | None:
    """In milliseconds, by geometric interpolation between the bounds around it; None where nothing was measured.

    ``buckets`` are the numbers of answers up to each bound in seconds, the last bound infinite.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    rank = level * total
    lower = bounds[0] / LATENCY_STEP
    below = 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower * 1000
            share = (rank - below) / (buckets[bound] - below)
            return float(lower * (bound / lower) ** share * 1000)
        lower, below = bound, buckets[bound]
    return lower * 1000


def _endpoints(samples: Samples) -> list[EndpointReport]:
    counted: dict[str, dict[int, int]] = {}
    for labels, value in samples.get("deepfinance_http_requests_total", ()):
        by_status = counted.setdefault(labels["endpoint"], {})
        by_status[int(labels["status"])] = by_status.get(int(labels["status"]), 0) + int(value)
    reports = [
        EndpointReport(
            endpoint=endpoint,
            requests=sum(by_status.values()),
            client_errors=sum(n for status, n in by_status.items() if 400 <= status < 500),
            server_errors=(failed := sum(n for status, n in by_status.items() if status >= 500)),
            error_rate=_share(failed, sum(by_status.values())),
            latency_ms=latency(_buckets(samples, "deepfinance_http_request_seconds", "endpoint", [endpoint])),
        )
        for endpoint, by_status in counted.items()
    ]
    return sorted(reports, key=lambda each: -each.requests)


def _models(samples: Samples) -> list[CallSizes]:
    rows = _by(samples, "deepfinance_runner_call_rows_sum", "model")
    calls = _by(samples, "deepfinance_runner_call_rows_count", "model")
    failures = _by(samples, "deepfinance_runner_failures_total", "model")
    return [
        CallSizes(
            model=model,
            calls=calls.get(model, 0),
            rows_per_call=rows.get(model, 0) / calls[model] if calls.get(model) else None,
            failures=failures.get(model, 0),
            latency_ms=latency(_buckets(samples, "deepfinance_runner_call_seconds", "model", [model])),
        )
        for model in sorted({*calls, *failures})
    ]


def _cache(samples: Samples) -> list[CacheUse]:
    layers: dict[str, dict[str, int]] = {}
    for labels, value in samples.get("deepfinance_cache_requests_total", ()):
        layers.setdefault(labels["layer"], {})[labels["result"]] = int(value)
    return [
        CacheUse(
            layer=layer,
            hits=found.get("hit", 0),
            misses=found.get("miss", 0),
            errors=found.get("error", 0),
            hit_rate=_share(found.get("hit", 0), sum(found.values())),
        )
        for layer, found in sorted(layers.items())
    ]


def _by(samples: Samples, name: str, label: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for labels, value in samples.get(name, ()):
        sums[labels[label]] = sums.get(labels[label], 0) + int(value)
    return sums


def _buckets(samples: Samples, name: str, label: str, wanted: Iterable[str]) -> dict[float, float]:
    """Cumulated numbers by bound, of several series together."""
    chosen, buckets = set(wanted), dict[float, float]()
    for labels, value in samples.get(f"{name}_bucket", ()):
        if labels[label] in chosen:
            bound = float(labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
    assert all(buckets[one] <= buckets[other] for one, other in pairwise(sorted(buckets)))
    return buckets


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _processes() -> tuple[float, MemoryReport]:
    """When the service was started (seconds since the epoch), and the memory of every process of it."""
    own = psutil.Process()
    root = psutil.Process(os.getppid()) if _WORKER in own.cmdline() else own
    found, kind = [], "pss"
    for process in [root, *root.children(recursive=True)]:
        try:
            memory = process.memory_full_info()
            size = getattr(memory, "pss", None)
            kind, size = ("rss", memory.rss) if size is None else (kind, size)
            found.append(ProcessMemory(process=_name_of(process, root), megabytes=size / 1e6))
        except psutil.Error:  # it has just ended
            continue
    total = sum(each.megabytes for each in found)
    return root.create_time(), MemoryReport.model_validate({"megabytes": total, "kind": kind, "processes": found})


def _name_of(process: psutil.Process, root: psutil.Process) -> str:
    command = process.cmdline()
    if _WORKER in command and "--service-name" in command:
        return command[command.index("--service-name") + 1]
    return "supervisor" if process == root else process.name()
