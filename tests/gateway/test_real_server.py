"""The same gateway behind a real `bentoml serve`: what only a server and its HTTP parser can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import free_port
from tests.gateway.calling import assert_error, assert_stamped
from tests.gateway.tiny_service import KEY

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tiny service listens; stopped afterwards with all its processes."""
    home = tmp_path_factory.mktemp("bentoml")
    port = free_port()
    environment = {
        **os.environ,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "1",
        "PYTHONPATH": str(ROOT),
        "TINY_SECONDS": "8",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "tests.gateway.tiny_service:Tiny"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_alive(url, server, home / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def _wait_until_alive(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 240
    while time.monotonic() < give_up and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, headers={"X-API-Key": KEY}, timeout=60) as client:
        yield client


async def test_200_at_once_each_get_their_own(client: httpx.AsyncClient) -> None:
    bodies = [{"symbol": ("AAPL", "MSFT", "JPM")[i % 3], "horizon": 1 + i % 90} for i in range(200)]
    answers = await asyncio.gather(*(client.post("/api/v1/predict", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert [(it.json()["symbol"], it.json()["horizon"]) for it in answers] == [
        (body["symbol"], body["horizon"]) for body in bodies
    ]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 200


@pytest.mark.parametrize("with_length", [True, False])
async def test_10_mb_are_refused_and_the_server_lives(client: httpx.AsyncClient, with_length: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    content = b"x" * 10 * 1024 * 1024 if with_length else chunks()
    headers = {"Content-Type": "application/json"}
    response = await client.post("/api/v1/predict", content=content, headers=headers)
    assert_error(response, 413, "payload_too_large")
    assert (await client.get("/livez")).status_code == 200


async def test_head_get_and_unknown_paths(client: httpx.AsyncClient) -> None:
    head = await client.head("/api/v1/health")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    assert_stamped(await client.get("/docs"))
    assert_error(await client.get("/api/v1/nowhere"), 404, "not_found")
    assert_error(await client.get("/api/v1/predict"), 405, "method_not_allowed")


async def test_a_slow_answer_is_given_up(client: httpx.AsyncClient) -> None:
    assert_error(await client.post("/api/v1/predict", json={"symbol": "SLOW"}), 504, "timeout")


async def test_metrics_are_served_and_templated(client: httpx.AsyncClient) -> None:
    await client.get("/some/odd/path")
    await client.get("/api/v1/symbols/AAPL")
    metrics = (await client.get("/metrics")).text
    assert "/some/odd/path" not in metrics
    assert 'endpoint="/api/v1/symbols/{symbol}"' in metrics


async def test_a_websocket_without_a_key_is_401(client: httpx.AsyncClient) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "X-API-Key": "wrong",
    }
    response = await client.get("/api/v1/stream", headers=upgrade)
    assert_error(response, 401, "unauthorized")
