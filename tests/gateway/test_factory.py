"""The private parts of BentoML that the factory relies on. A failure here after a bump says what has moved."""

from __future__ import annotations

import inspect
from typing import Any

import httpx
import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_sdk import Service
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from bentoml._internal.server.http.traffic import TimeoutMiddleware

from gateway.door import Door
from gateway.express import Express
from gateway.factory import GatewayAppFactory, GatewayService, gateway_service
from gateway.guard import Guard
from gateway.traffic import OTHER, PathTemplates, Traffic
from tests.gateway.tiny_service import SERVICE


@pytest.fixture
def factory() -> GatewayAppFactory:
    SERVICE.inject_config()
    return GatewayAppFactory(SERVICE, is_main=True)


def test_the_methods_we_override_are_still_there() -> None:
    assert list(inspect.signature(ServiceAppFactory.api_endpoint).parameters) == ["self", "name", "request"]
    assert "self.api_endpoint(name, request)" in inspect.getsource(ServiceAppFactory.api_endpoint_wrapper)
    assert isinstance(ServiceAppFactory.routes, property)
    assert isinstance(ServiceAppFactory.middlewares, property)
    assert list(inspect.signature(Service.to_asgi).parameters) == ["self", "is_main"]
    assert isinstance(Service.openapi_spec, property)


def test_the_guard_is_innermost_and_the_metrics_are_taken_out(factory: GatewayAppFactory) -> None:
    classes: list[Any] = [it.cls for it in factory.middlewares]
    assert classes[-1] is Guard
    assert TimeoutMiddleware in classes[:-1]
    assert RunnerTrafficMetricsMiddleware not in classes


def test_kept_answers_stand_before_metrics_those_before_the_door_and_the_door_before_bentoml(app: Any) -> None:
    assert isinstance(app, Express)
    assert isinstance(app._app, Traffic)
    assert isinstance(app._app._app, Door)


def test_the_first_route_that_matches_is_ours(factory: GatewayAppFactory) -> None:
    paths = [getattr(route, "path", None) for route in factory().router.routes]
    assert paths[:3] == ["/", "/docs", "/docs.json"]
    assert not {"/static_content", "/assets"} & set(paths)


def test_options_are_not_read_before_the_app_is_built() -> None:
    def never() -> Any:
        raise AssertionError("read too early")

    service_class = gateway_service(never)
    assert issubclass(service_class, GatewayService)
    service = service_class(name="unread", inner=type("Unread", (), {}))
    assert service.openapi_spec["openapi"] == "3.1.0"
    with pytest.raises(AssertionError, match="too early"):
        service.to_asgi()


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/predict", "/api/v1/predict"),
        ("/api/v1/symbols/AAPL", "/api/v1/symbols/{symbol}"),
        ("/api/v1/symbols/A/B", OTHER),
        ("/api/v1/symbols/", OTHER),
        ("/x", OTHER),
        ("other", OTHER),
    ],
)
def test_a_path_is_named_by_its_route(factory: GatewayAppFactory, path: str, template: str) -> None:
    assert PathTemplates(factory().router.routes).of(path) == template


async def test_2000_random_paths_do_not_grow_the_metrics(client: httpx.AsyncClient) -> None:
    await client.get("/nowhere/at/all")
    await client.get("/api/v1/symbols/AAPL")
    await client.get("/metrics")
    before = (await client.get("/metrics")).text
    for number in range(1000):
        await client.get(f"/{number}/x")
        await client.get(f"/api/v1/symbols/A{number}")
    after = (await client.get("/metrics")).text
    # A symbol that is not known answers 404, so its template gains one series per metric, and no more.
    assert len(after.splitlines()) - len(before.splitlines()) < 40
    assert "/999/x" not in after
    assert 'endpoint="/api/v1/symbols/{symbol}"' in after
    assert f'endpoint="{OTHER}"' in after


async def test_metrics_count_what_the_door_answers(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    await stranger.post("/api/v1/predict", json={"symbol": "AAPL"})
    await client.post("/api/v1/predict", json={"symbol": "AAPL"})
    await client.post("/api/v1/predict", json={"symbol": "ZZZZ"})
    lines = (await client.get("/api/v1/metrics")).text.splitlines()
    counted = [line for line in lines if "http_requests_total{" in line and 'endpoint="/api/v1/predict"' in line]
    for status in (200, 401, 404):
        [line] = [it for it in counted if f'status="{status}"' in it]
        assert line.endswith(" 1.0")


async def test_the_schema_that_clients_read_is_served(client: httpx.AsyncClient) -> None:
    routes = (await client.get("/schema.json")).json()["routes"]
    assert {route["route"] for route in routes} == {"/api/v1/predict", "/api/v1/predict/batch"}
