"""The portfolio route, mounted at /api/v1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.responses import Response

from gateway.portfolio_examples import REQUEST, RESPONSE
from gateway.portfolio_schemas import PortfolioRequest, PortfolioResponse
from gateway.responses import json_response
from gateway.schemas import ErrorBody

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": RESPONSE}}},
    404: {"model": ErrorBody, "description": "No data source knows one of the symbols."},
    422: {
        "model": ErrorBody,
        "description": "A field is wrong, the holdings do not fit together, or nothing is feasible.",
    },
    503: {"model": ErrorBody, "description": "No data source, or no optimiser, can answer at the moment."},
    504: {"model": ErrorBody, "description": "No answer in time."},
}


class PortfolioBackend(Protocol):
    """What measures portfolios."""

    async def portfolio(self, question: PortfolioRequest) -> dict[str, Any]:
        """Like PortfolioResponse. Raises a DeepFinanceError."""
        ...


def add_portfolio(app: FastAPI, desk: Callable[[], PortfolioBackend]) -> None:
    """Add the route. ``desk`` is called for every request: it does not exist yet at import."""

    @app.post(
        "/risk/portfolio",
        summary="Risk of a portfolio",
        tags=["Risk"],
        response_model=PortfolioResponse,
        openapi_extra={"requestBody": {"content": {"application/json": {"example": REQUEST}}}},
        responses=_RESPONSES,
    )
    async def risk_portfolio(question: PortfolioRequest) -> Response:
        """Volatility, value at risk and expected shortfall with what each holding adds, stress tests, and optimal
        weights with their out-of-sample figures beside equal weights."""
        return json_response(await desk().portfolio(question))
