"""Nothing escapes: an exception becomes an answer in our shape.

It stands twice in the stack, innermost and at the door. BentoML's timeout middleware does not notice an
exception below it: the caller would wait a minute and be told 504.
"""

from __future__ import annotations

import asyncio
import contextlib

from gateway.asgi import ASGIApp, Message, Receive, Scope, Send, answer
from gateway.responses import Problem, log_if_unforeseen, problem_of


class Guard:
    """A pure ASGI class around an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        watched = _Watched(send)
        try:
            await self._app(scope, receive, watched)
        except (Exception, asyncio.CancelledError) as exc:
            problem = problem_or_raise(exc)
            if not watched.started:
                await answer(send, problem)
            elif not watched.finished:
                # Half an answer is out. Raising makes the server cut the connection, so that the caller
                # does not take the half for the whole.
                raise

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as exc:
            log_if_unforeseen(exc, problem_of(exc))
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": 1011, "reason": "internal error"})


def problem_or_raise(exc: BaseException) -> Problem:
    """What is answered to an exception, which is logged if nobody foresaw it. Raises it where it means that this very
    task is to end."""
    if isinstance(exc, asyncio.CancelledError) and _this_task_is_cancelled():
        raise exc
    problem = problem_of(exc)
    log_if_unforeseen(exc, problem)
    return problem


def _this_task_is_cancelled() -> bool:
    """Whether someone wants this very task to end, or it merely awaited another one that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Watched:
    """A ``send`` that remembers how far the response has got."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.finished = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
        elif message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)
        await self._send(message)
