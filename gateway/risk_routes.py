"""The risk routes, mounted at /api/v1: one asset, returns that are sent, and the one-page report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Query
from fastapi.responses import Response
from pydantic import Field

from gateway import risk_examples
from gateway.responses import json_response
from gateway.risk_page import POLICY
from gateway.risk_schemas import (
    MAX_HORIZON,
    MAX_PERIOD,
    PictureKind,
    ReturnsRequest,
    ReturnsResponse,
    RiskBackend,
    RiskRequest,
    RiskResponse,
)
from gateway.schemas import ErrorBody, Symbol

# A query is text, so unlike in a body a number in it is not strict.
_Level = Annotated[float, Field(gt=0.5, lt=1.0, allow_inf_nan=False)]

MEDIA_TYPES: dict[PictureKind, str] = {"html": "text/html", "pdf": "application/pdf", "png": "image/png"}

_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorBody, "description": "No data source knows the symbol."},
    422: {"model": ErrorBody, "description": "A field is wrong, or the bars cannot carry a report."},
    503: {"model": ErrorBody, "description": "No data source can answer at the moment."},
    504: {"model": ErrorBody, "description": "No answer in time."},
}


def _asked(
    symbol: Annotated[Symbol, Path(description="Symbol of the asset.", examples=["AAPL"])],
    period_days: Annotated[
        int, Query(ge=2, le=MAX_PERIOD, description="The last trading days that are measured.")
    ] = 250,
    confidence_levels: Annotated[
        list[_Level] | None,
        Query(
            min_length=1, max_length=10, description="Levels of value at risk, between 0.5 and 1; repeat for several."
        ),
    ] = None,
    include_benchmark: Annotated[bool, Query(description="Whether to measure against a benchmark.")] = True,
    benchmark: Annotated[Symbol | None, Query(description="Symbol of the benchmark.", examples=["^GSPC"])] = None,
    risk_free_rate: Annotated[
        float, Query(gt=-1.0, le=10.0, allow_inf_nan=False, description="A year's, compound, a fraction.")
    ] = 0.0,
) -> RiskRequest:
    """The question in the address, checked as a body is."""
    return RiskRequest(
        symbol=symbol,
        period_days=period_days,
        confidence_levels=confidence_levels or [0.95, 0.99],
        include_benchmark=include_benchmark,
        benchmark=benchmark,
        risk_free_rate=risk_free_rate,
    )


def _asked_over(
    question: Annotated[RiskRequest, Depends(_asked)],
    horizon: Annotated[
        int, Query(ge=1, le=MAX_HORIZON, description="Trading days that value at risk reaches over.")
    ] = 1,
) -> RiskRequest:
    return question.model_copy(update={"horizon": horizon})


def add_risk(app: FastAPI, backend: Callable[[], RiskBackend]) -> None:
    """Add the routes. ``backend`` is called for every request: it does not exist yet at import."""

    @app.post(
        "/risk",
        summary="Risk of one asset",
        tags=["Risk"],
        response_model=RiskResponse,
        openapi_extra=_request(risk_examples.RISK_REQUEST),
        responses=_ERRORS | _answers(risk_examples.RISK_RESPONSE),
    )
    async def risk(body: RiskRequest) -> Response:
        """Measures against a benchmark, and value at risk by seven methods, each backtested on the days asked about."""
        return json_response(await backend().asset(body))

    @app.post(
        "/risk/returns",
        summary="Risk of returns that you send",
        tags=["Risk"],
        response_model=ReturnsResponse,
        openapi_extra=_request(risk_examples.RETURNS_REQUEST),
        responses=_without_symbol() | _answers(risk_examples.RETURNS_RESPONSE),
    )
    async def risk_returns(body: ReturnsRequest) -> Response:
        """The same measures on simple returns of your own, oldest first."""
        return json_response(await backend().returns(body))

    @app.get(
        "/risk/{symbol}",
        summary="Risk of one asset, by address",
        tags=["Risk"],
        response_model=RiskResponse,
        responses=_ERRORS | _answers(risk_examples.RISK_RESPONSE),
    )
    async def risk_of(question: Annotated[RiskRequest, Depends(_asked_over)]) -> Response:
        """The same as `POST /risk`."""
        return json_response(await backend().asset(question))

    @app.get(
        "/risk/{symbol}/report",
        summary="Risk report, one page",
        tags=["Risk"],
        response_class=Response,
        responses=_ERRORS | {200: {"description": "The page.", "content": {each: {} for each in MEDIA_TYPES.values()}}},
    )
    async def risk_report(
        question: Annotated[RiskRequest, Depends(_asked)],
        accept: Annotated[str, Header(description="`text/html`, `application/pdf` or `image/png`.")] = "*/*",
        format: Annotated[PictureKind | None, Query(description="The same, for links; goes before Accept.")] = None,
    ) -> Response:
        """Drawdown, volatility, distribution and exceedances, as HTML without scripts, PDF or PNG."""
        kind = format or preferred(accept)
        headers = {"Vary": "Accept"} | ({"Content-Security-Policy": POLICY} if kind == "html" else {})
        return Response(await backend().picture(question, kind), headers=headers, media_type=MEDIA_TYPES[kind])


def preferred(accept: str) -> PictureKind:
    """What an Accept header wants most; HTML where it does not care, or wants nothing that there is."""
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        wanted[name] = _quality(parameters)
    best = max(MEDIA_TYPES, key=lambda kind: wanted.get(MEDIA_TYPES[kind], 0.0))
    return best if wanted.get(MEDIA_TYPES[best], 0.0) > 0 else "html"


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _request(example: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"example": example}}}}


def _answers(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


def _without_symbol() -> dict[int | str, dict[str, Any]]:
    return {status: described for status, described in _ERRORS.items() if status != 404}
