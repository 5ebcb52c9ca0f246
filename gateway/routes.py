"""The read-only routes, mounted at /api/v1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from errors import DeepFinanceError, ErrorDetail, InvalidRequest, MalformedBody, UnknownModel
from gateway import examples
from gateway.backend import Backend
from gateway.broadcast import Broadcaster
from gateway.events import add_stream
from gateway.field_problems import details_from
from gateway.health import report
from gateway.history import add_history
from gateway.operations_routes import add_operations
from gateway.option_routes import add_options
from gateway.paging import page_of
from gateway.portfolio_routes import add_portfolio
from gateway.reports import (
    HealthDown,
    HealthReport,
    MemberReport,
    ModelsReport,
    SymbolDetail,
    SymbolPage,
)
from gateway.responses import error_info, error_response, json_response, problem_for_status
from gateway.risk_routes import add_risk
from gateway.schemas import ErrorBody, Symbol
from gateway.scoreboard import ScoreboardReport
from gateway.sockets import add_sockets

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "There is none."}}
_INVALID: dict[int | str, dict[str, Any]] = {422: {"model": ErrorBody, "description": "A field is wrong."}}
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorBody, "description": "No data source can answer at the moment."}
}
_SCOREBOARD: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": examples.SCOREBOARD}}}
}
_DOWN: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthDown, "description": "No forecast can be made at the moment."}
}


def build_routes(backend: Callable[[], Backend], broadcaster: Callable[[], Broadcaster] | None = None) -> FastAPI:
    """The app to mount. ``backend`` is called for every request: the service does not exist yet at import. Sockets
    are for who has a ``broadcaster``."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    answer_errors_in_our_shape(app)
    _add_health(app, backend)
    add_operations(app, backend)  # before /models/{name}, which would take /models/status
    _add_models(app, backend)
    _add_scoreboard(app, backend)
    _add_symbols(app, backend)
    add_options(app, lambda: backend().options)
    add_portfolio(app, lambda: backend().portfolio)  # before /risk/{symbol}, which would answer for its methods
    add_risk(app, lambda: backend().risk)
    add_history(app, backend)
    add_stream(app, backend)
    if broadcaster is not None:
        add_sockets(app, backend, broadcaster)
    return app


def _add_health(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get(
        "/health", summary="Health of every part", tags=["Operations"], response_model=HealthReport, responses=_DOWN
    )
    async def health() -> Response:
        """Deep health: every runner and data source, cache and database, each with state and latency. Needs no key."""
        body = report(await backend().health())
        if body["status"] != "down":
            return json_response(body)
        problem = problem_for_status(503)
        return json_response({"error": error_info(problem), **body}, 503, problem.headers)


def _add_models(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get("/models", summary="The published models", tags=["Models"])
    async def models() -> ModelsReport:
        """The published model set: versions, artefact hashes, training windows and measured scores."""
        return backend().models()

    @app.get("/models/{name}", summary="One model", tags=["Models"], responses=_NOT_FOUND | _INVALID)
    async def model(
        name: Annotated[str, Path(max_length=64, description="Name of the model.", examples=["xgboost"])],
    ) -> MemberReport:
        """One published model."""
        for member in backend().models().members:
            if member.name == name:
                return member
        raise UnknownModel("there is no such model", [ErrorDetail("name", "is not a published model")])


def _add_scoreboard(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get("/scoreboard", summary="What the models scored", tags=["Models"], responses=_SCOREBOARD)
    async def scoreboard() -> ScoreboardReport:
        """Out-of-sample scores of the published set by kind of asset and horizon, with windows and definitions."""
        return backend().scoreboard()


def _add_symbols(app: FastAPI, backend: Callable[[], Backend]) -> None:
    @app.get("/symbols", summary="Search symbols", tags=["Symbols"], responses=_INVALID)
    async def symbols(
        q: Annotated[
            str, Query(max_length=64, description="Part of a symbol or name, in any case.", examples=["apple"])
        ] = "",
        limit: Annotated[int, Query(ge=1, le=200, description="Symbols on a page.")] = 50,
        cursor: Annotated[str, Query(max_length=64, description="`next_cursor` of the page before.")] = "",
    ) -> SymbolPage:
        """Search the symbols that can be listed. Others that a data source knows can be forecast as well."""
        return page_of(backend().symbols(), q, limit, cursor or None)

    @app.get(
        "/symbols/{symbol}", summary="One symbol", tags=["Symbols"], responses=_NOT_FOUND | _INVALID | _UNAVAILABLE
    )
    async def symbol(
        symbol: Annotated[Symbol, Path(description="Symbol of the asset.", examples=["AAPL"])],
    ) -> SymbolDetail:
        """One symbol, with the state of its bars."""
        return await backend().symbol(symbol)


def answer_errors_in_our_shape(app: FastAPI) -> None:
    """Whatever a mounted route raises, a body that it checked itself included."""

    async def respond(_: Request, exc: Exception) -> Response:
        return error_response(exc)

    async def refused(_: Request, exc: Exception) -> Response:
        # The framework's only 400: the body is not even text.
        is_malformed = isinstance(exc, HTTPException) and exc.status_code == 400
        return error_response(MalformedBody("the body is not JSON") if is_malformed else exc)

    async def invalid(_: Request, exc: Exception) -> Response:
        return error_response(_translated(exc))

    app.add_exception_handler(DeepFinanceError, respond)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(ValidationError, respond)
    app.add_exception_handler(RequestValidationError, invalid)


def _translated(exc: Exception) -> InvalidRequest:
    assert isinstance(exc, RequestValidationError)
    if any(found["type"] == "json_invalid" for found in exc.errors()):
        return MalformedBody("the body is not JSON")
    # Each place begins with where the value came from (path, query, body); the field's own name says enough.
    details = details_from(exc.errors(), skip=1)
    return InvalidRequest("1 field is wrong" if len(details) == 1 else f"{len(details)} fields are wrong", details)
