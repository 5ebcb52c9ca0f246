"""A client that talks to the whole stack in process: metrics, door, BentoML's app and the routes."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import prometheus_client
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.metrics.prometheus import PrometheusClient
from pydantic.warnings import PydanticDeprecatedSince211

from tests.gateway.calling import caller, running
from tests.gateway.fakes import FakeBackend

with warnings.catch_warnings():
    # BentoML calls what pydantic has deprecated, for every service with a model as its body.
    warnings.filterwarnings("ignore", category=PydanticDeprecatedSince211)
    from tests.gateway import tiny_service


class OwnRegistry(PrometheusClient):  # type: ignore[misc]
    """Metrics of one app, apart from those of every other test in this process."""

    def __init__(self) -> None:
        super().__init__(multiproc=False)
        self._registry = prometheus_client.CollectorRegistry()

    def generate_latest(self) -> bytes:
        return prometheus_client.generate_latest(self._registry)


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    """The backend behind the tiny service, as new."""
    fresh = FakeBackend()
    vars(tiny_service.BACKEND).update(vars(fresh))
    yield tiny_service.BACKEND
    vars(tiny_service.BACKEND).update(vars(FakeBackend()))


@pytest.fixture
async def app(backend: FakeBackend) -> AsyncIterator[Any]:
    """The ASGI app as a server would get it, started."""
    BentoMLContainer.metrics_client.set(OwnRegistry())
    asgi = tiny_service.SERVICE.to_asgi()
    async with running(asgi):
        yield asgi
    BentoMLContainer.metrics_client.reset()


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a valid key."""
    async with caller(app, {"X-API-Key": tiny_service.KEY}) as client:
        yield client


@pytest.fixture
async def stranger(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a key."""
    async with caller(app, {}) as client:
        yield client
