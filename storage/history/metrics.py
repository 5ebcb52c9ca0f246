"""What the history does, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class HistoryMetrics:
    """Each takes a number: ``queued`` is set, the others are added to."""

    queued: Callable[[float], None]
    written: Callable[[float], None]
    spilled: Callable[[float], None]
    failures: Callable[[float], None]
    lost: Callable[[float], None]
    settled: Callable[[float], None]


@cache
def history_metrics() -> HistoryMetrics:
    """Made late: in a server, metrics belong to a process and its directory must be known first."""
    from prometheus_client import Counter, Gauge

    def counter(name: str, text: str) -> Callable[[float], None]:
        return Counter(f"deepfinance_history_{name}", text).inc

    queued = Gauge(
        "deepfinance_history_queue_length", "Forecasts in memory that wait to be stored", multiprocess_mode="livesum"
    )
    return HistoryMetrics(
        queued=queued.set,
        written=counter("written", "Forecasts given to the database"),
        spilled=counter("spilled", "Forecasts put into the journal, as the database did not take them"),
        failures=counter("failures", "Times that the database did not take what it was given"),
        lost=counter("lost", "Forecasts that neither the database nor the journal took"),
        settled=counter("settled", "Forecasts whose outcome was filled in"),
    )
