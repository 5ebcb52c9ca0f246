"""The express lane: a kept answer to a plain request, in one look-up and one write, in front of everything else.

It takes a POST whose body arrived whole, with a good key, JSON and nothing that needs thought (no Origin, no query, no
hundred headers), for which an answer is kept and the caller's limit has room. Whatever else comes goes the usual way,
which decides and words every refusal; nothing is decided differently here, only sooner. The response is the same, to
the byte.

Behind uvicorn's httptools protocol head and body leave in one write (``_written_at_once``), past a loop that checks
each header; behind any other server they go through ``send``. A request whose head came before in the same bytes is
answered by the connection itself (``response_to``, gateway/connection.py): no parser, no scope, no task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway import request_id
from gateway.asgi import ASGIApp, Headers, Message, Receive, Scope, Send, first_headers
from gateway.auth import Caller, Gatekeeper
from gateway.draining import Draining
from gateway.hot import ANSWERS_A_LINE, HOT_PATHS, LONGEST_REQUEST, Header, HotAnswer, HotAnswers
from gateway.known_heads import KnownHeads, end_of_head
from gateway.measurements import TrafficMetrics

access_log = logging.getLogger("deepfinance.access")

MOST_HEADERS: Final = 30
_JSON: Final = b"application/json"
_HOLDER: Final = "deepfinance.holder"
"""On the scope of a request that was answered here: whose key it carried."""
_STATUS_LINES: Final = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


class Express:
    """Outermost of all. ``app`` is the usual way; ``gatekeeper`` and ``hot`` are those of its door."""

    def __init__(
        self,
        app: ASGIApp,
        gatekeeper: Gatekeeper,
        hot: HotAnswers,
        metrics: TrafficMetrics,
        draining: Draining,
        *,
        logs: bool = True,
    ) -> None:
        self._app = app
        self._gatekeeper = gatekeeper
        self._hot = hot
        self._draining = draining
        self._metrics = metrics
        self._heads = KnownHeads()
        self._logs = logs
        self._answers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in HOT_PATHS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        headers = first_headers(scope)
        caller = self._holder(scope, headers)
        if caller is None:
            await self._app(scope, receive, send)
            return
        message, receive = at_once(receive)
        found = None if message is None else self._found(scope["path"], message, headers)
        if found is None or caller.allowance.take_now() is not True:
            await self._app(scope, receive, send)
        else:
            await self._send(scope, headers, caller, found, send, started_at)

    def response_to(self, request: bytes, default_headers: Sequence[Header]) -> bytes | None:
        """All bytes of the response to all bytes of a request, None where it must go the usual way, uncounted yet.

        For a connection on which nothing else is under way. ``default_headers`` are those of the server."""
        started_at = time.perf_counter()
        end = end_of_head(request)
        known = self._heads.find(request[:end])
        if known is None or known.length != len(request) - end or self._draining.active:
            return None
        caller, path, _, if_none_match = known
        found = self._hot.look(path, request[end:], if_none_match)
        if found is None or not caller.is_valid() or caller.allowance.take_now() is not True:
            return None
        current_id = request_id.name(None)
        seconds = time.perf_counter() - started_at
        own = _own_headers(caller, current_id, seconds)
        self._count(path, caller, found, current_id, seconds)
        return _in_one_piece(found, default_headers, own)

    def learn(self, request: bytes, scope: Mapping[str, Any]) -> None:
        """Told of every whole request that came alone, once it is answered: what was answered here is known now."""
        if (caller := scope.get(_HOLDER)) is not None:
            self._heads.learn(request, scope["path"], first_headers(scope), caller)

    def _holder(self, scope: Scope, headers: Headers) -> Caller | None:
        """Who asks, if it is a plain request of someone who may; counts nothing."""
        plain = (
            headers.get(b"content-type") == _JSON
            and b"origin" not in headers
            and not scope["query_string"]
            and len(scope["headers"]) <= MOST_HEADERS
            and not self._draining.active
        )
        return self._gatekeeper.holder(scope, headers) if plain else None

    def _found(self, path: str, message: Message, headers: Headers) -> HotAnswer | None:
        body = message.get("body", b"")
        if message["type"] != "http.request" or message.get("more_body") or len(body) > LONGEST_REQUEST:
            return None
        return self._hot.look(path, body, headers.get(b"if-none-match"))

    async def _send(
        self, scope: Scope, headers: Headers, caller: Caller, found: HotAnswer, send: Send, started_at: float
    ) -> None:
        current_id = request_id.name(headers.get(b"x-request-id"))
        seconds = time.perf_counter() - started_at
        own = _own_headers(caller, current_id, seconds)
        scope[_HOLDER] = caller
        if not _written_at_once(send, found, own):
            del scope[_HOLDER]
            await send({"type": "http.response.start", "status": found.status, "headers": [*found.headers, *own]})
            await send({"type": "http.response.body", "body": found.body})
        self._count(scope["path"], caller, found, current_id, seconds)

    def _count(self, path: str, caller: Caller, found: HotAnswer, current_id: str, seconds: float) -> None:
        self._metrics.count(path, "POST", found.status, seconds)
        self._hot.count_hit()
        self._answers += 1
        if self._logs and self._answers % ANSWERS_A_LINE == 0:
            _log(path, caller, found, current_id, seconds)


def express_in(app: Any) -> Express | None:
    """The express lane that a server calls, past what the server itself puts in front of it."""
    while app is not None and not isinstance(app, Express):
        app = getattr(app, "app", None)
    return app


class _Begun:
    """Goes on with an awaitable of which the first step is made already."""

    def __init__(self, step: Generator[Any, Any, Message], pending: Any) -> None:
        self._step, self._pending = step, pending

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._pending
        except BaseException as error:  # the task is cancelled while it waits
            self._step.throw(error)
            raise
        return (yield from self._step)


def at_once(receive: Receive) -> tuple[Message | None, Receive]:
    """The message that can be had without waiting, or None; and a ``receive`` as if nobody had looked.

    So no clock is needed for bodies that are there already, which is nearly all of them.
    """
    step: Generator[Any, Any, Message] = receive().__await__()
    first: Message | None = None
    pending: Any = None
    try:
        pending = next(step)
    except StopIteration as done:
        first = done.value
    looked = False

    async def again() -> Message:
        nonlocal looked
        if looked:
            return await receive()
        looked = True
        return await _Begun(step, pending) if first is None else first

    return first, again


def _written_at_once(send: Send, found: HotAnswer, own: Sequence[Header]) -> bool:
    """Hand status, headers and body to the transport as uvicorn would, in one piece; False where it cannot be."""
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not cycle.keep_alive or cycle.flow.write_paused:
        return False
    if cycle.disconnected or cycle.response_started or cycle.waiting_for_100_continue:
        return False
    cycle.transport.write(_in_one_piece(found, cycle.default_headers, own))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


def _own_headers(caller: Caller, current_id: str, seconds: float) -> list[Header]:
    """Of this one response."""
    return [
        *caller.allowance.headers(),
        (b"x-request-id", current_id.encode()),
        (b"x-response-time", b"%.6f" % seconds),
    ]


def _in_one_piece(found: HotAnswer, default_headers: Sequence[Header], own: Sequence[Header]) -> bytes:
    lines = [b"%b: %b\r\n" % pair for pair in (*default_headers, found.freshness, *own)]
    return b"".join((_STATUS_LINES[found.status], found.head.lines, *lines, b"\r\n", found.body))


def _log(path: str, caller: Caller, found: HotAnswer, current_id: str, seconds: float) -> None:
    if access_log.isEnabledFor(logging.INFO):
        line = {
            "event": "request",
            "request_id": current_id,
            "key": caller.name,
            "method": "POST",
            "path": path,
            "status": found.status,
            "seconds": round(seconds, 6),
            "one_of": ANSWERS_A_LINE,
        }
        access_log.info(orjson.dumps(line).decode())
