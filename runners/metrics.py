"""What runner calls look like from the gateway, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import bentoml


def rows_per_call(model: str) -> Callable[[int], None]:
    """Count a call to ``model`` by the rows it carried: more than one row a call is what coalescing is for."""
    observe: Callable[[int], None] = _rows_per_call().labels(model=model).observe
    return observe


@cache
def _rows_per_call() -> Any:
    """Made late: in a server, metrics belong to a process and its directory must be known first."""
    return bentoml.metrics.Histogram(
        name="deepfinance_runner_call_rows",
        documentation="Rows in a call to a model runner",
        labelnames=["model"],
        buckets=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    )
