"""Every route once: its arguments, what is sent, and as what the answer is read. Both clients have these as methods."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from deepfinance_client.calls import Call, Covariance, Frequency, Timeframe, said
from deepfinance_client.responses import (
    BatchResponse,
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

# forecasts


def predict(
    symbol: str,
    *,
    horizon: int | None = None,
    timeframe: Timeframe | None = None,
    models: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    confidence_level: float | None = None,
    explain: bool | None = None,
) -> Call[PredictResponse]:
    """Forecast one symbol. ``horizon`` is in bars, ``confidence_level`` a fraction; returns are fractions."""
    body = said(
        symbol=symbol,
        horizon=horizon,
        timeframe=timeframe,
        models=models,
        weights=weights,
        confidence_level=confidence_level,
        explain=explain,
    )
    return Call("POST", "/predict", PredictResponse, body)


def stream(
    symbol: str,
    *,
    horizon: int | None = None,
    timeframe: Timeframe | None = None,
    models: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    confidence_level: float | None = None,
    explain: bool | None = None,
) -> Call[PredictResponse]:
    """Each model's own answer as soon as it is there, then the forecast. Asked once, not again."""
    asked = predict(
        symbol,
        horizon=horizon,
        timeframe=timeframe,
        models=models,
        weights=weights,
        confidence_level=confidence_level,
        explain=explain,
    )
    return replace(asked, path="/predict/stream")


def predict_batch(requests: Sequence[Mapping[str, Any]]) -> Call[BatchResponse]:
    """Up to 500 requests in one call. Each gets its forecast or its own error."""
    return Call("POST", "/predict/batch", BatchResponse, {"requests": list(requests)})


def history(
    symbol: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
    horizon: int | None = None,
    settled: bool | None = None,
    from_: datetime.date | None = None,
    to: datetime.date | None = None,
) -> Call[HistoryReport]:
    """One page of the stored forecasts and outcomes, newest first. ``from_``, ``to``: bounds of ``as_of``."""
    query = said(limit=limit, cursor=cursor, horizon=horizon, settled=settled, to=to) | said(**{"from": from_})
    dates = {name: value.isoformat() for name, value in query.items() if isinstance(value, datetime.date)}
    return Call("GET", f"/predict/{quote(symbol, safe='')}/history", HistoryReport, query={**query, **dates})


# risk


def risk(
    symbol: str,
    *,
    period_days: int | None = None,
    confidence_levels: Sequence[float] | None = None,
    horizon: int | None = None,
    include_benchmark: bool | None = None,
    benchmark: str | None = None,
    risk_free_rate: float | None = None,
) -> Call[RiskResponse]:
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
    return Call("POST", "/risk", RiskResponse, body)


def risk_returns(
    returns: Iterable[float],
    *,
    benchmark_returns: Iterable[float] | None = None,
    frequency: Frequency | None = None,
    periods_per_year: float | None = None,
    confidence_levels: Sequence[float] | None = None,
    horizon: int | None = None,
    risk_free_rate: float | None = None,
) -> Call[ReturnsResponse]:
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
    return Call("POST", "/risk/returns", ReturnsResponse, body)


def portfolio(
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
) -> Call[PortfolioResponse]:
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
    return Call("POST", "/risk/portfolio", PortfolioResponse, body)


# options


def option_price(contract: Mapping[str, Any]) -> Call[OptionPrice]:
    """Price and Greeks of one contract: ``type``, ``style``, ``spot``, ``strike``, ``rate``, ``dividend_yield``,
    ``volatility`` (continuous, a year) and ``time_to_expiry`` (years).
    """
    return Call("POST", "/options/price", OptionPrice, contract)


def option_prices(contracts: Sequence[Mapping[str, Any]]) -> Call[OptionChainResponse]:
    """A chain of contracts. Each gets its price or its own error, in order."""
    return Call("POST", "/options/price", OptionChainResponse, {"contracts": list(contracts)})


def implied_volatility(contract: Mapping[str, Any]) -> Call[ImpliedVolatilityAnswer]:
    """The volatility of one contract that has ``price`` in place of ``volatility``."""
    return Call("POST", "/options/implied-volatility", ImpliedVolatilityAnswer, contract)


def implied_volatilities(contracts: Sequence[Mapping[str, Any]]) -> Call[ImpliedVolatilityChainResponse]:
    """Those of a chain. Each contract gets its volatility or its own error, in order."""
    body = {"contracts": list(contracts)}
    return Call("POST", "/options/implied-volatility", ImpliedVolatilityChainResponse, body)


# what there is


def models() -> Call[ModelsReport]:
    """The published models, with their weights and how they scored."""
    return Call("GET", "/models", ModelsReport)


def scoreboard() -> Call[ScoreboardReport]:
    """What the published set scored out of sample, by kind of asset, model and horizon."""
    return Call("GET", "/scoreboard", ScoreboardReport)


def live_scoreboard(
    *,
    symbol: str | None = None,
    horizon: int | None = None,
    model: str | None = None,
    models_version: str | None = None,
) -> Call[LiveScoreboard]:
    """What the forecasts that this service gave have scored since."""
    query = said(symbol=symbol, horizon=horizon, model=model, models_version=models_version)
    return Call("GET", "/scoreboard/live", LiveScoreboard, query=query)


def symbols(q: str | None = None, *, limit: int | None = None, cursor: str | None = None) -> Call[SymbolPage]:
    """One page of the symbols whose symbol or name has ``q`` in it."""
    return Call("GET", "/symbols", SymbolPage, query=said(q=q, limit=limit, cursor=cursor))


def symbol(symbol: str) -> Call[SymbolDetail]:
    """One symbol: exchange, currency, calendar, and the state of its bars."""
    return Call("GET", f"/symbols/{quote(symbol, safe='')}", SymbolDetail)


def health() -> Call[HealthReport]:
    """Whether forecasts can be made, and what stands in the way; also where the answer is that none can."""
    return Call("GET", "/health", HealthReport, may_be=frozenset({503}))
