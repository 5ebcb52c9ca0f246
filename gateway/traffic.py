"""Traffic as metrics, labelled by route template instead of raw path.

The raw path as a label lets every caller make new time series: 2,000 random paths made a /metrics of 4 MB. BentoML's
own middleware does that, and looks its labels up anew for every message.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from re import Pattern
from typing import Final

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute, compile_path

from gateway.asgi import ASGIApp, Message, Receive, Scope, Send
from gateway.draining import Draining
from gateway.measurements import TrafficMetrics

OTHER: Final = "other"
_CLOSE: Final = (b"connection", b"close")
_GOING_AWAY: Final = {"type": "websocket.close", "code": 1001, "reason": "the service is stopping"}


class PathTemplates:
    """Maps a path to the template of its route, ``/symbols/AAPL`` to ``/symbols/{symbol}``."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        templates = set(_templates(routes))
        self._plain = frozenset(template for template in templates if "{" not in template)
        self._patterns: list[tuple[Pattern[str], str]] = [
            (compile_path(template)[0], template) for template in sorted(templates - self._plain)
        ]

    def of(self, path: str) -> str:
        """The template, or ``other`` where no route of ours has that path."""
        if path in self._plain:
            return path
        for pattern, template in self._patterns:
            if pattern.match(path):
                return template
        return OTHER


def _templates(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _templates(route.routes or (), prefix + route.path)
        elif isinstance(route, (Route, WebSocketRoute)):
            yield prefix + route.path


class Traffic:
    """Counts and times what goes through, by route template, the outermost class of all.

    Pure ASGI and light: a request costs a few dictionary look-ups. While the process is about to end (``draining``)
    every answer also closes its connection.
    """

    def __init__(self, app: ASGIApp, templates: PathTemplates, metrics: TrafficMetrics, draining: Draining) -> None:
        self._app = app
        self._templates = templates
        self._draining = draining
        self._measured = metrics
        self._open: set[Callable[[], Awaitable[None]]] = set()
        draining.on_begin(self._close_websockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        status = 500  # what a caller sees where no answer was begun

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._draining.active:
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        self._measured.in_progress.inc()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._measured.in_progress.dec()
            template = self._templates.of(scope["path"])
            self._measured.count(template, scope["method"], status, time.perf_counter() - started_at)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        told: Message | None = None  # what we told the caller on our own: nothing may follow it

        async def leave() -> None:
            nonlocal told
            told = _GOING_AWAY
            await send(told)

        async def watched(message: Message) -> None:
            if told is not None:
                return
            if message["type"] == "websocket.accept" and leave not in self._open:
                self._open.add(leave)
                self._measured.websockets.inc()
            elif message["type"] == "websocket.send":
                self._measured.websocket_messages.inc()
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if leave in self._open:
                self._open.discard(leave)
                self._measured.websockets.dec()

    async def _close_websockets(self) -> None:
        """The process is about to end: callers open another socket elsewhere."""
        for leave in tuple(self._open):
            with contextlib.suppress(Exception):  # it has just gone
                await leave()
