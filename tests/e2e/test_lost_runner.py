"""A model's process is killed while the service is in use."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


RUNNER_TIMEOUT = 3.0
"""Seconds that a call to a runner may take: who waits for a dead one waits as long."""


def test_a_killed_runner_is_named_until_it_is_back(breakable: Server):
    answers, checks = asyncio.run(_watch_a_loss(breakable, "LstmRunner"))
    assert {status for _, _, status, _ in answers} == {200}
    assert max(seconds for _, seconds, _, _ in answers) < 5
    named = [degraded for _, _, _, degraded in answers]
    assert ["lstm"] in named
    assert all(degraded in ([], ["lstm"]) for degraded in named)
    assert named[-1] == []
    assert max(seconds for seconds, _, _ in checks) < RUNNER_TIMEOUT
    assert "degraded" in {status for _, status, _ in checks}
    assert {ready for _, _, ready in checks} == {200}


@pytest.mark.parametrize("runner", ["XgboostRunner", "TransformerRunner"])
def test_a_request_right_after_a_death_does_not_wait_for_the_dead(breakable: Server, runner: str):
    with breakable.client() as client:
        breakable.runner(runner).kill()
        time.sleep(0.3)
        started = time.monotonic()
        answer = client.post("/api/v1/predict", json={"symbol": "PFE", "horizon": 33})
        took = time.monotonic() - started
        status = client.get("/api/v1/models/status").json()["members"]
    assert answer.status_code == 200
    lost = {it["name"] for it in status if it["circuit"] == "open"}
    assert runner.removesuffix("Runner").lower() in lost
    assert set(answer.json()["degraded"]) <= lost
    assert answer.json()["degraded"]
    assert took < RUNNER_TIMEOUT


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
        tasks = []
        while time.monotonic() - started < 60:
            tasks += [asyncio.create_task(ask(client, symbol)) for symbol in ("AAPL", "MSFT", "XOM")]
            tasks.append(asyncio.create_task(check(client)))
            await asyncio.sleep(0.4)
            if any(it[3] for it in answers) and all(it[3] == [] for it in answers[-6:]):
                break
        await asyncio.gather(*tasks)
    return sorted(answers), checks
