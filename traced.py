"""The parts of the gateway with traces around what they do. Imported only where TRACES=otlp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span

from contracts import Bars, FeatureMatrix, Forecast, ForecastRequest, MarketData, Timeframe
from gathering import Gathering, Work
from inputs import InputMemory
from pipeline import Outcome, Series
from records import History
from tracing import shared_step, step


class TracedMarket:
    """Market data; all but ``bars`` as it was."""

    def __init__(self, market: MarketData) -> None:
        self._market = market

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        with step("market data", symbol=symbol, timeframe=timeframe) as span:
            bars = await self._market.bars(symbol, timeframe)
            span.set_attributes({"provider": bars.provider, "bars": len(bars), "skipped": bars.skipped})
            return bars


class TracedHistory:
    """A history; all but ``record`` as it was. Forecasts are written behind the requests' backs, many at a time, so
    that a request only tells that its own was handed over."""

    def __init__(self, history: History) -> None:
        self._history = history

    def __getattr__(self, name: str) -> Any:
        return getattr(self._history, name)

    def record(self, forecast: Forecast, made_at: datetime) -> None:
        self._history.record(forecast, made_at)
        trace.get_current_span().add_event("handed to the history", {"forecast_id": forecast.forecast_id})


class TracedInputs(InputMemory):
    def of(self, series: Sequence[Bars]) -> FeatureMatrix:
        with step("features", rows=len(series)):
            return super().of(series)


class TracedGathering(Gathering):
    """Each pass is a span, linked with every request that it answers."""

    def __init__(self, work: Work, market: MarketData) -> None:
        self._askers: dict[int, Span] = {}

        async def traced(requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Sequence[Outcome]:
            askers = [self._askers[id(each)] for each in requests if id(each) in self._askers]
            with shared_step("forecast", askers, rows=len(requests)):
                return await work(requests, bars)

        super().__init__(traced, market)

    async def forecast(
        self, requests: Sequence[ForecastRequest], known: Mapping[Series, Bars] | None = None
    ) -> Sequence[Outcome]:
        here = trace.get_current_span()
        self._askers |= {id(each): here for each in requests}
        try:
            return await super().forecast(requests, known)
        finally:
            for each in requests:
                self._askers.pop(id(each), None)


def looked(cache: str, count: Callable[[str], None]) -> Callable[[str], None]:
    """``count``, which is told how a look into ``cache`` went, and a word of it in the trace."""

    def told(result: str) -> None:
        count(result)
        trace.get_current_span().add_event("cache lookup", {"cache": cache, "result": result})

    return told
