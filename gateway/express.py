"""The express lane: forecasts, kept or to be made, for requests that need no thought, in front of everything else.

It takes a POST whose body arrived whole, with a good key, JSON and nothing unusual (no Origin, no query, no hundred
headers), where the caller's limit has room. Whatever else comes goes the usual way, which decides and words every
refusal. Nothing is decided differently here, only with less around it: keys, limits, kept answers, forecasts, errors,
headers, metrics and lines of the log are those of the usual way, and so is the response, to the byte.

Behind uvicorn's httptools protocol head and body leave in one write (``_written_at_once``), past a loop that checks
each header; behind any other server they go through ``send``. A request whose head came before in the same bytes, but
for its id, is taken by the connection itself (``request_in``, gateway/connection.py): no parser, no scope.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway import request_id
from gateway.access_log import AccessLog
from gateway.answers import Answer
from gateway.asgi import ASGIApp, Headers, Message, Receive, Scope, Send, first_headers
from gateway.at_once import at_once
from gateway.auth import Caller, Gatekeeper
from gateway.body import MAX_HEADER_BYTES, header_bytes
from gateway.door import Door
from gateway.draining import Draining
from gateway.guard import problem_or_raise
from gateway.hot import HOT_PATHS, LONGEST_REQUEST, HotAnswers
from gateway.known_heads import KnownHeads, end_of_head
from gateway.measurements import TrafficMetrics
from gateway.outgoing import own_lines
from gateway.reply import Reply, headers_in, in_one_piece, lines_of, reply_to_forecast, reply_to_problem

MOST_HEADERS: Final = 30
CLOSE: Final = b"connection: close\r\n"
_JSON: Final = b"application/json"
_HOLDER: Final = "deepfinance.holder"
"""On the scope of a request that was answered here: whose key it carried."""

Write = Callable[[Reply, bytes, bool], Awaitable[None]]
"""Sends a reply with the lines of its own; with True it is the last one on its connection."""


class Ordinary(NamedTuple):
    """A request that needs no thought, let in and counted: all that its answer depends on. ``kept`` is the reply if
    there is one already."""

    path: str
    body: bytes
    if_none_match: bytes | None
    caller: Caller
    sent_id: bytes | None
    started_at: float
    kept: Reply | None


class Express:
    """Outermost of all. ``app`` is the usual way, of which ``door`` is a part; ``forecast`` answers to the body of a
    request, None where the usual way alone can."""

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        metrics: TrafficMetrics,
        draining: Draining,
        forecast: Callable[[bytes], Awaitable[Answer]] | None = None,
    ) -> None:
        self._app = app
        self._gatekeeper: Gatekeeper = door.gatekeeper
        self._hot: HotAnswers = door.hot
        self._log: AccessLog = door.log
        self._longest = min(LONGEST_REQUEST, door.max_body)
        self._metrics = metrics
        self._draining = draining
        self._forecast = forecast
        self._heads = KnownHeads()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in HOT_PATHS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        asked, receive = self._ordinary(scope, receive)
        if asked is None:
            await self._app(scope, receive, send)
            return
        write = partial(_write, scope, asked.caller, send)
        if asked.kept is None:
            await self.make(asked, write)
        else:
            await write(asked.kept, self.given(asked, asked.kept), False)

    def request_in(self, data: bytes) -> Ordinary | None:
        """The ordinary request that these bytes are, head and body; None where they must go the usual way, uncounted
        yet. For a connection on which nothing else is under way."""
        started_at = time.perf_counter()
        end = end_of_head(data)
        found = self._heads.find(data[:end])
        if found is None or self._draining.active:
            return None
        known, sent_id = found
        if known.length != len(data) - end or not known.caller.is_valid():
            return None
        return self._let_in(known.path, data[end:], known.if_none_match, known.caller, sent_id, started_at)

    def learn(self, request: bytes, scope: Mapping[str, Any]) -> None:
        """Told of every whole request that came alone, once it is answered: what was answered here is known now."""
        if (caller := scope.get(_HOLDER)) is not None:
            self._heads.learn(request, scope["path"], first_headers(scope), caller)

    def given(self, asked: Ordinary, kept: Reply) -> bytes:
        """The lines of this one response with what is kept; counts it."""
        current_id = request_id.name(asked.sent_id)
        seconds = time.perf_counter() - asked.started_at
        self._hot.count("hit")
        self._count(asked, kept.status, current_id, seconds)
        return asked.caller.allowance.lines() + own_lines(current_id, seconds)

    async def make(self, asked: Ordinary, write: Write) -> None:
        """Make the forecast, and ``write`` it or what went wrong. Raises only where this task is to end."""
        status = 500  # what a caller sees where no answer was begun
        current_id = request_id.begin(asked.sent_id)
        self._hot.count("miss")
        self._metrics.in_progress.inc()
        try:
            reply = await self._reply(asked)
            status, seconds = reply.status, time.perf_counter() - asked.started_at
            own = asked.caller.allowance.lines() + own_lines(current_id, seconds)
            await write(reply, own, self._draining.active)
        finally:
            self._metrics.in_progress.dec()
            self._count(asked, status, current_id, time.perf_counter() - asked.started_at)

    async def _reply(self, asked: Ordinary) -> Reply:
        assert self._forecast is not None
        try:
            answer = await self._hot.make(asked.path, asked.body, self._forecast)
            return reply_to_forecast(answer, asked.if_none_match)
        except (Exception, asyncio.CancelledError) as exc:
            return reply_to_problem(problem_or_raise(exc))

    def _ordinary(self, scope: Scope, receive: Receive) -> tuple[Ordinary | None, Receive]:
        """The request, if it is an ordinary one, and a ``receive`` as if nobody had looked."""
        started_at = time.perf_counter()
        headers = first_headers(scope)
        caller = self._holder(scope, headers)
        if caller is None:
            return None, receive
        message, receive = at_once(receive)
        body = None if message is None else self._whole_body(message)
        if body is None:
            return None, receive
        if_none_match, sent_id = headers.get(b"if-none-match"), headers.get(b"x-request-id")
        return self._let_in(scope["path"], body, if_none_match, caller, sent_id, started_at), receive

    def _let_in(
        self,
        path: str,
        body: bytes,
        if_none_match: bytes | None,
        caller: Caller,
        sent_id: bytes | None,
        started_at: float,
    ) -> Ordinary | None:
        """Count it, unless there is nobody here to answer it or its caller may not ask now."""
        kept = self._hot.look(path, body, if_none_match)
        if (kept is None and self._forecast is None) or caller.allowance.take_now() is not True:
            return None
        return Ordinary(path, body, if_none_match, caller, sent_id, started_at, kept)

    def _holder(self, scope: Scope, headers: Headers) -> Caller | None:
        """Who asks, if it is a plain request of someone who may; counts nothing."""
        plain = (
            headers.get(b"content-type") == _JSON
            and b"origin" not in headers
            and b"content-encoding" not in headers
            and not scope["query_string"]
            and len(scope["headers"]) <= MOST_HEADERS
            and header_bytes(scope) <= MAX_HEADER_BYTES
            and not self._draining.active
        )
        return self._gatekeeper.holder(scope, headers) if plain else None

    def _whole_body(self, message: Message) -> bytes | None:
        body: bytes = message.get("body", b"")
        is_whole = message["type"] == "http.request" and not message.get("more_body") and len(body) <= self._longest
        return body if is_whole else None

    def _count(self, asked: Ordinary, status: int, current_id: str, seconds: float) -> None:
        path, caller = asked.path, asked.caller
        self._metrics.count(path, "POST", status, seconds)
        if stands_for := self._log.stands_for(path, status, is_kept=asked.kept is not None):
            self._log.write("request", current_id, caller.name, "POST", path, status, seconds, stands_for)


def express_in(app: Any) -> Express | None:
    """The express lane that a server calls, past what the server itself puts in front of it."""
    while app is not None and not isinstance(app, Express):
        app = getattr(app, "app", None)
    return app


async def _write(scope: Scope, caller: Caller, send: Send, reply: Reply, own: bytes, is_last: bool) -> None:
    scope[_HOLDER] = caller
    if is_last or not _written_at_once(send, reply, own):
        del scope[_HOLDER]
        headers = headers_in(reply.lines + own + (CLOSE if is_last else b""))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


def _written_at_once(send: Send, reply: Reply, own: bytes) -> bool:
    """Hand status, headers and body to the transport as uvicorn would, in one piece; False where it cannot be."""
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not cycle.keep_alive or cycle.flow.write_paused:
        return False
    if cycle.disconnected or cycle.response_started or cycle.waiting_for_100_continue:
        return False
    cycle.transport.write(in_one_piece(reply, lines_of(cycle.default_headers), own))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True
