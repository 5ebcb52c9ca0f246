"""Uvicorn's connection, bounded where uvicorn is not: how long and how large the head of a request may be while it
arrives, before there is a request that the door could refuse. What cannot be parsed is refused in our shape.

A request like one before it may be answered from here by the express lane, if the server calls one: at once where the
answer is kept, else in a task of ``Making``.

``use_bounded_connections`` puts it in uvicorn's place; ``tests/gateway/test_connection.py`` fails where a new version
moves something.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, Final

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway import request_id
from gateway.express import CLOSE, Express, Ordinary, express_in
from gateway.outgoing import Header
from gateway.reply import Reply, in_one_piece, lines_of
from gateway.responses import error_body, problem_for_status

HEAD_SECONDS: Final = 15.0
#: The door says no much earlier. What is read at once may hold the end of another request's body.
HEAD_BYTES: Final = 524_288
#: Of a message that comes in over a websocket; the socket of a longer one is closed.
MESSAGE_BYTES: Final = 65_536
#: How long one who was told that his websocket is closed may take to read that.
LAST_WORD_SECONDS: Final = 10.0
#: What Java's client and ``curl --http2`` put into a request. One may go on in HTTP/1.1, but the parser would take the
#: body for the other protocol's.
_OFFER: Final = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n|\Z)", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """Closes a connection whose head is endless or does not come. Costs a complete request two comparisons."""

    _head_bytes = 0
    _in_head = True
    _between = True  # no message has begun that is not over
    _express: Express | None = None
    _alone: bytes | None = None  # what came while nothing was under way, until it is answered
    _patience: asyncio.TimerHandle | None = None
    _silent_since = 0.0  # by the loop's clock, where a kept answer went out
    _server_headers: Sequence[Header] | None = None
    _server_lines = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.access_log = False  # our own line has no query string, in which there may be a key
        # Uvicorn counts what is under way against this limit while it parses.
        self._express = express_in(self.app) if self.limit_concurrency is None else None
        self._patience = self.loop.call_later(HEAD_SECONDS, self.give_up, 408)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._express is not None:
            is_alone = self._is_at_rest()
            if is_alone and (asked := self._express.request_in(data)) is not None:
                self._alone = None
                self._answer(asked, self._express)
                return
            self._alone = data if is_alone else None
        super().data_received(_without_offer(data) if self._between and b"h2c" in data else data)
        if self._in_head:
            self._wait_for_head(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between, self._in_head, self._head_bytes = False, True, 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._alone is not None and self._express is not None:
            self._express.learn(self._alone, self.cycle.scope)
            self._alone = None

    def _is_at_rest(self) -> bool:
        """Whether whatever comes now is the beginning of a request, and nothing is to be written before its answer."""
        if not self._between or self.flow.write_paused or self.transport.is_closing():
            return False
        return self.cycle is None or (self.cycle.response_complete and self.cycle.keep_alive)

    def _answer(self, asked: Ordinary, express: Express) -> None:
        """As if the request had been parsed."""
        if self._patience is not None:
            self._stop_waiting()
        if asked.kept is not None:
            self.write(asked.kept, express.given(asked, asked.kept))
            self._go_on_waiting()
        else:
            self._unset_keepalive_if_required()
            making: Any = Making(asked, self, express)
            self.cycle = making
            self._start_asgi_task(making, self.app)

    def write(self, reply: Reply, own_lines: bytes) -> None:
        headers = self.server_state.default_headers
        if headers is not self._server_headers:  # another list every second, for the date in it
            self._server_headers, self._server_lines = headers, lines_of(headers)
        self.transport.write(in_one_piece(reply, self._server_lines, own_lines))

    def _go_on_waiting(self) -> None:
        """As uvicorn does after a response; but the timer of a connection that keeps asking stays as it is, and looks
        whether it is meant when it is due."""
        if self.timeout_keep_alive_task is None:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._silent_since = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        due_at = self._silent_since + self.timeout_keep_alive
        if due_at > self.loop.time():
            self.timeout_keep_alive_task = self.loop.call_at(due_at, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._patience is not None:
            self._stop_waiting()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        # Compression would cost 50 kB a socket and more time than it saves on messages of a few kB.
        self.config.ws_max_size, self.config.ws_per_message_deflate = MESSAGE_BYTES, False
        self.ws_protocol_class = Websocket
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._in_head = False
        self.give_up(400)

    def _wait_for_head(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > HEAD_BYTES:
            self.give_up(431)
        elif self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(HEAD_SECONDS, self.give_up, 408)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def give_up(self, status: int, seconds: float | None = None) -> None:
        """Say why, if something was sent at all, and close. ``seconds`` that it took, else those since it began."""
        if seconds is None:
            seconds = 0.0 if self._patience is None else HEAD_SECONDS - self._patience.when() + self.loop.time()
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if status != 408 or self._head_bytes:
            self.transport.write(_whole_answer(status, seconds))
        self.transport.close()


class Making:
    """A forecast under way, in the place of uvicorn's ``RequestResponseCycle``: so requests behind it wait until it is
    complete, a server that stops waits for it, and a caller who leaves is noticed."""

    message_event = asyncio.Event()  # told of more body and of the end; nobody waits for either

    def __init__(self, asked: Ordinary, connection: Connection, express: Express) -> None:
        self._asked, self._express = asked, express
        self._connection: Connection | None = connection  # until it is complete: the two would be a circle
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False

    async def run_asgi(self, _: object) -> None:
        """Called by uvicorn with its application, which knows no more than the express lane that it calls."""
        try:
            await self._express.make(self._asked, self._write)
        except BaseException:  # the server gives up what is under way
            if (connection := self._complete()) is not None:
                connection.give_up(500, time.perf_counter() - self._asked.started_at)
            raise

    async def _write(self, reply: Reply, own_lines: bytes, is_last: bool) -> None:
        connection = self._complete()
        if connection is None or self.disconnected or connection.transport.is_closing():
            return
        is_last = is_last or not self.keep_alive
        connection.write(reply, own_lines + CLOSE if is_last else own_lines)
        if is_last:
            connection.transport.close()
        connection.on_response_complete()

    def _complete(self) -> Connection | None:
        self.response_complete = True
        connection, self._connection = self._connection, None
        return connection


class Websocket(WebSocketsSansIOProtocol):
    """Uvicorn's, which would wait until a reader that has stopped takes what waits for it before it says that it
    closes, and keep the connection for as long as that one likes."""

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # nothing follows: what waits grows by these few bytes and no more
            self.loop.call_later(LAST_WORD_SECONDS, self.transport.abort)
        await super().send(message)


def _without_offer(data: bytes) -> bytes:
    """The beginning of a request without the offer to speak HTTP/2."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _OFFER.sub(b"", head) + end + rest


def _whole_answer(status: int, seconds: float) -> bytes:
    current_id = request_id.begin(None)
    body = error_body(problem_for_status(status))
    lines = (
        "content-type: application/json",
        "cache-control: no-store",
        f"content-length: {len(body)}",
        f"x-request-id: {current_id}",
        f"x-response-time: {max(seconds, 0.0):.6f}",
        "connection: close",
    )
    return STATUS_LINE[status] + "\r\n".join([*lines, "", ""]).encode() + body


def use_bounded_connections() -> None:
    """From now on uvicorn makes its connections of this class."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
