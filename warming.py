"""From the start to the moment when a real forecast has gone all the way: market data, calendar, features, models."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from contracts import Forecast, ForecastRequest
from errors import DeepFinanceError
from gateway.operations_reports import WarmupReport, WarmupStep
from pipeline import forecast_many
from serving import Serving

log = logging.getLogger("deepfinance.service")

PATIENCE_WITH_RUNNERS = 10.0
"""Seconds after start during which ready means that every model answers; later one is enough."""

FORECAST = "forecast"


class WarmUp:
    """Knows since when each model answers and forecasts work. ``serving`` is called for what is served now."""

    def __init__(self, serving: Callable[[], Serving]) -> None:
        self._serving = serving
        self._started_at = time.monotonic()
        self._worked_after: dict[str, float] = {}
        self._attempts = 0

    @property
    def is_over(self) -> bool:
        return FORECAST in self._worked_after

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_at

    async def run(self) -> None:
        """Forecast something for real, again and again until it works."""
        for attempt in count():
            if await self._try_out():
                break
            await asyncio.sleep(min(0.1 * 1.5**attempt, 2.0))
        self._worked(FORECAST)
        log.info("ready after %.1f s", self.uptime)

    def report(self) -> WarmupReport:
        steps = [*self._serving().model_set.names, FORECAST]
        return WarmupReport(
            ready=self.is_over,
            attempts=self._attempts,
            steps=[
                WarmupStep(name=name, ready=name in self._worked_after, seconds=self._worked_after.get(name))
                for name in steps
            ],
        )

    async def _try_out(self) -> bool:
        try:
            return await self._forecast_works()
        except Exception:  # whatever it is may pass, and a silent end of this task would mean never ready
            log.exception("the forecast at the start failed")
            return False

    async def _forecast_works(self) -> bool:
        self._attempts += 1
        serving = self._serving()
        probes = await serving.prober.probes()
        for probe in probes:
            if probe.ok:
                self._worked(probe.name)
        enough = all if self.uptime < PATIENCE_WITH_RUNNERS else any
        if not enough(probe.ok for probe in probes):
            return False
        return not isinstance(await try_forecast(serving), DeepFinanceError)

    def _worked(self, step: str) -> None:
        self._worked_after.setdefault(step, self.uptime)


async def try_forecast(serving: Serving) -> Forecast | DeepFinanceError | None:
    """A real forecast that nobody asked for; None where no symbol is known beforehand."""
    symbols = serving.ports.market.symbols()
    if not symbols:
        return None
    requests, now = [ForecastRequest(symbols[0])], datetime.now(UTC)
    (outcome,) = await forecast_many(requests, ports=serving.ports, model_set=serving.model_set, now=now)
    return outcome
