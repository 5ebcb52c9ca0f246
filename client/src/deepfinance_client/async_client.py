"""The asynchronous client: the same methods as the synchronous one."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Self

import httpx

from deepfinance_client import calls
from deepfinance_client.calls import (
    MAX_BATCH,
    Answer,
    Call,
    Covariance,
    Frequency,
    Request,
    Timeframe,
    request_of,
    said,
)
from deepfinance_client.connection import DEFAULT_URL, arguments_of, http_options, read
from deepfinance_client.errors import DeepFinanceError, broken, refusal_in
from deepfinance_client.events import Event, EventReader
from deepfinance_client.forecasts import BatchResult, Forecasts
from deepfinance_client.many import Bulk, Chunk, Requests, chunks_of
from deepfinance_client.responses import (
    HealthReport,
    HistoryReport,
    ImpliedVolatilityAnswer,
    ImpliedVolatilityChainResponse,
    LiveScoreboard,
    ModelsReport,
    OptionChainResponse,
    OptionPrice,
    PortfolioResponse,
    PredictResponse,
    ReturnsResponse,
    RiskResponse,
    ScoreboardReport,
    SymbolDetail,
    SymbolPage,
)
from deepfinance_client.retries import NEVER, USUAL, Retries


class AsyncClient:
    """A DeepFinance service. Tasks of one event loop may share it; connections are kept and used again.

        async with AsyncClient(key="...") as client:
            (await client.predict("AAPL", horizon=5)).interval

    ``timeout``: seconds for one answer. What may pass (no connection, 429, 502, 503, 504) is asked again as ``retries``
    says. Raises what is in ``errors``.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: Retries = USUAL,
        connections: int = 16,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(**http_options(url, key, timeout, connections), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # forecasts

    async def predict(
        self,
        symbol: str,
        *,
        horizon: int | None = None,
        timeframe: Timeframe | None = None,
        models: Sequence[str] | None = None,
        weights: Mapping[str, float] | None = None,
        confidence_level: float | None = None,
        explain: bool | None = None,
    ) -> PredictResponse:
        """Forecast one symbol. ``horizon`` is in bars, ``confidence_level`` a fraction; returns are fractions."""
        request = said(
            symbol=symbol,
            horizon=horizon,
            timeframe=timeframe,
            models=models,
            weights=weights,
            confidence_level=confidence_level,
            explain=explain,
        )
        return await self.send(calls.predict(request))

    async def predict_batch(self, requests: Iterable[str | Request | Mapping[str, Any]]) -> Forecasts:
        """Up to 500 symbols or requests in one call. Each gets its forecast or its own error."""
        asked = [request_of(it) for it in requests]
        return Forecasts(asked, (await self.send(calls.predict_batch(asked))).results)

    async def predict_many(
        self, requests: Iterable[str | Request | Mapping[str, Any]], *, parallel: int = 4, chunk: int = MAX_BATCH
    ) -> Forecasts:
        """Any number of symbols or requests, ``chunk`` to a call and up to ``parallel`` calls at a time, fewer where
        the service asks for it. Raises what ``predict_batch`` raises; what one item lacks is its own error.
        """
        asked = [request_of(it) for it in requests]
        found: dict[int, BatchResult] = {}

        async def keep(chunk: Chunk, results: Sequence[BatchResult]) -> None:
            found.update(enumerate(results, chunk.start))

        async def ask(requests: Requests) -> Sequence[BatchResult]:
            return (await self.send(calls.predict_batch(requests), retries=NEVER)).results

        await Bulk(ask, keep, self._retries, parallel).run(chunks_of(asked, chunk))
        return Forecasts(asked, [found[place] for place in range(len(asked))])

    def stream(
        self,
        symbol: str,
        *,
        horizon: int | None = None,
        timeframe: Timeframe | None = None,
        models: Sequence[str] | None = None,
        weights: Mapping[str, float] | None = None,
        confidence_level: float | None = None,
        explain: bool | None = None,
    ) -> AsyncIterator[Event]:
        """Each model's own answer as soon as it is there, then the forecast. Asked once, not again."""
        request = said(
            symbol=symbol,
            horizon=horizon,
            timeframe=timeframe,
            models=models,
            weights=weights,
            confidence_level=confidence_level,
            explain=explain,
        )
        return self._events(request)

    async def history(
        self,
        symbol: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        horizon: int | None = None,
        settled: bool | None = None,
        from_: datetime.date | None = None,
        to: datetime.date | None = None,
    ) -> HistoryReport:
        """One page of the stored forecasts and outcomes, newest first. ``from_``, ``to``: bounds of ``as_of``."""
        query = said(limit=limit, cursor=cursor, horizon=horizon, settled=settled, to=to) | said(**{"from": from_})
        return await self.send(calls.history(symbol, query))

    # risk

    async def risk(
        self,
        symbol: str,
        *,
        period_days: int | None = None,
        confidence_levels: Sequence[float] | None = None,
        horizon: int | None = None,
        include_benchmark: bool | None = None,
        benchmark: str | None = None,
        risk_free_rate: float | None = None,
    ) -> RiskResponse:
        """One asset against a benchmark. Losses are positive in value at risk; ``max_drawdown`` is negative."""
        body = said(
            symbol=symbol,
            period_days=period_days,
            confidence_levels=confidence_levels,
            horizon=horizon,
            include_benchmark=include_benchmark,
            benchmark=benchmark,
            risk_free_rate=risk_free_rate,
        )
        return await self.send(calls.risk(body))

    async def risk_returns(
        self,
        returns: Iterable[float],
        *,
        benchmark_returns: Iterable[float] | None = None,
        frequency: Frequency | None = None,
        periods_per_year: float | None = None,
        confidence_levels: Sequence[float] | None = None,
        horizon: int | None = None,
        risk_free_rate: float | None = None,
    ) -> ReturnsResponse:
        """The same measures of simple returns that you send, fractions, oldest first: a list, an array or a series."""
        body = said(
            returns=[float(it) for it in returns],
            benchmark_returns=None if benchmark_returns is None else [float(it) for it in benchmark_returns],
            frequency=frequency,
            periods_per_year=periods_per_year,
            confidence_levels=confidence_levels,
            horizon=horizon,
            risk_free_rate=risk_free_rate,
        )
        return await self.send(calls.risk_returns(body))

    async def portfolio(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        positions: Mapping[str, float] | None = None,
        period_days: int | None = None,
        confidence_levels: Sequence[float] | None = None,
        horizon: int | None = None,
        include_benchmark: bool | None = None,
        benchmark: str | None = None,
        risk_free_rate: float | None = None,
        covariance: Covariance | None = None,
        shocks: Mapping[str, float] | None = None,
        optimisation: Mapping[str, Any] | None = None,
    ) -> PortfolioResponse:
        """Several symbols together, by ``weights`` or by ``positions`` (units held); negative is short."""
        body = said(
            weights=weights,
            positions=positions,
            period_days=period_days,
            confidence_levels=confidence_levels,
            horizon=horizon,
            include_benchmark=include_benchmark,
            benchmark=benchmark,
            risk_free_rate=risk_free_rate,
            covariance=covariance,
            shocks=shocks,
            optimisation=optimisation,
        )
        return await self.send(calls.portfolio(body))

    # options

    async def option_price(self, contract: Mapping[str, Any]) -> OptionPrice:
        """Price and Greeks of one contract: ``type``, ``style``, ``spot``, ``strike``, ``rate``, ``dividend_yield``,
        ``volatility`` (continuous, a year) and ``time_to_expiry`` (years).
        """
        return await self.send(calls.option_price(contract))

    async def option_prices(self, contracts: Sequence[Mapping[str, Any]]) -> OptionChainResponse:
        """A chain of contracts. Each gets its price or its own error, in order."""
        return await self.send(calls.option_prices(contracts))

    async def implied_volatility(self, contract: Mapping[str, Any]) -> ImpliedVolatilityAnswer:
        """The volatility of one contract that has ``price`` in place of ``volatility``."""
        return await self.send(calls.implied_volatility(contract))

    async def implied_volatilities(self, contracts: Sequence[Mapping[str, Any]]) -> ImpliedVolatilityChainResponse:
        """Those of a chain. Each contract gets its volatility or its own error, in order."""
        return await self.send(calls.implied_volatilities(contracts))

    # what there is

    async def models(self) -> ModelsReport:
        """The published models, with their weights and how they scored."""
        return await self.send(calls.models())

    async def scoreboard(self) -> ScoreboardReport:
        """What the published set scored out of sample, by kind of asset, model and horizon."""
        return await self.send(calls.scoreboard())

    async def live_scoreboard(
        self,
        *,
        symbol: str | None = None,
        horizon: int | None = None,
        model: str | None = None,
        models_version: str | None = None,
    ) -> LiveScoreboard:
        """What the forecasts that this service gave have scored since."""
        query = said(symbol=symbol, horizon=horizon, model=model, models_version=models_version)
        return await self.send(calls.live_scoreboard(query))

    async def symbols(self, q: str | None = None, *, limit: int | None = None, cursor: str | None = None) -> SymbolPage:
        """One page of the symbols whose symbol or name has ``q`` in it."""
        return await self.send(calls.symbols(said(q=q, limit=limit, cursor=cursor)))

    async def symbol(self, symbol: str) -> SymbolDetail:
        """One symbol: exchange, currency, calendar, and the state of its bars."""
        return await self.send(calls.symbol(symbol))

    async def health(self) -> HealthReport:
        """Whether forecasts can be made, and what stands in the way; also where the answer is that none can."""
        return await self.send(calls.health())

    async def send(self, call: Call[Answer], retries: Retries | None = None) -> Answer:
        """Send any call, again where that may help. Raises DeepFinanceError."""
        retries = retries or self._retries
        for attempt in count(1):
            try:
                return await self._send(call)
            except DeepFinanceError as error:
                delay = retries.delay(attempt, error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _send(self, call: Call[Answer]) -> Answer:
        try:
            response = await self._http.request(**arguments_of(call))
        except httpx.TransportError as error:
            raise broken(error) from error
        return read(call, response)

    async def _events(self, request: Mapping[str, Any]) -> AsyncIterator[Event]:
        reader = EventReader()
        try:
            async with self._http.stream("POST", "/predict/stream", json=request) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refusal_in(response)
                async for line in response.aiter_lines():
                    if (event := reader.line(line)) is not None:
                        yield event
        except httpx.TransportError as error:
            raise broken(error) from error
        reader.finish()
