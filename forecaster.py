"""What the service does, free of the framework that serves it: ``gateway.backend.Backend`` over the pipeline.

Also knows when it is ready: once a real forecast has gone all the way through market data, calendar, features
and models.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from contracts import AssetClass, Bars, Forecast, ForecastRequest, Instrument, MemberSpec, ModelSet, kind_of
from errors import DeepFinanceError
from forecast_cache import ForecastCache
from gateway.answers import Answer, computed
from gateway.backend import Catalogue
from gateway.reports import (
    HealthChecks,
    HealthFacts,
    MemberReport,
    ModelsReport,
    RunnerCheck,
    SourceCheck,
    SymbolDetail,
)
from gateway.scoreboard import ScoreboardReport, scoreboard_report
from pipeline import Ports, forecast_many
from runners.coalesce import CoalescingRunner
from runners.probe import Probe, Prober

log = logging.getLogger("deepfinance.service")

PATIENCE_WITH_RUNNERS = 10.0
"""Seconds after start during which ready means that every model answers; later one is enough."""

CLOSES = kind_of(AssetClass.EQUITY, has_ranges=False)


class Forecaster:
    """Belongs to one event loop."""

    def __init__(
        self,
        ports: Ports,
        runners: Mapping[str, CoalescingRunner],
        model_set: ModelSet,
        cache: ForecastCache | None = None,
    ) -> None:
        self._ports = ports
        self._cache = cache
        self._runners = runners
        self._prober = Prober(runners)
        self._model_set = model_set
        self._catalogue = Catalogue(model_set.names)
        self._started_at = time.monotonic()
        self._warm = False

    def catalogue(self) -> Catalogue:
        return self._catalogue

    async def predict(self, requests: Sequence[ForecastRequest]) -> Sequence[Answer | DeepFinanceError]:
        if self._cache is None:
            return [computed(outcome) for outcome in await self.forecast(requests)]
        return await self._cache.answers(requests, self._model_set, self.forecast)

    async def forecast(self, requests: Sequence[ForecastRequest]) -> Sequence[Forecast | DeepFinanceError]:
        """One forecast or error per request, in order, computed now."""
        return await forecast_many(requests, ports=self._ports, model_set=self._model_set, now=datetime.now(UTC))

    async def health(self) -> HealthFacts:
        probes, sources = await asyncio.gather(self._prober.probes(), self._ports.market.health())
        return HealthFacts(
            checks=HealthChecks(
                runners=[_runner_check(probe) for probe in probes],
                sources=[
                    SourceCheck(name=it.name, state=it.state, latency_ms=it.latency_ms, detail=it.detail)
                    for it in sources
                ],
            ),
            models_version=self._model_set.version,
            uptime_seconds=time.monotonic() - self._started_at,
        )

    def models(self) -> ModelsReport:
        published = self._model_set
        return ModelsReport(
            models_version=published.version,
            feature_fingerprint=_part(published.manifest, "features")["fingerprint"],
            timeframes=list(self._catalogue.timeframes),
            horizons=list(published.grid.horizons),
            quantile_levels=list(published.grid.levels),
            members=[self._member_report(spec) for spec in published.members],
            scores=_part(published.manifest, "scores"),
        )

    def scoreboard(self) -> ScoreboardReport:
        return scoreboard_report(self._model_set.manifest)

    def symbols(self) -> Sequence[Instrument]:
        return [self._ports.market.instrument(symbol) for symbol in self._ports.market.symbols()]

    async def symbol(self, symbol: str) -> SymbolDetail:
        bars = await self._ports.market.bars(symbol, "1d")
        instrument = self._ports.market.instrument(symbol)
        newest = self._ports.calendar.last_completed_session(instrument.calendar, datetime.now(UTC))
        return SymbolDetail(
            symbol=symbol,
            name=instrument.name,
            exchange=instrument.exchange,
            currency=instrument.currency,
            calendar=instrument.calendar,
            asset_class=instrument.asset_class.value,
            provider=bars.provider,
            first_bar=_day(bars, 0),
            last_bar=_day(bars, -1),
            bars=len(bars),
            stale=_day(bars, -1) < newest,
        )

    async def warm_up(self) -> None:
        """Forecast something for real, again and again until it works; then ``is_ready`` may say yes."""
        for attempt in count():
            if await self._try_out():
                break
            await asyncio.sleep(min(0.1 * 1.5**attempt, 2.0))
        self._warm = True
        log.info("ready after %.1f s", time.monotonic() - self._started_at)

    async def is_ready(self) -> bool:
        """Whether requests can be answered now; takes a second at most, however many runners are away."""
        return self._warm and any(probe.ok for probe in await self._prober.probes())

    async def close(self) -> None:
        if self._cache is not None:
            await self._cache.close()
        await asyncio.gather(self._ports.market.close(), *(runner.close() for runner in self._runners.values()))

    async def _try_out(self) -> bool:
        try:
            return await self._forecast_works()
        except Exception:  # whatever it is may pass, and a silent end of this task would mean never ready
            log.exception("the forecast at the start failed")
            return False

    async def _forecast_works(self) -> bool:
        probes = await self._prober.probes()
        patient = time.monotonic() - self._started_at < PATIENCE_WITH_RUNNERS
        if not (all if patient else any)(probe.ok for probe in probes):
            return False
        symbols = self._ports.market.symbols()
        if not symbols:
            return True
        (outcome,) = await self.forecast([ForecastRequest(symbols[0])])
        return isinstance(outcome, Forecast)

    def _member_report(self, spec: MemberSpec) -> MemberReport:
        published = self._model_set
        at = published.names.index(spec.name)
        weights = {kind: each.weights[at].tolist() for kind, each in published.calibration.items()}
        return MemberReport(
            name=spec.name,
            version=spec.version,
            kind=spec.kind,
            sha256=spec.sha256.removeprefix("sha256:"),
            weights=weights[CLOSES],
            weights_by_kind=weights,
            training_window=_part(published.manifest, "windows").get("training"),
            scores=_part(_part(published.manifest, "scores"), spec.name),
        )


def _runner_check(probe: Probe) -> RunnerCheck:
    return RunnerCheck(
        name=probe.name,
        state="ok" if probe.ok else "failing",
        version=probe.version,
        latency_ms=None if probe.latency is None else probe.latency * 1000,
        detail=probe.problem,
    )


def _part(manifest: Mapping[str, Any], name: str) -> Any:
    return manifest.get(name) or {}


def _day(bars: Bars, index: int) -> date:
    day: date = bars.times[index].astype("datetime64[D]").item()
    return day
