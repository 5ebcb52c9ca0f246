"""The front door: one pure ASGI class in front of everything else, BentoML's own stack included.

A request goes through it in this order; each step is a few lines here or in the module that it names.

    id and clock -> CORS -> guard -> size of the head -> key -> limit -> scope -> media type -> body
    -> kept answer, or app -> errors in our shape -> headers -> log
"""

from __future__ import annotations

import time

from starlette.middleware.cors import CORSMiddleware

from errors import DeepFinanceError, NotFound, RateLimited
from gateway import request_id
from gateway.access_log import AccessLog
from gateway.asgi import ASGIApp, Headers, Receive, Scope, Send, answer, first_headers
from gateway.auth import UNCOUNTED_PATHS, Caller, Gatekeeper, too_many
from gateway.body import Rest, check_head, check_media_type, whole_body
from gateway.conditional import conditional
from gateway.guard import Guard
from gateway.hot import HOT, HotAnswers
from gateway.keys import parse_keys
from gateway.limits import Limit, SharedWindows
from gateway.options import GatewayOptions
from gateway.outgoing import Outgoing
from gateway.refusals import Refusals
from gateway.responses import problem_of

#: Where routes find the Caller; absent on public paths.
CALLER = "deepfinance.caller"
SOCKET_PATH = "/api/v1/stream"
_HEADERS = "deepfinance.headers"
_OUTGOING = "deepfinance.outgoing"
_REFUSED = 1008
_MAY_BE_SENT = ("Authorization", "Content-Type", "If-None-Match", "X-API-Key", "X-Request-ID")
_MAY_BE_READ = (
    *("Allow", "ETag", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    *("X-Request-ID", "X-Response-Time"),
)


class Door:
    """Wraps an ASGI app. Of the options it keeps only what it needs, and of the keys only hashes."""

    def __init__(
        self,
        app: ASGIApp,
        options: GatewayOptions,
        shared: SharedWindows | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._app = app
        keys = parse_keys(options.api_keys) if options.auth else None
        self.gatekeeper = Gatekeeper(keys, Limit.parse(options.rate_limit), shared)
        self._shared, self._refusals = shared, refusals
        if refusals is not None:
            refusals.watch(shared)
        self.max_body = options.max_body_bytes
        self._body_seconds = options.body_timeout_s
        self._max_sockets = options.max_sockets
        self.log = AccessLog(options.access_log)
        self.hot = options.hot or HotAnswers()
        self._http_chain = _with_cors(Guard(self._admit), options.frontend_origin)
        self._websocket_chain = Guard(self._admit_websocket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._lifespan(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if self._shared is not None:
                await self._shared.close()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        outgoing, headers = _begin(scope, send)
        outgoing.rest = Rest(scope, headers, receive, self._body_seconds)
        try:
            await self._http_chain(scope, receive, outgoing)
        finally:
            del scope[_OUTGOING]  # which knows ``send``, and so the scope: a circle would wait for the collector
            if stands_for := self.log.stands_for(scope["path"], outgoing.status, is_kept=HOT in scope):
                self._log("request", scope, outgoing, stands_for)

    def _log(self, event: str, scope: Scope, outgoing: Outgoing, stands_for: int) -> None:
        caller = scope.get(CALLER)
        self.log.write(
            event,
            outgoing.request_id,
            caller.name if caller is not None else None,
            scope.get("method", "GET"),
            scope["path"],
            outgoing.status,
            outgoing.seconds,
            stands_for,
        )

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope[_HEADERS]
        await self._check(scope, headers)
        check_media_type(scope, headers)
        read = await whole_body(scope, headers, receive, self.max_body, self._body_seconds)
        if read is not None:
            body, replay = read
            send = conditional(scope, headers, send)
            await self.hot.serve(self._app, _head_as_get(scope), headers, body, replay, send)

    async def _check(self, scope: Scope, headers: Headers) -> Caller | None:
        """Who asks. Raises what refuses the request: a head too large, no key, too much asked, a scope that lacks."""
        try:
            check_head(scope)
            caller = self.gatekeeper.caller(scope, headers)
            if caller is not None:
                scope[CALLER] = caller
                if scope["path"] not in UNCOUNTED_PATHS:
                    await _count(caller, scope[_OUTGOING])
                self.gatekeeper.check_scope(scope, caller)
        except DeepFinanceError as refusal:
            if self._refusals is not None:
                self._refusals.count(refusal, scope.get(CALLER))
            raise
        return caller

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        outgoing, _ = _begin(scope, _as_handshake_answer(send))
        try:
            await self._websocket_chain(scope, receive, send)
        finally:
            if stands_for := self.log.stands_for(scope["path"], outgoing.status, is_kept=False):
                self._log("websocket", scope, outgoing, stands_for)

    async def _admit_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._check(scope, scope[_HEADERS])
            if scope["path"] != SOCKET_PATH:
                raise NotFound("there is no websocket at this address")
            self._check_sockets(caller)
        except DeepFinanceError as refusal:
            await _refuse_websocket(scope, send, refusal)
        else:
            await self._hold_socket(caller, scope, receive, send)

    def _check_sockets(self, caller: Caller | None) -> None:
        if caller is not None and caller.open_sockets >= self._max_sockets:
            raise RateLimited(f"this API key has {self._max_sockets} websockets open; close one first", retry_after=5)

    async def _hold_socket(self, caller: Caller | None, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_OUTGOING].status = 101
        if caller is None:
            return await self._app(scope, receive, send)
        caller.open_sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            caller.open_sockets -= 1


async def _count(caller: Caller, outgoing: Outgoing) -> None:
    outgoing.limits = caller.allowance.headers
    passes = caller.allowance.take_now()
    if passes is None:
        passes = await caller.allowance.take()
    if not passes:
        raise too_many("this API key has used up its limit", caller.allowance)


def _begin(scope: Scope, send: Send) -> tuple[Outgoing, Headers]:
    """Note the time, name the request, and keep both beside it."""
    started_at = time.perf_counter()
    scope[_HEADERS] = headers = first_headers(scope)
    current_id = request_id.begin(headers.get(b"x-request-id"))
    scope[_OUTGOING] = outgoing = Outgoing(send, current_id, started_at)
    return outgoing, headers


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


async def _refuse_websocket(scope: Scope, send: Send, refusal: DeepFinanceError) -> None:
    """Answer the handshake with our error where the server can, else close it."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer(scope[_OUTGOING], problem_of(refusal))
    else:
        await send({"type": "websocket.close", "code": _REFUSED, "reason": refusal.message})


def _as_handshake_answer(send: Send) -> Send:
    async def prefixed(message: dict[str, object]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return prefixed  # type: ignore[return-value]
