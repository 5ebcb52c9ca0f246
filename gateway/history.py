"""The routes of the history: forecasts that were made, and how they came out."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from errors import ErrorDetail, InvalidRequest
from gateway import examples
from gateway.backend import Backend
from gateway.history_reports import HistoryReport, LiveScoreboard, live_scoreboard, stored_forecast
from gateway.schemas import MAX_HORIZON, ErrorBody, Symbol
from records import HistoryQuery, Position, ScoreQuery

_RESPONSES: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorBody, "description": "A field is wrong."},
    503: {"model": ErrorBody, "description": "The database of forecasts is away; forecasts are made all the same."},
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "There is no such symbol."}}
_HISTORY: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": examples.HISTORY}}}}
_SCORES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": examples.LIVE_SCOREBOARD}}}
}
_LONGEST_CURSOR = 200


def _spelt_out(value: object) -> object:
    """Left alone, pydantic takes a number for the seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a date such as 2024-03-15")
    return value


Day = Annotated[date, BeforeValidator(_spelt_out)]
Horizon = Annotated[int | None, Query(ge=1, le=MAX_HORIZON, description="Only forecasts so many bars ahead.")]


def add_history(app: FastAPI, backend: Callable[[], Backend]) -> None:
    """Both routes."""
    _add_forecasts(app, backend)
    _add_scores(app, backend)


def _add_forecasts(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get(
        "/predict/{symbol}/history",
        summary="Forecasts made before",
        tags=["Forecasts"],
        response_model=HistoryReport,
        responses=_HISTORY | _RESPONSES | _UNKNOWN,
    )
    async def history(
        symbol: Annotated[Symbol, Path(description="Symbol of the asset.", examples=["AAPL"])],
        limit: Annotated[int, Query(ge=1, le=200, description="Forecasts on a page.")] = 50,
        cursor: Annotated[str, Query(max_length=_LONGEST_CURSOR, description="`next_cursor` of the page before.")] = "",
        horizon: Horizon = None,
        settled: Annotated[bool | None, Query(description="Only those with an outcome, or without.")] = None,
        first: Annotated[Day | None, Query(alias="from", description="Earliest `as_of`.")] = None,
        last: Annotated[Day | None, Query(alias="to", description="Latest `as_of`.")] = None,
    ) -> Response:
        """Every forecast is stored once, within a second of being made, and settled once its target date is over."""
        after = _position(cursor) if cursor else None
        page = await backend().history(HistoryQuery(symbol, limit, horizon, settled, first, last, after))
        report = HistoryReport(
            symbol=symbol,
            forecasts=[stored_forecast(entry) for entry in page.entries],
            next_cursor=page.next and _cursor(page.next),
        )
        return Response(report.model_dump_json(), media_type="application/json")


def _add_scores(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get(
        "/scoreboard/live",
        summary="What the forecasts of this service scored",
        tags=["Models"],
        response_model=LiveScoreboard,
        responses=_SCORES | _RESPONSES,
    )
    async def scoreboard_live(
        symbol: Annotated[Symbol | None, Query(description="Only this symbol, not all pooled.")] = None,
        horizon: Horizon = None,
        model: Annotated[str | None, Query(max_length=64, description="`ensemble`, or a member.")] = None,
        models_version: Annotated[
            str | None, Query(max_length=64, description="Of this set, not of the published one.")
        ] = None,
    ) -> LiveScoreboard:
        """Coverage and error against a random walk of the forecasts made here, counted anew every half minute."""
        scores = await backend().live_scores(ScoreQuery(models_version, symbol, horizon, model))
        return live_scoreboard(scores, symbol)


def _cursor(position: Position) -> str:
    text = f"{position.made_at.isoformat()}/{position.forecast_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> Position:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        made_at, _, forecast_id = text.partition("/")
        moment = datetime.fromisoformat(made_at)
    except (binascii.Error, ValueError):
        raise _wrong_cursor() from None
    if moment.tzinfo is None or not forecast_id.isprintable():
        raise _wrong_cursor()
    return Position(moment, forecast_id)


def _wrong_cursor() -> InvalidRequest:
    return InvalidRequest(
        "1 field is wrong", [ErrorDetail("cursor", "must be a next_cursor that an earlier page gave")]
    )
