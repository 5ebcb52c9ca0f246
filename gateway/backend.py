"""What the gateway asks of whoever does the work. The service implements it; tests have a small fake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts import ForecastRequest, Instrument, MemberEvent, Timeframe
from errors import DeepFinanceError
from gateway.answers import Answer
from gateway.operations_reports import ModelsStatusReport, ReloadReport, WarmupReport
from gateway.option_routes import OptionDesk
from gateway.portfolio_routes import PortfolioBackend
from gateway.reports import HealthFacts, ModelsReport, SymbolDetail
from gateway.risk_schemas import RiskBackend
from gateway.scoreboard import ScoreboardReport
from records import HistoryPage, HistoryQuery, LiveScores, ScoreQuery


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What can be asked for now: model names in published order, and the bar lengths with a published set."""

    models: tuple[str, ...]
    timeframes: tuple[Timeframe, ...] = ("1d",)


@dataclass(frozen=True, slots=True)
class SeriesState:
    """Differs once there is something new to tell of a series: ``bars`` is their fingerprint, ``models`` the version of
    the set, ``price`` what was last paid in the unit of the bars, None where the source does not say."""

    bars: str
    models: str
    price: float | None = None


class Backend(Protocol):
    """Every method may raise a DeepFinanceError; it becomes the answer with the status that it carries."""

    @property
    def options(self) -> OptionDesk:
        """What prices options."""
        ...

    @property
    def portfolio(self) -> PortfolioBackend:
        """What measures portfolios."""
        ...

    @property
    def risk(self) -> RiskBackend:
        """What measures risk."""
        ...

    def catalogue(self) -> Catalogue:
        """Called for every request: return something kept."""
        ...

    async def predict(self, requests: Sequence[ForecastRequest]) -> Sequence[Answer | DeepFinanceError]:
        """One answer, kept or computed, or error per request, in order. An error of one request is returned, not
        raised."""
        ...

    async def predict_watched(self, request: ForecastRequest, told: Callable[[MemberEvent], None]) -> Answer:
        """One answer, telling of each member as it comes in, of all of them at once where the forecast was kept.
        Raises the error."""
        ...

    async def series_state(self, symbol: str, timeframe: Timeframe) -> SeriesState:
        """How things stand for a series; asks memory, so it may be called every second."""
        ...

    async def health(self) -> HealthFacts:
        """The state of runners, sources and cache. Answers in a second or two: probes time out inside."""
        ...

    def warmup(self) -> WarmupReport:
        """How far the start has come."""
        ...

    def models_status(self) -> ModelsStatusReport:
        """How every member does."""
        ...

    async def reload(self) -> ReloadReport:
        """Serve the set that is published now. Raises ModelSetRefused, or RunnerUnavailable; then nothing changed."""
        ...

    def models(self) -> ModelsReport:
        """The loaded model set, from its manifest."""
        ...

    def scoreboard(self) -> ScoreboardReport:
        """What the loaded model set scored, from its manifest."""
        ...

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Stored forecasts of a symbol. Raises UnknownSymbol where there is none and no source knows it, and
        HistoryUnavailable."""
        ...

    async def live_scores(self, query: ScoreQuery) -> LiveScores:
        """What the forecasts made here scored. Raises HistoryUnavailable."""
        ...

    def symbols(self) -> Sequence[Instrument]:
        """Every symbol that can be listed, in any order; search and paging are done here in the gateway."""
        ...

    async def symbol(self, symbol: str) -> SymbolDetail:
        """One symbol with the state of its bars. Raises UnknownSymbol."""
        ...
