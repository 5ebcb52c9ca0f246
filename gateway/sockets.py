"""`WS /stream`: subscribe to forecasts on one socket.

In:  ``{"action": "subscribe", "symbol": "AAPL"}`` with any field of a forecast request beside it, or ``unsubscribe``.
Out: ``subscribed``, ``unsubscribed``, ``forecast``, ``error``, ``heartbeat``, and ``closing`` with the reason before
the service closes a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.websockets import WebSocketDisconnect

from contracts import ForecastRequest
from errors import DeepFinanceError, ErrorDetail, InvalidRequest, RateLimited
from gateway.backend import Backend
from gateway.broadcast import Broadcaster, Listener, topic_of
from gateway.convert import to_request
from gateway.responses import error_info, log_if_unforeseen, problem_of
from gateway.schemas import PredictRequest

NORMAL, UNSUPPORTED, POLICY, TOO_SLOW = 1000, 1003, 1008, 1013
"""RFC 6455, section 7.4.1, and the IANA registry: the last one is "try again later"."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """``patience_s`` is how long a reader may take nothing at all before it is cut off, ``unread`` how many answers to
    its own messages may wait for it."""

    heartbeat_s: float = 15.0
    patience_s: float = 10.0
    subscriptions: int = 100
    message_chars: int = 4096
    mistakes: int = 20
    unread: int = 50


class _Action(BaseModel):
    """The part of a message that is not a forecast request."""

    model_config = ConfigDict(extra="allow")

    action: Literal["subscribe", "unsubscribe"]


class _Cut(Exception):
    """The socket must be closed, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def add_sockets(
    app: FastAPI,
    backend: Callable[[], Backend],
    broadcaster: Callable[[], Broadcaster],
    limits: SocketLimits = SocketLimits(),
) -> None:
    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await Conversation(socket, backend(), broadcaster(), limits).hold()


class Conversation:
    """One socket, from its acceptance to its end. Reads and writes at the same time; whichever ends first ends both."""

    def __init__(self, socket: WebSocket, backend: Backend, broadcaster: Broadcaster, limits: SocketLimits) -> None:
        self._socket = socket
        self._backend = backend
        self._broadcaster = broadcaster
        self._limits = limits
        self._listener = Listener()
        self._subscribed: dict[Any, ForecastRequest] = {}
        self._mistakes = 0
        self._caller = socket.scope.get("deepfinance.caller")
        self._answers = 0

    async def hold(self) -> None:
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for request in self._subscribed.values():
                self._broadcaster.leave(request, self._listener)
        await self._end(next((it.exception() for it in done if it.exception()), None))

    async def _end(self, why: BaseException | None) -> None:
        """Say why and close, as far as the other side still listens."""
        if isinstance(why, WebSocketDisconnect):
            return
        if why is not None and not isinstance(why, _Cut):
            log_if_unforeseen(why, problem_of(why))
        code, reason = (why.code, why.reason) if isinstance(why, _Cut) else (1011, "internal error")
        with contextlib.suppress(Exception):  # a reader that has stopped is told by the close frame alone
            async with asyncio.timeout(1.0):
                await self._socket.send_text(_text({"type": "closing", "reason": reason}))
        with contextlib.suppress(Exception):
            await self._socket.close(code, reason)

    async def _read(self) -> None:
        while True:
            text = await self._message()
            if len(text) > self._limits.message_chars:
                raise _Cut(POLICY, f"a message is longer than {self._limits.message_chars} characters")
            try:
                self._act(text)
            except (DeepFinanceError, ValidationError) as mistake:
                self._object(mistake)

    async def _message(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if (text := message.get("text")) is None:
            raise _Cut(UNSUPPORTED, "a message must be text")
        return str(text)

    def _act(self, text: str) -> None:
        """Do what one message asks for; raises where it is wrong."""
        message = _Action.model_validate_json(text)
        if self._caller is not None and not self._caller.hit():
            raise RateLimited("too many messages for this key; ask again in a moment")
        request = to_request(PredictRequest.model_validate(message.__pydantic_extra__), self._backend.catalogue())
        if message.action == "subscribe":
            self._subscribe(request)
        else:
            self._unsubscribe(request, everything=set(message.__pydantic_extra__ or ()) == {"symbol"})

    def _subscribe(self, request: ForecastRequest) -> None:
        topic = topic_of(request)
        if topic not in self._subscribed and len(self._subscribed) >= self._limits.subscriptions:
            raise InvalidRequest(
                f"a socket may have {self._limits.subscriptions} subscriptions",
                [ErrorDetail("symbol", "unsubscribe from another one first, or open another socket")],
            )
        self._subscribed[topic] = request
        self._tell({"type": "subscribed", "symbol": request.symbol, "horizon": request.horizon})
        self._broadcaster.join(request, self._listener)

    def _unsubscribe(self, request: ForecastRequest, everything: bool) -> None:
        """From that forecast, or from all of the symbol where the message names nothing else."""
        exact = topic_of(request)
        for topic, each in list(self._subscribed.items()):
            if topic == exact or (everything and each.symbol == request.symbol):
                self._broadcaster.leave(self._subscribed.pop(topic), self._listener)
        self._tell({"type": "unsubscribed", "symbol": request.symbol})

    def _object(self, mistake: Exception) -> None:
        self._mistakes += 1
        if self._mistakes > self._limits.mistakes:
            raise _Cut(POLICY, "too many wrong messages")
        self._tell({"type": "error", "error": error_info(problem_of(mistake))})

    def _tell(self, message: dict[str, Any]) -> None:
        """A message of this socket alone."""
        if len(self._listener) > self._limits.subscriptions + self._limits.unread:
            raise _Cut(TOO_SLOW, "too slow: messages are sent but no answer is read")
        self._answers += 1
        self._listener.offer(("answer", self._answers), _text(message))

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._limits.heartbeat_s):
                    message = await self._listener.next()
            except TimeoutError:
                message = _text({"type": "heartbeat", "time": datetime.now(UTC).isoformat(timespec="milliseconds")})
            self._check_key()
            try:
                async with asyncio.timeout(self._limits.patience_s):
                    await self._socket.send_text(message)
            except TimeoutError:
                raise _Cut(TOO_SLOW, f"too slow: nothing was read for {self._limits.patience_s:g} seconds") from None

    def _check_key(self) -> None:
        if self._caller is not None and not self._caller.is_valid():
            raise _Cut(POLICY, "the API key has expired")


def _text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()
