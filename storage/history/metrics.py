"""What the history does, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from records import ForecastRecord, Settlement


@dataclass(frozen=True, slots=True)
class HistoryMetrics:
    """Each takes a number, ``queued`` to be set and the others to be added to, but ``came_out``: a forecast and how."""

    queued: Callable[[float], None]
    written: Callable[[float], None]
    spilled: Callable[[float], None]
    failures: Callable[[float], None]
    lost: Callable[[float], None]
    settled: Callable[[float], None]
    came_out: Callable[[ForecastRecord, Settlement], None]


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
        came_out=_outcome_metrics(),
    )


def _outcome_metrics() -> Callable[[ForecastRecord, Settlement], None]:
    """Sums that live coverage and live skill are quotients of, over whatever span the reader asks for."""
    from prometheus_client import Counter

    sides = Counter("deepfinance_outcomes", "Outcomes below, inside or above their forecast's interval", ["side"])
    for side in ("below", "inside", "above"):
        sides.labels(side)
    expected = Counter("deepfinance_outcomes_expected_inside", "Outcomes that the intervals' levels promise inside")
    own = Counter("deepfinance_outcomes_pinball", "Pinball loss of forecasts that a random walk can be compared with")
    walk = Counter("deepfinance_outcomes_pinball_random_walk", "Pinball loss of that random walk")

    def came_out(record: ForecastRecord, settlement: Settlement) -> None:
        sides.labels(_side(record, settlement)).inc()
        expected.inc(record.confidence_level)
        if settlement.pinball_random_walk is not None:
            own.inc(settlement.pinball)
            walk.inc(settlement.pinball_random_walk)

    return came_out


def _side(record: ForecastRecord, settlement: Settlement) -> str:
    if settlement.inside_interval:
        return "inside"
    return "below" if settlement.realised_price < record.lower else "above"
