"""A model's process is killed while the service is in use."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.e2e.server import A_WHILE, Server, eventually
from tests.e2e.shared import WHOLE_CALL, models_away

pytestmark = pytest.mark.e2e


def test_a_killed_runner_is_named_until_it_is_back(breakable: Server):
    answers, checks = asyncio.run(_watch_a_loss(breakable, "LstmRunner"))
    assert {status for _, _, status, _ in answers} == {200}
    assert max(seconds for _, seconds, _, _ in answers) < WHOLE_CALL, "nobody waits for the dead"
    named = [degraded for _, _, _, degraded in answers]
    assert ["lstm"] in named
    assert all(degraded in ([], ["lstm"]) for degraded in named)
    assert max(seconds for seconds, _, _ in checks) < WHOLE_CALL
    assert "degraded" in {status for _, status, _ in checks}
    assert {ready for _, _, ready in checks} == {200}


@pytest.mark.parametrize("runner", ["XgboostRunner", "TransformerRunner"])
def test_a_request_right_after_a_death_does_not_wait_for_the_dead(breakable: Server, runner: str):
    with breakable.client() as client:
        breakable.runner(runner).kill()
        eventually(lambda: models_away(client), "the gateway is told")
        started = time.monotonic()
        answer = client.post("/api/v1/predict", json={"symbol": "PFE", "horizon": 33})
        took = time.monotonic() - started
        lost = models_away(client)
    assert answer.status_code == 200
    assert runner.removesuffix("Runner").lower() in lost
    assert set(answer.json()["degraded"]) <= lost
    assert answer.json()["degraded"]
    assert took < WHOLE_CALL


async def _watch_a_loss(server: Server, runner: str) -> tuple[list[Any], list[Any]]:
    """Forecasts (when, seconds, status, degraded) and health (seconds, status, readiness) around a kill."""
    answers: list[Any] = []
    checks: list[Any] = []
    started = time.monotonic()

    async def ask(client: httpx.AsyncClient, symbol: str) -> None:
        at = time.monotonic()
        response = await client.post("/api/v1/predict", json={"symbol": symbol})
        answers.append((at - started, time.monotonic() - at, response.status_code, response.json().get("degraded")))

    async def check(client: httpx.AsyncClient) -> None:
        at = time.monotonic()
        health = await client.get("/api/v1/health")
        took = time.monotonic() - at
        ready = await client.get("/readyz")
        checks.append((took, health.json()["status"], ready.status_code))

    async with server.async_client() as client:
        server.runner(runner).kill()
        tasks: list[asyncio.Task[None]] = []
        while not (is_back := _is_back(answers)) and time.monotonic() - started < 2 * A_WHILE:
            tasks += [asyncio.create_task(ask(client, symbol)) for symbol in ("AAPL", "MSFT", "XOM")]
            tasks.append(asyncio.create_task(check(client)))
            await asyncio.sleep(0.4)
        await asyncio.gather(*tasks)
    assert is_back, answers[-6:]
    return answers, checks


def _is_back(answers: list[Any]) -> bool:
    """Whether something was missing and is no more."""
    return any(it[3] for it in answers) and all(it[3] == [] for it in answers[-6:])
