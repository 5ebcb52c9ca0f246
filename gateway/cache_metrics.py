"""How the caches are used, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from bentoml._internal.configuration.containers import BentoMLContainer

from counting import COUNTS

Layer = Literal["hot", "memory", "workers", "redis"]


@cache
class CacheMetrics:
    """One for each ``client``, which is BentoML's: in a server it must not be asked for before the process and its
    folder of metrics are known."""

    def __init__(self, client: Any) -> None:
        self._requests = client.Counter(
            "deepfinance_cache_requests", "Look-ups in a cache of forecasts", labelnames=("layer", "result")
        )
        self._entries = client.Gauge(
            "deepfinance_cache_entries", "Forecasts kept", labelnames=("layer",), multiprocess_mode="livesum"
        )
        self._bytes = client.Gauge(
            "deepfinance_cache_bytes", "Bytes they take", labelnames=("layer",), multiprocess_mode="livesum"
        )

    def counter(self, layer: Layer) -> Callable[[str], None]:
        """A function that counts a look-up by its result (``hit``, ``miss`` or ``error``)."""
        results = ("hit", "miss", "error")
        count = {result: COUNTS.count(self._requests.labels(layer, result)).inc for result in results}
        return lambda result: count[result]()

    def gauges(self, layer: Layer) -> Callable[[int, int], None]:
        """A function that takes the number of entries and their bytes."""
        entries = COUNTS.level(self._entries.labels(layer))
        size = COUNTS.level(self._bytes.labels(layer))

        def show(number: int, total: int) -> None:
            entries.set(number)
            size.set(total)

        return show


def cache_metrics() -> CacheMetrics:
    """Those of this process."""
    return CacheMetrics(BentoMLContainer.metrics_client.get())
