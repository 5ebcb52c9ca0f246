"""BentoML's service and app factory, bent where the contract needs it.

Private parts of BentoML are touched here only as far as the gateway goes, each in a few lines, and
``tests/gateway/test_factory.py`` fails for each of them when a new version moves it:

- ``ServiceAppFactory.api_endpoint``: errors of native routes in our shape, with our statuses;
- ``ServiceAppFactory.routes``: our page and specification before BentoML's (whose page loads a tracker);
- ``ServiceAppFactory.middlewares``: its metrics taken out (ours stand in front of the door, with templated
  paths), a guard put innermost;
- ``ServiceAppFactory.metrics``: what was counted is handed over first;
- ``Service.to_asgi`` and ``Service.openapi_spec``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_sdk import Service
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from bentoml.exceptions import BentoMLException
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from counting import COUNTS
from errors import MalformedBody
from gateway.asgi import ASGIApp
from gateway.backend import Backend
from gateway.connection import use_bounded_connections
from gateway.direct import Direct
from gateway.docs_page import docs_response
from gateway.door import Door
from gateway.draining import DRAINING
from gateway.express import Express
from gateway.guard import Guard
from gateway.limits import SharedWindows
from gateway.measurements import TrafficMetrics
from gateway.openapi import Specification, specification_of
from gateway.options import GatewayOptions
from gateway.refusals import Refusals
from gateway.responses import error_response, json_response
from gateway.traffic import PathTemplates, Traffic
from gateway.worker_limits import WorkerWindows

_ASSETS_OF_BENTOML = ("static_content", "assets")


class GatewayAppFactory(ServiceAppFactory):  # type: ignore[misc]
    """Builds the app that stands behind the door."""

    async def api_endpoint(self, name: str, request: Request) -> Response:
        """Answer a native route. Every exception is translated here, before BentoML's own words for it."""
        try:
            # BentoML takes an empty body for an empty object.
            if not await request.body():
                raise MalformedBody("the body is empty; it must be JSON")
            response: Response = await super().api_endpoint(name, request)
        except BentoMLException as exc:
            return error_response(_translated(exc))
        except Exception as exc:
            return error_response(exc)
        return response

    async def metrics(self, request: Request) -> Response:
        COUNTS.hand_over()
        response: Response = await super().metrics(request)
        return response

    @property
    def routes(self) -> list[BaseRoute]:
        """Ours come first: the first match answers."""
        ours: list[BaseRoute] = []
        if self.is_main:
            ours += [Route(path, _docs_page) for path in ("/", "/docs")]
            ours += [Route("/docs.json", self._specification_view)]
        if self.enable_metrics:
            ours += [Route("/api/v1/metrics", self.metrics)]
        return [*ours, *super().routes]

    @property
    def middlewares(self) -> list[Middleware]:
        kept = [it for it in super().middlewares if it.cls is not RunnerTrafficMetricsMiddleware]
        return [*kept, Middleware(Guard)]

    def __call__(self) -> Starlette:
        app: Starlette = super().__call__()
        app.router.redirect_slashes = False
        app.router.routes[:] = [it for it in app.router.routes if getattr(it, "name", "") not in _ASSETS_OF_BENTOML]
        return app

    @cached_property
    def _specification(self) -> Specification:
        return specification_of(self.service)

    async def _specification_view(self, _: Request) -> Response:
        return json_response(self._specification)


async def _docs_page(_: Request) -> Response:
    return docs_response()


def _translated(exc: BentoMLException) -> HTTPException:
    return HTTPException(exc.error_code.value)


def believe_proxies(trusted: Sequence[str]) -> None:
    """Tell uvicorn, which starts after the app is built, whose ``X-Forwarded-For`` names the caller.

    Left alone it believes everyone on this machine.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(trusted)


def shared_windows(options: GatewayOptions) -> SharedWindows | None:
    """Where processes count requests together; None where each counts for itself."""
    if options.redis_url is not None:
        from gateway.shared_limits import RedisWindows  # 0.2 s, for those who have a Redis

        return RedisWindows(options.redis_url)
    return None if options.windows_file is None else WorkerWindows(options.windows_file)


class GatewayService(Service):  # type: ignore[misc]
    """A BentoML service with our door in front. Made by ``gateway_service``, which sets the class attributes."""

    read_options: Callable[[], GatewayOptions]
    backend: Callable[[], Backend] | None

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """forecasts asked for as usual, or traces -> metrics -> door -> the two busiest routes -> BentoML's app."""
        self.inject_config()
        options = type(self).read_options()
        factory = GatewayAppFactory(self, is_main=is_main)
        app = factory()
        direct = Direct(app, backend, self.config["traffic"]["timeout"]) if (backend := type(self).backend) else None
        inner = direct or app
        believe_proxies(options.trusted_proxies)
        use_bounded_connections()
        shared = shared_windows(options)
        if not factory.enable_metrics:
            return Door(inner, options, shared)
        client = BentoMLContainer.metrics_client.get()
        door = Door(inner, options, shared, Refusals(client))
        metrics = TrafficMetrics(client)
        templates = PathTemplates(app.routes)
        usual = Traffic(door, templates, metrics, DRAINING)
        if options.traced:
            from gateway.tracing import Traced  # for those who want it

            return Traced(usual, templates)
        return Express(usual, door, metrics, DRAINING, direct.forecast if direct else None)

    @property
    def openapi_spec(self) -> Specification:
        """What ``bentoml build`` writes into the Bento, the same as /docs.json."""
        return specification_of(self)


def gateway_service(
    options: Callable[[], GatewayOptions], backend: Callable[[], Backend] | None = None
) -> type[GatewayService]:
    """The class for ``@bentoml.service(service_class=...)``.

    ``options`` is called when the app is built, so that importing the service reads no environment. With ``backend``,
    called for every request, forecasts are answered without a look at BentoML's stack.
    """
    attributes: dict[str, Any] = {"read_options": staticmethod(options), "backend": backend and staticmethod(backend)}
    return type("GatewayService", (GatewayService,), attributes)
