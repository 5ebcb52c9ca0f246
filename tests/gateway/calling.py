"""Ways to talk to an ASGI app, and what every answer must look like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx


def caller(app: Any, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """A client in process. An exception that reaches the server fails the test, as it would hang a caller."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=dict(headers))


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[None]:
    """Start and stop the app through the lifespan protocol, in a task of its own as servers do."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
        await task


def assert_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The status, the one shape, and what every response carries; returns what stands under ``error``."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) >= {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["message"]
    assert all(set(detail) == {"field", "problem"} for detail in error["details"])
    assert error["request_id"] == response.headers["x-request-id"]
    assert_stamped(response)
    return error


def assert_stamped(response: httpx.Response) -> None:
    """The headers that no response goes without, each once."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", response.headers["x-request-id"])
    assert re.fullmatch(r"\d+\.\d+", response.headers["x-response-time"])
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "cache-control" in response.headers
    assert "server" not in response.headers
    names = [name for name, _ in response.headers.multi_items() if name != "vary"]
    assert len(names) == len(set(names))


def fields_of(error: Mapping[str, Any]) -> list[str]:
    """Where the details say the problems are."""
    return [detail["field"] for detail in error["details"]]
