"""A backend that needs no model and no data: its forecast says back what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from contracts import (
    AssetClass,
    BarIssue,
    ConfidenceBreakdown,
    DataReport,
    Evidence,
    Forecast,
    ForecastRequest,
    Instrument,
    MemberAnswer,
    MemberEvent,
    PathStep,
    Timeframe,
)
from errors import DeepFinanceError, ErrorDetail, UnknownSymbol
from gateway.answers import Answer, answer_of
from gateway.backend import Catalogue, SeriesState
from gateway.examples import SCOREBOARD
from gateway.operations_examples import MODELS_STATUS, RELOAD, WARMUP
from gateway.operations_reports import ModelsStatusReport, ReloadReport, WarmupReport
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
from records import HistoryEntry, HistoryPage, HistoryQuery, LiveScore, LiveScores, Position, ScoreQuery

MODELS = ("xgboost", "lstm", "transformer")
SYMBOLS = ("AAPL", "MSFT", "BTC-USD", "^GSPC", "JPM")
LAST_BAR = date(2022, 12, 28)


def forecast_for(request: ForecastRequest) -> Forecast:
    """A forecast from 100, with an interval as wide as the horizon is long."""
    chosen = request.models or MODELS
    weights = request.weights or {name: 1 / len(chosen) for name in chosen}
    horizon = request.horizon
    return Forecast(
        forecast_id=f"fc_{request.symbol}_{horizon}",
        symbol=request.symbol,
        timeframe=request.timeframe,
        as_of=LAST_BAR,
        current_price=100.0,
        currency="USD",
        horizon=horizon,
        target_date=LAST_BAR + timedelta(days=horizon),
        price_target=100.25,
        expected_return=0.0025,
        direction="neutral",
        probability_up=0.51,
        confidence=0.51,
        confidence_level=request.confidence_level,
        lower=100.25 - horizon / 2,
        upper=100.25 + horizon / 2,
        quantiles={"0.05": 98.0, "0.5": 100.25, "0.95": 102.5},
        path=tuple(_step(step) for step in range(1, horizon + 1)),
        members=tuple(MemberAnswer(name, "1", weights[name], 100.25, "ok") for name in chosen),
        confidence_breakdown=ConfidenceBreakdown(0.8, None, 1.0, 0.7),
        evidence=Evidence(0.902, 4231, 0.02, 0.003, True, (date(2019, 1, 2), LAST_BAR), "equities, all members"),
        data=DataReport("bundled", LAST_BAR, True, 8313, "sha256:00", (BarIssue("2020-03-09", "high below low"),)),
        models_version="1",
        degraded=(),
        notes=("a remark",),
    )


def _step(step: int) -> PathStep:
    return PathStep(step, LAST_BAR + timedelta(days=step), 100.0 + step / 20, 100 - step / 2, 100 + step / 2)


HEALTHY = HealthFacts(
    checks=HealthChecks(
        runners=[RunnerCheck(name=name, state="ok", version="1", latency_ms=1.2) for name in MODELS],
        sources=[SourceCheck(name="bundled", state="ok", latency_ms=0.1)],
    ),
    models_version="1",
    uptime_seconds=12.5,
)


def health_with(runner: str = "ok", source: str = "ok") -> HealthFacts:
    """Facts in which every runner and every source is in the given state."""
    runners = [{**check.model_dump(), "state": runner} for check in HEALTHY.checks.runners]
    sources = [{**check.model_dump(), "state": source} for check in HEALTHY.checks.sources]
    checks = HealthChecks.model_validate({"runners": runners, "sources": sources})
    return HEALTHY.model_copy(update={"checks": checks})


MANIFEST = {
    "models_version": "1",
    "windows": SCOREBOARD["windows"],
    "evidence": {"equity": {"scope": "equity: AAPL", "window": ["2019-01-02", "2022-12-27"]}},
    "scores": {"equity": [{"horizon": 5, "n": 1001, "skill_vs_ewma": 0.014, "coverage_90": 0.906, "pit": [50] * 20}]},
}
"""The part of a manifest that the scoreboard is read from, with a number that it does not show."""


@dataclass
class FakeBackend:
    """``raises`` is thrown by ``predict`` if set; ``asked`` remembers what it was asked. Answers may be repeated for
    ``max_age`` seconds; it keeps none itself, unless ``keeps`` is set."""

    raises: BaseException | None = None
    facts: HealthFacts = HEALTHY
    asked: list[ForecastRequest] = field(default_factory=list)
    alter: Callable[[Forecast], Forecast] = replace
    entries: Sequence[HistoryEntry] | DeepFinanceError = ()
    scores: Sequence[LiveScore] = ()
    queries: list[HistoryQuery | ScoreQuery] = field(default_factory=list)
    options: Any = None
    risk: Any = None
    portfolio: Any = None
    max_age: float = 0.0
    keeps: bool = False

    def catalogue(self) -> Catalogue:
        return Catalogue(MODELS)

    async def predict(self, requests: Sequence[ForecastRequest]) -> Sequence[Answer | DeepFinanceError]:
        self.asked.extend(requests)
        if self.raises is not None:
            raise self.raises
        return [self._given(self._answer(request)) for request in requests]

    def _given(self, outcome: Forecast | DeepFinanceError) -> Answer | DeepFinanceError:
        if isinstance(outcome, DeepFinanceError):
            return outcome
        answer = answer_of(outcome, self.max_age)
        return answer.again(self.max_age) if self.keeps else answer

    def _answer(self, request: ForecastRequest) -> Forecast | DeepFinanceError:
        if request.symbol not in SYMBOLS:
            detail = ErrorDetail("symbol", f"{request.symbol} is not known to any data source")
            return UnknownSymbol("there is no such symbol", [detail])
        return self.alter(forecast_for(request))

    async def health(self) -> HealthFacts:
        return self.facts

    async def predict_watched(self, request: ForecastRequest, told: Callable[[MemberEvent], None]) -> Answer:
        for name in request.models or MODELS:
            told(MemberEvent(name, "1", "ok", 100.25))
        (answer,) = await self.predict([request])
        if isinstance(answer, DeepFinanceError):
            raise answer
        return answer

    async def series_state(self, symbol: str, timeframe: Timeframe) -> SeriesState:
        return SeriesState("sha256:00", "1")

    def warmup(self) -> WarmupReport:
        return WarmupReport.model_validate(WARMUP)

    def models_status(self) -> ModelsStatusReport:
        return ModelsStatusReport.model_validate(MODELS_STATUS)

    async def reload(self) -> ReloadReport:
        if self.raises is not None:
            raise self.raises
        return ReloadReport.model_validate(RELOAD)

    def models(self) -> ModelsReport:
        return ModelsReport(
            models_version="1",
            feature_fingerprint="sha256:00",
            timeframes=["1d"],
            horizons=[1, 5, 20, 90],
            quantile_levels=[0.05, 0.5, 0.95],
            members=[
                MemberReport(
                    name=name,
                    version="1",
                    kind="onnx",
                    sha256="00",
                    weights=[1 / 3] * 4,
                    training_window=(date(1990, 1, 2), date(2015, 12, 31)),
                    scores={"pinball": 0.1},
                )
                for name in MODELS
            ],
            scores={"pinball": 0.09},
        )

    def scoreboard(self) -> ScoreboardReport:
        return scoreboard_report(MANIFEST)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """As many forecasts as ``entries`` holds, two of them a page whatever is asked for."""
        self.queries.append(query)
        if isinstance(self.entries, DeepFinanceError):
            raise self.entries
        begin = 0 if query.after is None else int(query.after.forecast_id)
        page = self.entries[begin : begin + 2]
        more = begin + 2 < len(self.entries)
        return HistoryPage(tuple(page), Position(page[-1].record.made_at, str(begin + 2)) if more else None)

    async def live_scores(self, query: ScoreQuery) -> LiveScores:
        self.queries.append(query)
        if isinstance(self.entries, DeepFinanceError):
            raise self.entries
        return LiveScores(query.models_version or "1", self.scores)

    def symbols(self) -> Sequence[Instrument]:
        return [Instrument(symbol, AssetClass.EQUITY, "XNYS", "USD", None, None) for symbol in SYMBOLS]

    async def symbol(self, symbol: str) -> SymbolDetail:
        if symbol not in SYMBOLS:
            raise UnknownSymbol("there is no such symbol")
        return SymbolDetail(
            symbol=symbol,
            name=None,
            exchange=None,
            currency="USD",
            calendar="XNYS",
            asset_class="equity",
            provider="bundled",
            first_bar=date(1990, 1, 2),
            last_bar=LAST_BAR,
            bars=8313,
            stale=True,
        )
