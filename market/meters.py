"""What the calls to live sources look like, for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from market.breaker import BreakerState

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_STATES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class _Meters:
    calls: Counter
    seconds: Histogram
    breaker: Gauge


@cache
def _meters() -> _Meters:
    """Made late: in a server, metrics belong to a process and its directory must be known before the import."""
    from prometheus_client import Counter, Gauge, Histogram

    return _Meters(
        Counter(
            "deepfinance_source_calls",
            "Calls to a live data source; outcome is ok, unknown_symbol, throttled, refused or faulty",
            ["source", "outcome"],
        ),
        Histogram(
            "deepfinance_source_call_seconds",
            "Time of a call to a live data source",
            ["source"],
            buckets=[0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5],
        ),
        Gauge(
            "deepfinance_source_breaker_state",
            "Circuit breaker of a live data source: 0 closed, 1 half-open, 2 open",
            ["source"],
            multiprocess_mode="livemax",
        ),
    )


def called(source: str, outcome: str, seconds: float) -> None:
    """A call was made and answered, one way or the other."""
    meters = _meters()
    meters.calls.labels(source, outcome).inc()
    meters.seconds.labels(source).observe(seconds)


def breaker_is(source: str, state: BreakerState) -> None:
    _meters().breaker.labels(source).set(_STATES[state])
