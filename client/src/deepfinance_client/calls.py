"""Every route once: what is sent, and as what the answer is read. Both clients send these.

An argument that is None is not sent, so the service's own default holds.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from deepfinance_client.body import Body
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

MAX_BATCH = 500
"""Most requests in one batch."""

Answer = TypeVar("Answer", bound=Body)
Timeframe = Literal["1d", "1h"]
Frequency = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
Covariance = Literal["sample", "ledoit_wolf"]


class Request(TypedDict, total=False):
    """One forecast to ask for. Only ``symbol`` is needed."""

    symbol: str
    horizon: int
    timeframe: Timeframe
    models: Sequence[str]
    weights: Mapping[str, float]
    confidence_level: float
    explain: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and what its answer is."""

    method: Literal["GET", "POST"]
    path: str
    answer: type[Answer]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    may_be: frozenset[int] = frozenset()
    """Statuses above 399 that carry the answer all the same."""


def said(**arguments: Any) -> dict[str, Any]:
    """Those arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def request_of(asked: str | Request | Mapping[str, Any]) -> dict[str, Any]:
    """A symbol alone, or a request as it stands."""
    return {"symbol": asked} if isinstance(asked, str) else dict(asked)


def predict(request: Mapping[str, Any]) -> Call[PredictResponse]:
    return Call("POST", "/predict", PredictResponse, request)


def predict_batch(requests: Sequence[Mapping[str, Any]]) -> Call[BatchResponse]:
    return Call("POST", "/predict/batch", BatchResponse, {"requests": list(requests)})


def history(symbol: str, query: Mapping[str, Any]) -> Call[HistoryReport]:
    dates = {name: value.isoformat() for name, value in query.items() if isinstance(value, datetime.date)}
    return Call("GET", f"/predict/{quote(symbol, safe='')}/history", HistoryReport, query={**query, **dates})


def risk(body: Mapping[str, Any]) -> Call[RiskResponse]:
    return Call("POST", "/risk", RiskResponse, body)


def risk_returns(body: Mapping[str, Any]) -> Call[ReturnsResponse]:
    return Call("POST", "/risk/returns", ReturnsResponse, body)


def portfolio(body: Mapping[str, Any]) -> Call[PortfolioResponse]:
    return Call("POST", "/risk/portfolio", PortfolioResponse, body)


def option_price(contract: Mapping[str, Any]) -> Call[OptionPrice]:
    return Call("POST", "/options/price", OptionPrice, contract)


def option_prices(contracts: Sequence[Mapping[str, Any]]) -> Call[OptionChainResponse]:
    return Call("POST", "/options/price", OptionChainResponse, {"contracts": list(contracts)})


def implied_volatility(quote: Mapping[str, Any]) -> Call[ImpliedVolatilityAnswer]:
    return Call("POST", "/options/implied-volatility", ImpliedVolatilityAnswer, quote)


def implied_volatilities(quotes: Sequence[Mapping[str, Any]]) -> Call[ImpliedVolatilityChainResponse]:
    body = {"contracts": list(quotes)}
    return Call("POST", "/options/implied-volatility", ImpliedVolatilityChainResponse, body)


def models() -> Call[ModelsReport]:
    return Call("GET", "/models", ModelsReport)


def scoreboard() -> Call[ScoreboardReport]:
    return Call("GET", "/scoreboard", ScoreboardReport)


def live_scoreboard(query: Mapping[str, Any]) -> Call[LiveScoreboard]:
    return Call("GET", "/scoreboard/live", LiveScoreboard, query=query)


def symbols(query: Mapping[str, Any]) -> Call[SymbolPage]:
    return Call("GET", "/symbols", SymbolPage, query=query)


def symbol(name: str) -> Call[SymbolDetail]:
    return Call("GET", f"/symbols/{quote(name, safe='')}", SymbolDetail)


def health() -> Call[HealthReport]:
    return Call("GET", "/health", HealthReport, may_be=frozenset({503}))
