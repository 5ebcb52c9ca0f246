"""`POST /predict/stream`: server-sent events, a ``member`` as soon as it answers, then the ``forecast``.

What goes wrong before the first member has answered has its usual status; later it is an ``error`` event.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.responses import Response, StreamingResponse

from contracts import ForecastRequest, MemberEvent
from gateway.backend import Backend
from gateway.convert import to_request
from gateway.responses import error_body, log_if_unforeseen, problem_of
from gateway.schemas import ErrorBody, PredictRequest

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EVENTS = """event: member
data: {"model": "har", "version": "1", "status": "ok", "price_target": 126.1, "error": null}

event: forecast
data: {"forecast_id": "...", "symbol": "AAPL"}
"""
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events.",
        # No schema: one would describe the text as a whole, or each event, as the reader pleases.
        "content": {"text/event-stream": {"example": _EVENTS}},
    },
    404: {"model": ErrorBody, "description": "No data source knows the symbol, or there is no such model."},
    422: {"model": ErrorBody, "description": "A field is wrong, or the bars cannot carry a forecast."},
    503: {"model": ErrorBody, "description": "No data source or no model can answer at the moment."},
    504: {"model": ErrorBody, "description": "No answer in time."},
}


def add_stream(app: FastAPI, backend: Callable[[], Backend]) -> None:
    """Add the route. ``backend`` is called for every request."""

    @app.post(
        "/predict/stream",
        summary="Forecast one symbol, model by model",
        tags=["Forecasts"],
        response_class=StreamingResponse,
        responses=_RESPONSES,
    )
    async def predict_stream(body: PredictRequest) -> Response:
        """Server-sent events: `member` as each model answers, then `forecast` with the body of `/predict`. What goes
        wrong after the first event is an `error` event, and the last one."""
        return await stream_forecast(to_request(body, backend().catalogue()), backend())


async def stream_forecast(request: ForecastRequest, backend: Backend) -> Response:
    """The events of one forecast. Raises what the forecast raises while nothing has been sent."""
    events: asyncio.Queue[bytes | Exception] = asyncio.Queue()
    work = asyncio.create_task(_forecast(request, backend, events))
    first = await events.get()
    if isinstance(first, Exception):
        raise first
    return StreamingResponse(_sent(first, events, work), media_type="text/event-stream", headers=_HEADERS)


async def _forecast(request: ForecastRequest, backend: Backend, events: asyncio.Queue[bytes | Exception]) -> None:
    def told(member: MemberEvent) -> None:
        events.put_nowait(event("member", orjson.dumps(asdict(member))))

    try:
        answer = await backend.predict_watched(request, told)
    except Exception as error:  # whoever reads the queue must learn of it, whatever it is
        events.put_nowait(error)
    else:
        events.put_nowait(event("forecast", answer.body))


async def _sent(
    first: bytes, events: asyncio.Queue[bytes | Exception], work: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    """Events up to the last one; a reader who goes away ends the work."""
    try:
        yield first
        while not first.startswith(b"event: forecast"):
            following = await events.get()
            if isinstance(following, Exception):
                problem = problem_of(following)
                log_if_unforeseen(following, problem)
                yield event("error", error_body(problem))
                return
            yield following
            first = following
    finally:
        work.cancel()


def event(name: str, data: bytes) -> bytes:
    """One event; ``data`` is JSON, which holds no line break."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
