from __future__ import annotations

import asyncio
from typing import Any

import prometheus_client
import pytest

from gateway.draining import Draining
from gateway.measurements import TrafficMetrics
from gateway.traffic import PathTemplates, Traffic


@pytest.fixture
def metrics() -> TrafficMetrics:
    class Client:
        """BentoML's, with a registry of its own."""

        registry = prometheus_client.CollectorRegistry()

        def __getattr__(self, name: str) -> Any:
            kind = getattr(prometheus_client, name)
            return lambda *args, **options: kind(*args, registry=self.registry, **options)

    return TrafficMetrics(Client())


async def test_open_websockets_are_told_and_nothing_follows(metrics: TrafficMetrics) -> None:
    draining, sent = Draining(), list[dict[str, Any]]()
    go_on, inbox = asyncio.Event(), asyncio.Queue[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await go_on.wait()
        await send({"type": "websocket.send", "text": "too late"})

    async def send(message: Any) -> None:
        sent.append(message)

    traffic = Traffic(app, PathTemplates([]), metrics, draining)
    conversation = asyncio.create_task(traffic({"type": "websocket", "path": "/api/v1/stream"}, inbox.get, send))
    await asyncio.sleep(0.01)
    await asyncio.gather(*(callback() for callback in draining._on_begin))
    go_on.set()
    await conversation
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == 1001


async def test_answers_close_their_connection_once_draining(metrics: TrafficMetrics) -> None:
    draining, sent = Draining(), list[dict[str, Any]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    traffic = Traffic(app, PathTemplates([]), metrics, draining)
    scope = {"type": "http", "path": "/x", "method": "GET"}
    await traffic(scope, asyncio.Queue[Any]().get, send)
    draining.active = True
    await traffic(scope, asyncio.Queue[Any]().get, send)
    heads = [message["headers"] for message in sent if message["type"] == "http.response.start"]
    assert heads == [[], [(b"connection", b"close")]]


async def test_in_a_process_that_no_server_runs_nothing_is_taken_over() -> None:
    draining = Draining()
    draining.take_over()
    assert not draining.active
