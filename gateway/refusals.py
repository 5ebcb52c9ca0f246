"""Requests that the door refused, for Prometheus: by the name of the key, never by what was sent."""

from __future__ import annotations

from functools import cache
from typing import Any

from counting import COUNTS, Count
from errors import DeepFinanceError, Forbidden, RateLimited, Unauthorized
from gateway.auth import Caller
from gateway.limits import SharedWindows


@cache
class Refusals:
    """One for each ``client``, which is BentoML's: metrics belong to a process and its folder must be known first."""

    def __init__(self, client: Any) -> None:
        self._rate_limited = client.Counter(
            "deepfinance_rate_limited_total",
            "Requests refused with 429, by name of the API key; none: without a good key",
            labelnames=("key",),
        )
        self._auth_failures = client.Counter(
            "deepfinance_auth_failures_total",
            "Requests refused with 401 (unauthorized) or 403 (forbidden)",
            labelnames=("reason",),
        )
        self._known: dict[tuple[Any, str], Count] = {}
        self._shared = client.Gauge(
            "deepfinance_rate_limit_shared",
            "1 while processes count requests together, 0 while every one counts its own",
            multiprocess_mode="livemin",
        )

    def watch(self, shared: SharedWindows | None) -> None:
        """Say whether the store of limits answers; without one requests are never counted together."""
        self._shared.set(int(shared is not None))
        if shared is not None:
            shared.on_change = lambda answers: self._shared.set(int(answers))

    def count(self, refusal: DeepFinanceError, caller: Caller | None) -> None:
        """Count it, if it is about keys and limits; without a caller it came from a stranger."""
        if isinstance(refusal, RateLimited):
            self._counter(self._rate_limited, caller.name if caller is not None else "none").inc()
        elif isinstance(refusal, (Unauthorized, Forbidden)):
            self._counter(self._auth_failures, refusal.code).inc()

    def _counter(self, of: Any, label: str) -> Count:
        """Labels are names of keys and codes of ours, so there are few."""
        if (counter := self._known.get((of, label))) is None:
            counter = self._known[of, label] = COUNTS.count(of.labels(label))
        return counter
