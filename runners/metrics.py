"""What runner calls look like from the gateway, for Prometheus."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import bentoml

from counting import COUNTS
from runners.foreign import BadAnswer, connection_was_lost

ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS: Final = tuple(round(0.0001 * 10 ** (i / 8), 7) for i in range(38))
"""0.1 ms to 4.2 s, each 1.33 times the one before, as those of requests."""
REASONS: Final = ("timeout", "lost", "bad_answer", "error")


class RunnerMetrics:
    """``coalesce.Observer`` of the calls to one model."""

    def __init__(self, model: str) -> None:
        metrics = _metrics()
        self._rows = COUNTS.spread(metrics["rows"].labels(model), ROWS)
        self._seconds = COUNTS.spread(metrics["seconds"].labels(model), SECONDS)
        # there from the start: a counter that first appears as 1 has not increased, for Prometheus
        self._failures = {reason: COUNTS.count(metrics["failures"].labels(model, reason)) for reason in REASONS}
        self._refused = COUNTS.count(metrics["refused"].labels(model))
        self._queued = COUNTS.level(metrics["queued"].labels(model))
        self._away = COUNTS.level(metrics["away"].labels(model))
        self._away.set(0)

    def answered(self, n_rows: int, seconds: float) -> None:
        self._rows.observe(n_rows)
        self._seconds.observe(seconds)

    def failed(self, error: Exception) -> None:
        self._failures[reason_of(error)].inc()

    def refused(self) -> None:
        self._refused.inc()

    def queued(self, n_rows: int) -> None:
        self._queued.set(n_rows)

    def away(self, is_away: bool) -> None:
        self._away.set(is_away)


def reason_of(error: Exception) -> str:
    """One of REASONS, whatever went wrong."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if connection_was_lost(error):
        return "lost"
    return "bad_answer" if isinstance(error, BadAnswer) else "error"


@cache
def _metrics() -> dict[str, Any]:
    """Made late: in a server, metrics belong to a process and its directory must be known first."""
    make, by_model = bentoml.metrics, ["model"]
    return {
        "rows": make.Histogram(
            name="deepfinance_runner_call_rows",
            documentation="Rows in a call to a model: more than one is what coalescing is for",
            labelnames=by_model,
            buckets=ROWS,
        ),
        "seconds": make.Histogram(
            name="deepfinance_runner_call_seconds",
            documentation="Time that an answered call to a model took",
            labelnames=by_model,
            buckets=SECONDS,
        ),
        "failures": make.Counter(
            name="deepfinance_runner_failures",
            documentation="Calls to a model that failed: timeout, lost, bad_answer or error",
            labelnames=["model", "reason"],
        ),
        "refused": make.Counter(
            name="deepfinance_runner_refused",
            documentation="Requests to a model that were refused at once because it is away",
            labelnames=by_model,
        ),
        "queued": make.Gauge(
            name="deepfinance_runner_queued_rows",
            documentation="Rows that no call has taken yet",
            labelnames=by_model,
            multiprocess_mode="livesum",
        ),
        "away": make.Gauge(
            name="deepfinance_runner_away",
            documentation="1 from the loss of a model until it has answered again",
            labelnames=by_model,
            multiprocess_mode="livemax",
        ),
    }
