"""What the service does, free of the framework that serves it: ``gateway.backend.Backend`` over the pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from condition import health_checks, models_status
from contracts import (
    Bars,
    Forecast,
    ForecastRequest,
    HealthProbe,
    Instrument,
    ModelSet,
    Timeframe,
)
from errors import DeepFinanceError, HistoryUnavailable, Unavailable, UnknownSymbol
from forecast_cache import ForecastCache
from garbage import spare_what_stays
from gateway.answers import Answer, computed, member_events
from gateway.backend import Catalogue, SeriesState
from gateway.broadcast import Broadcaster
from gateway.measurements import ForecastMetrics
from gateway.model_reports import models_report
from gateway.operations_reports import (
    ModelsStatusReport,
    ReloadReport,
    WarmupReport,
)
from gateway.option_routes import OptionDesk
from gateway.portfolio_routes import PortfolioBackend
from gateway.reports import (
    HealthFacts,
    ModelsReport,
    SymbolDetail,
)
from gateway.risk_schemas import RiskBackend
from gateway.scoreboard import ScoreboardReport, scoreboard_report
from gathering import Gathering
from offload import Offload
from pipeline import Outcome, Ports, Series, Told, forecast_many
from records import History, HistoryPage, HistoryQuery, LiveScores, ScoreQuery
from runners.coalesce import CoalescingRunner
from runners.layout import USUAL, Layout
from runners.lifeline import Lifelines
from serving import Keeper, Serving, Sets
from warming import WarmUp, try_forecast

log = logging.getLogger("deepfinance.service")

TOLD_EVERY = 0.5
"""Seconds between two looks at whether requests can be answered, for the metric."""


@dataclass(frozen=True, slots=True)
class Desks:
    """Who does what is not a forecast, and the process that they share for what is heavy."""

    options: OptionDesk
    risk: RiskBackend
    portfolio: PortfolioBackend
    offload: Offload


class Shared(Protocol):
    """What several parts use and none of them owns."""

    async def close(self) -> None: ...


class Forecaster:
    """Belongs to one event loop. ``probes`` are keyed by ``cache`` and ``database``; ``processes`` says which members
    each runner process serves; ``latest`` is the price last paid, where a source says it; ``shared`` is let go of
    last."""

    def __init__(
        self,
        ports: Ports,
        runners: Mapping[str, CoalescingRunner],
        model_set: ModelSet,
        cache: ForecastCache | None = None,
        history: History | None = None,
        *,
        probes: Mapping[str, HealthProbe] | None = None,
        sets: Sets | None = None,
        processes: Mapping[str, Sequence[str]] | None = None,
        metrics: ForecastMetrics | None = None,
        layout: Layout = USUAL,
        latest: Callable[[str, Timeframe], float | None] = lambda symbol, timeframe: None,
        gathers: type[Gathering] = Gathering,
        shared: Shared | None = None,
    ) -> None:
        self._keeper = Keeper(Serving.of(ports, runners, model_set, gathers), sets, try_forecast)
        self._history = history
        self._cache = cache
        self._probes = probes or {}
        self._metrics = metrics
        self._latest = latest
        self._processes = processes or {}
        self._layout = layout
        self._shared = shared
        self._warming = WarmUp(lambda: self._serving)
        self._jobs: list[asyncio.Task[None]] = []
        self._desks: Desks | None = None
        self.broadcaster = Broadcaster(self)
        if metrics is not None:
            metrics.serves(model_set.version)
            self._keeper.on_change(metrics.serves)

    def open(self, desks: Desks) -> None:
        """The desks may ask for forecasts, so they come after the forecaster."""
        self._desks = desks

    @property
    def options(self) -> OptionDesk:
        return self._opened().options

    @property
    def risk(self) -> RiskBackend:
        return self._opened().risk

    @property
    def portfolio(self) -> PortfolioBackend:
        return self._opened().portfolio

    @property
    def answering(self) -> tuple[Ports, ModelSet]:
        """Who answers now."""
        return self._ports, self._model_set

    def _opened(self) -> Desks:
        if self._desks is None:
            raise Unavailable("this service computes forecasts alone")
        return self._desks

    @property
    def _serving(self) -> Serving:
        return self._keeper.now

    @property
    def _ports(self) -> Ports:
        return self._serving.ports

    @property
    def _model_set(self) -> ModelSet:
        return self._serving.model_set

    def catalogue(self) -> Catalogue:
        return self._serving.catalogue

    async def predict(self, requests: Sequence[ForecastRequest]) -> Sequence[Answer | DeepFinanceError]:
        serving = self._serving
        compute = partial(self._forecast_with, serving)
        if self._cache is None:
            return [computed(outcome) for outcome in await compute(requests, {})]
        return await self._cache.answers(requests, serving.model_set, compute)

    async def predict_watched(self, request: ForecastRequest, told: Told) -> Answer:
        serving = self._serving
        computes = False

        async def compute(requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Sequence[Outcome]:
            nonlocal computes
            computes = True
            return self._noted([await serving.watched(request, told)])

        if self._cache is None:
            answer = computed((await compute([request], {}))[0])
        else:
            (answer,) = await self._cache.answers([request], serving.model_set, compute)
        if isinstance(answer, DeepFinanceError):
            raise answer
        if not computes:
            for event in member_events(answer):
                told(event)
        return answer

    async def series_state(self, symbol: str, timeframe: Timeframe) -> SeriesState:
        bars = await self._ports.market.bars(symbol, timeframe)
        return SeriesState(bars.fingerprint, self._model_set.version, self._latest(symbol, timeframe))

    async def forecast(self, requests: Sequence[ForecastRequest]) -> Sequence[Outcome]:
        """One forecast or error per request, in order, computed now and kept in the history."""
        return await self._forecast_with(self._serving, requests, {})

    async def forecast_aside(self, requests: Sequence[ForecastRequest]) -> Sequence[Forecast | DeepFinanceError]:
        """The same for whoever works something else out of it: neither counted nor kept."""
        serving, now = self._serving, datetime.now(UTC)
        return await forecast_many(requests, ports=serving.ports, model_set=serving.model_set, now=now)

    async def _forecast_with(
        self, serving: Serving, requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]
    ) -> Sequence[Outcome]:
        return self._noted(await serving.gathering.forecast(requests, bars))

    def _noted(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Count what was computed, and keep it in the history."""
        now = datetime.now(UTC)
        if self._metrics is not None:
            self._metrics.count(outcomes)
        for outcome in outcomes:
            if self._history is not None and isinstance(outcome, Forecast):
                self._history.record(outcome, now)
        return outcomes

    async def health(self) -> HealthFacts:
        return HealthFacts(
            checks=await health_checks(self._serving, self._probes),
            models_version=self._model_set.version,
            uptime_seconds=self._warming.uptime,
        )

    def models(self) -> ModelsReport:
        return models_report(self._model_set, self.catalogue().timeframes)

    def models_status(self) -> ModelsStatusReport:
        return models_status(self._serving, self._layout)

    def warmup(self) -> WarmupReport:
        return self._warming.report()

    async def reload(self) -> ReloadReport:
        done = await self._keeper.reload()
        return ReloadReport(
            status=done.status,
            models_version=done.version,
            previous_version=done.previous,
            seconds=done.seconds,
        )

    def on_reloaded(self, callback: Callable[[str], None]) -> None:
        """Call back with the version whenever another model set has taken its place."""
        self._keeper.on_change(callback)

    def scoreboard(self) -> ScoreboardReport:
        return scoreboard_report(self._model_set.manifest)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        page = await self._kept_history().page(query)
        if not page.entries and query.after is None:
            await self._require_known(query.symbol)
        return page

    async def live_scores(self, query: ScoreQuery) -> LiveScores:
        version = query.models_version or self._model_set.version
        return LiveScores(version, await self._kept_history().scores(replace(query, models_version=version)))

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
            first_bar=bars.day(0),
            last_bar=bars.last_day,
            bars=len(bars),
            stale=bars.last_day < newest or bars.is_last_good,
        )

    async def warm_up(self) -> None:
        """Begin to keep forecasts, and wait until they work; then ``is_ready`` may say yes."""
        if self._history is not None:
            await self._history.start()
        await self._warming.run()

    async def is_ready(self) -> bool:
        """Whether requests can be answered now; takes a second at most, however many runners are away."""
        return self._warming.is_over and any(probe.ok for probe in await self._serving.prober.probes())

    def start(self) -> None:
        """Begin what goes on beside the requests: warm up, watch the runners, follow other workers' reloads."""
        lifelines = Lifelines(self._processes, lambda process: self._keeper.lost(self._processes[process]))
        jobs = (self._begin(), lifelines.watch(), self._keeper.follow(), self._tell_whether_ready())
        self._jobs = [asyncio.get_running_loop().create_task(job) for job in jobs]

    async def _tell_whether_ready(self) -> None:
        """Keep the metric true, whether or not anybody asks /readyz."""
        while self._metrics is not None:
            away = all(runner.is_away for runner in self._serving.runners.values())
            self._metrics.ready(self._warming.is_over and not away)
            await asyncio.sleep(TOLD_EVERY)

    async def _begin(self) -> None:
        await self.warm_up()
        spare_what_stays()
        self._keeper.on_left(spare_what_stays)

    async def close(self) -> None:
        for job in self._jobs:
            job.cancel()
        try:
            await self._close_parts()
        finally:  # whatever happened to them, what was forecast is written
            if self._history is not None:
                await self._history.close()
            if self._shared is not None:
                await self._shared.close()

    async def _close_parts(self) -> None:
        await self.broadcaster.close()
        if self._metrics is not None:
            self._metrics.ready(False)
        if self._cache is not None:
            await self._cache.close()
        await asyncio.gather(self._ports.market.close(), self._keeper.close())
        if self._desks is not None:
            await self._desks.offload.close()

    def _kept_history(self) -> History:
        if self._history is None:
            raise HistoryUnavailable("this service keeps no history")
        return self._history

    async def _require_known(self, symbol: str) -> None:
        """Raises UnknownSymbol where every source answers that it knows no such thing."""
        try:
            await self._ports.market.bars(symbol, "1d")
        except UnknownSymbol:
            raise
        except DeepFinanceError as error:
            log.debug("cannot tell whether %s is known: %s", symbol, error.message)
