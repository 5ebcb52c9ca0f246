"""What is measured of the gateway, as Prometheus metrics, and what can be read back from them.

The numbers of all processes meet in files (Prometheus' multiprocess mode), so what /performance reports is that of
every gateway worker together, those that died included. Percentiles come from histograms with fixed logarithmic
buckets, LATENCY_STEP apart: a percentile lies within its bucket, so it is off by less than that factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from contracts import Forecast
from counting import COUNTS, Count, Spread
from errors import DeepFinanceError

LATENCY_STEP: Final = 10 ** (1 / 8)
LATENCY_BUCKETS: Final = tuple(round(0.0001 * LATENCY_STEP**i, 7) for i in range(46))
"""Seconds: 0.1 ms to 42 s, each 1.33 times the one before."""
METHODS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS"})


@cache
class TrafficMetrics:
    """Metrics of requests, with their labels looked up once a combination.

    One for each ``client``, which is BentoML's: in a server it must not be asked for before the process and its folder
    of metrics are known.
    """

    def __init__(self, client: Any) -> None:
        self._requests = client.Counter(
            "deepfinance_http_requests", "Requests answered", labelnames=("endpoint", "method", "status")
        )
        self._seconds = client.Histogram(
            "deepfinance_http_request_seconds",
            "Time until the last byte of an answer was handed over",
            labelnames=("endpoint",),
            buckets=LATENCY_BUCKETS,
        )
        in_progress = client.Gauge(
            "deepfinance_http_requests_in_progress", "Requests being answered", multiprocess_mode="livesum"
        )
        websockets = client.Gauge("deepfinance_websocket_connections", "Open websockets", multiprocess_mode="livesum")
        messages = client.Counter("deepfinance_websocket_messages", "Messages sent over websockets")
        self.in_progress = COUNTS.level(in_progress)
        self.websockets = COUNTS.level(websockets)
        self.websocket_messages = COUNTS.count(messages)
        self._counted: dict[tuple[str, str, int], tuple[Count, Spread]] = {}
        self._timed: dict[str, Spread] = {}

    def count(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """A request that was answered; ``endpoint`` is a route template, never a path."""
        key = (endpoint, method if method in METHODS else "other", status)
        counter, timer = self._counted.get(key) or self._looked_up(key)
        counter.inc()
        timer.observe(seconds)

    def _looked_up(self, key: tuple[str, str, int]) -> tuple[Count, Spread]:
        endpoint, method, status = key
        if endpoint not in self._timed:
            self._timed[endpoint] = COUNTS.spread(self._seconds.labels(endpoint), LATENCY_BUCKETS)
        counter = COUNTS.count(self._requests.labels(endpoint, method, str(status)))
        found = self._counted[key] = counter, self._timed[endpoint]
        return found


@cache
class ForecastMetrics:
    """Metrics of what the service is for. One for each ``client``, as above."""

    def __init__(self, client: Any) -> None:
        self._forecasts = client.Counter(
            "deepfinance_forecasts",
            "Forecasts computed: ok, degraded, or the code of the error",
            labelnames=("result",),
        )
        self._data = client.Counter(
            "deepfinance_forecast_data",
            "Forecasts by the source of their bars, and whether those were fresh or stale",
            labelnames=("source", "state"),
        )
        self._sets = client.Gauge(
            "deepfinance_model_set_info",
            "1 for the model set in use",
            labelnames=("models_version",),
            multiprocess_mode="livemax",
        )
        self._ready = client.Gauge(
            "deepfinance_ready", "1 while every gateway worker takes requests", multiprocess_mode="livemin"
        )
        self._version = ""
        self._known: dict[tuple[str, str, bool], Sequence[Count]] = {}

    def count(self, outcomes: Sequence[Forecast | DeepFinanceError]) -> None:
        """Forecasts were computed, or could not be. Codes are those of our errors, so there are few."""
        counted: dict[tuple[str, str, bool], int] = {}
        for outcome in outcomes:
            key = _labels_of(outcome)
            counted[key] = counted.get(key, 0) + 1
        for key, number in counted.items():
            for counter in self._counters(key):
                counter.inc(number)

    def _counters(self, key: tuple[str, str, bool]) -> Sequence[Count]:
        """What counts such outcomes, looked up once."""
        if (counters := self._known.get(key)) is None:
            result, provider, stale = key
            of_data = [self._data.labels(provider, "stale" if stale else "fresh")] if provider else []
            counters = self._known[key] = [COUNTS.count(each) for each in (self._forecasts.labels(result), *of_data)]
        return counters

    def serves(self, version: str) -> None:
        """The model set of that version is in use from now on."""
        if self._version:
            self._sets.labels(self._version).set(0)
        self._sets.labels(version).set(1)
        self._version = version

    def ready(self, is_ready: bool) -> None:
        self._ready.set(is_ready)


def _labels_of(outcome: Forecast | DeepFinanceError) -> tuple[str, str, bool]:
    """Result, source of the bars and whether they were stale; no source where there is no forecast."""
    if isinstance(outcome, DeepFinanceError):
        return outcome.code, "", False
    return "degraded" if outcome.degraded else "ok", outcome.data.provider, outcome.data.stale
