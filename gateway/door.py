"""The front door: one pure ASGI class in front of everything else, BentoML's own stack included.

A request goes through it in this order; each step is a few lines here or in the module that it names.

    id and clock -> CORS -> guard -> key -> media type -> body -> app -> errors in our shape -> headers -> log
"""

from __future__ import annotations

import logging
import time

import orjson
from starlette.middleware.cors import CORSMiddleware

from errors import DeepFinanceError
from gateway import request_id
from gateway.asgi import ASGIApp, Receive, Scope, Send, answer, first_header
from gateway.auth import Gatekeeper, KeyRing
from gateway.body import check_media_type, whole_body
from gateway.guard import Guard
from gateway.options import GatewayOptions
from gateway.outgoing import Outgoing
from gateway.responses import problem_of

access_log = logging.getLogger("deepfinance.access")

_REFUSED = 1008
_MAY_BE_SENT = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_MAY_BE_READ = ("Allow", "Retry-After", "X-Request-ID", "X-Response-Time")


class Door:
    """Wraps an ASGI app. Of the options it keeps only what it needs, and of the keys only hashes."""

    def __init__(self, app: ASGIApp, options: GatewayOptions) -> None:
        self._app = app
        self._gatekeeper = Gatekeeper(KeyRing(options.api_keys) if options.auth else None)
        self._max_body = options.max_body_bytes
        self._body_seconds = options.body_timeout_s
        self._logs = options.access_log
        self._http_chain = _with_cors(Guard(self._admit), options.frontend_origin)
        self._websocket_chain = Guard(self._admit_websocket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket_chain(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        current_id = request_id.begin(first_header(scope, b"x-request-id"))
        outgoing = Outgoing(send, current_id, started_at)
        try:
            await self._http_chain(scope, receive, outgoing)
        finally:
            if self._logs:
                _log(scope, outgoing, current_id)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._gatekeeper.check(scope)
        check_media_type(scope)
        body = await whole_body(scope, receive, self._max_body, self._body_seconds)
        if body is not None:
            await self._app(_head_as_get(scope), body, send)

    async def _admit_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        current_id = request_id.begin(first_header(scope, b"x-request-id"))
        try:
            self._gatekeeper.check(scope)
        except DeepFinanceError as refusal:
            outgoing = Outgoing(_as_handshake_answer(send), current_id, started_at)
            await _refuse_websocket(scope, send, outgoing, refusal)
        else:
            await self._app(scope, receive, send)


def _with_cors(app: ASGIApp, origin: str | None) -> ASGIApp:
    """Outside of key and guard, so that the page of that origin can read an error as well."""
    if origin is None:
        return app
    return CORSMiddleware(
        app,
        allow_origins=[origin.rstrip("/")],
        allow_methods=["GET", "POST"],
        allow_headers=_MAY_BE_SENT,
        expose_headers=_MAY_BE_READ,
    )


def _head_as_get(scope: Scope) -> Scope:
    """HEAD is answered like GET on every route; the server leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


async def _refuse_websocket(scope: Scope, send: Send, outgoing: Outgoing, refusal: DeepFinanceError) -> None:
    """Answer the handshake with our error where the server can, else close it."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer(outgoing, problem_of(refusal))
    else:
        await send({"type": "websocket.close", "code": _REFUSED, "reason": refusal.message})


def _as_handshake_answer(send: Send) -> Send:
    async def prefixed(message: dict[str, object]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return prefixed  # type: ignore[return-value]


def _log(scope: Scope, outgoing: Outgoing, current_id: str) -> None:
    """One line of JSON. The query string stays out: a key may be in it."""
    if access_log.isEnabledFor(logging.INFO):
        line = {
            "event": "request",
            "request_id": current_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": outgoing.status,
            "seconds": round(outgoing.seconds, 6),
        }
        access_log.info(orjson.dumps(line).decode())
