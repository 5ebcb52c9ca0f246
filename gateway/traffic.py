"""BentoML's traffic metrics, labelled by route template instead of raw path.

The raw path as a label lets every caller make new time series: 2,000 random paths made a /metrics of 4 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from re import Pattern
from typing import Any

from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute, compile_path

from gateway.asgi import ASGIApp, Receive, Scope, Send

OTHER = "other"
_ORIGINAL = "deepfinance.original_scope"


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


class TemplatedTraffic:
    """BentoML's middleware between two hands: one shows it the template, the other gives the path back."""

    def __init__(self, app: ASGIApp, templates: PathTemplates, **options: Any) -> None:
        self._templates = templates
        self._measured = RunnerTrafficMetricsMiddleware(_GivesPathBack(app), **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "path": self._templates.of(scope["path"]), _ORIGINAL: scope}
        await self._measured(scope, receive, send)


class _GivesPathBack:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope.get(_ORIGINAL, scope), receive, send)
