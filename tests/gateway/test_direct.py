"""What is answered past the framework is, to the byte, what the framework's route would have answered."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from errors import RunnerUnavailable, SourceUnavailable, UnknownSymbol
from gateway.direct import Direct
from gateway.door import Door
from gateway.options import GatewayOptions
from tests.gateway.calling import assert_error, caller
from tests.gateway.fakes import FakeBackend

KEY = "a-key-for-tests-0123456789"
OPTIONS = GatewayOptions(api_keys=(KEY,), rate_limit="1000000/minute", frontend_origin="https://app.example")

PREDICT, BATCH = "/api/v1/predict", "/api/v1/predict/batch"
BODIES: list[tuple[str, bytes]] = [
    (PREDICT, b'{"symbol": "AAPL"}'),
    (PREDICT, b'{"symbol": "aapl", "horizon": 90, "models": ["lstm"], "confidence_level": 0.5}'),
    (PREDICT, b'{"symbol": "AAPL", "weights": {"lstm": 2, "xgboost": 1}}'),
    (PREDICT, b""),
    (PREDICT, b"{"),
    (PREDICT, b"[]"),
    (PREDICT, b'"AAPL"'),
    (PREDICT, b"null"),
    (PREDICT, b"\xff\xfe"),
    (PREDICT, b"{}"),
    (PREDICT, b'{"symbol": "AAPL", "horizon": 0}'),
    (PREDICT, b'{"symbol": "AAPL", "horizon": "5"}'),
    (PREDICT, b'{"symbol": "AAPL", "confidence_level": NaN}'),
    (PREDICT, b'{"symbol": "AAPL", "weights": {"lstm": Infinity}}'),
    (PREDICT, b'{"symbol": "AAPL", "models": ["nope"]}'),
    (PREDICT, b'{"symbol": "AAPL", "nonsense": 1}'),
    (PREDICT, b'{"symbol": "AAPL", "timeframe": "1h"}'),
    (PREDICT, b'{"symbol": "not a symbol"}'),
    (BATCH, b'{"requests": [{"symbol": "AAPL"}, {"symbol": "AAPL", "horizon": 0}, 7]}'),
    (BATCH, b'{"requests": []}'),
    (BATCH, b'{"requests": 5}'),
    (BATCH, b""),
]


@pytest.fixture
async def direct(backend: Any):
    async with caller(Door(Direct(nowhere, lambda: backend, 0.2), OPTIONS), {"X-API-Key": KEY}) as client:
        yield client


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"{scope['path']} was let through")


def what_stays(response: httpx.Response) -> tuple[Any, ...]:
    """All of a response but what is its own each time."""
    each_time = (
        "x-request-id",
        "x-response-time",
        "x-bentoml-request-id",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    )
    headers = {name: value for name, value in response.headers.items() if name not in each_time}
    body = response.text.replace(response.headers["x-request-id"], "ID")
    return response.status_code, headers, body


@pytest.mark.parametrize(("path", "body"), BODIES)
async def test_both_ways_answer_the_same(path: str, body: bytes, client: httpx.AsyncClient, direct: httpx.AsyncClient):
    headers = {"Content-Type": "application/json"}
    answers = [await each.post(path, content=body, headers=headers) for each in (direct, client)]
    assert what_stays(answers[0]) == what_stays(answers[1])


@pytest.mark.parametrize(
    "error", [UnknownSymbol("none"), RunnerUnavailable("no model"), SourceUnavailable("no source"), RuntimeError("?")]
)
async def test_both_ways_fail_the_same(
    error: Exception, backend: FakeBackend, client: httpx.AsyncClient, direct: httpx.AsyncClient
):
    backend.raises = error
    answers = [await each.post(PREDICT, json={"symbol": "AAPL"}) for each in (direct, client)]
    assert what_stays(answers[0]) == what_stays(answers[1])


async def test_what_takes_too_long_is_504(backend: FakeBackend):
    class Slow(FakeBackend):
        async def predict(self, requests):
            await asyncio.sleep(60)

    slow: Any = Slow
    async with caller(Door(Direct(nowhere, slow, 0.05), OPTIONS), {"X-API-Key": KEY}) as client:
        assert_error(await client.post(PREDICT, json={"symbol": "AAPL"}), 504, "timeout")


async def test_everything_else_is_passed_on(backend: Any):
    passed: list[tuple[str, str]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        passed.append((scope["method"], scope["path"]))
        await httpx_response(send)

    async with caller(Door(Direct(behind, lambda: backend, 1), OPTIONS), {"X-API-Key": KEY}) as client:
        await client.get(PREDICT)
        await client.get("/api/v1/models")
    assert passed == [("GET", PREDICT), ("GET", "/api/v1/models")]


async def httpx_response(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
