"""Gateway and runners as services of their own, on addresses of their own, joined by JSON: as in deploy/kubernetes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.e2e.deployment import Deployment, deployed
from tests.e2e.server import A_WHILE, KEY, Server
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import live_redis

pytestmark = pytest.mark.e2e

REPLICAS = {"xgboost": 1, "lstm": 2, "transformer": 1}
MOST_AT_ONCE = 20
ASKED = [{"symbol": symbol, "horizon": horizon} for symbol in ("AAPL", "XOM") for horizon in (1, 20)]
Answers = list[tuple[int, list[str], str]]
"""(status, degraded, forecast_id), in the order in which they were asked for."""


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, model_set_dir: Path) -> Iterator[Deployment]:
    """A gateway that has no runner of its own, and the runners."""
    with deployed(Deployment(tmp_path_factory.mktemp("apart"), model_set_dir, REPLICAS, gateways=1)) as deployment:
        yield deployment


@pytest.fixture
def replicated(tmp_path: Path, model_set_dir: Path) -> Iterator[Deployment]:
    """Two such gateways, which share a Redis and a PostgreSQL, and the runners."""
    # a short folder for PostgreSQL: the name of its socket may have 100 characters
    with TemporaryDirectory() as folder, closing(Postgres(Path(folder))) as postgres, live_redis() as redis:
        shared = {"REDIS_URL": redis.url, "DATABASE_URL": postgres.new_database()}
        with deployed(Deployment(tmp_path, model_set_dir, REPLICAS, gateways=2, **shared)) as deployment:
            yield deployment


def _forecasts(server: Server, **more: Any) -> list[dict[str, Any]]:
    with server.client() as client:
        answers = [client.post("/api/v1/predict", json=body | more).json() for body in ASKED]
    return [
        {name: value for name, value in answer.items() if name not in ("forecast_id", "cached")} for answer in answers
    ]


def test_forecasts_are_the_same_as_on_one_machine(apart: Deployment, server: Server):
    assert _forecasts(apart["gateway-1"]) == _forecasts(server)
    assert _forecasts(apart["gateway-1"], explain=True) == _forecasts(server, explain=True)


def test_the_gateway_has_no_runner_of_its_own(apart: Deployment):
    assert set(apart["gateway-1"].services()) == {"DeepFinance"}


def test_a_runner_takes_json_and_no_pickle(apart: Deployment):
    refused = httpx.post(
        f"{apart['lstm-2'].url}/predict",
        content=b"\x80\x04.",
        headers={"Content-Type": "application/vnd.bentoml+pickle"},
        timeout=A_WHILE,
    )
    assert refused.status_code == 415


async def test_a_replica_may_go_under_load_and_nobody_notices(apart: Deployment):
    async with _asking(apart, "JPM") as answers:
        await _more(answers, 10)
        await asyncio.to_thread(apart.lose, "lstm-1")
        await _more(answers, 20)
    assert {(status, tuple(degraded)) for status, degraded, _ in answers} == {(200, ())}


async def test_the_last_replica_may_go_and_come_back_under_load(apart: Deployment):
    async with _asking(apart, "XOM") as answers:
        await _more(answers, 10)
        await asyncio.to_thread(apart.lose, "transformer-1")
        await _more(answers, 10)
        await asyncio.to_thread(apart.start, "transformer-1")
        await _until(lambda: all(not degraded for _, degraded, _ in answers[-10:]))
    assert {status for status, _, _ in answers} == {200}
    named = [degraded for _, degraded, _ in answers]
    assert all(degraded in ([], ["transformer"]) for degraded in named)
    assert ["transformer"] in named


@pytest.mark.long
async def test_replicas_are_replaced_one_by_one_and_no_request_fails(replicated: Deployment):
    """A runner is lost and comes back; each gateway is taken out of rotation, stopped, started and put back."""
    async with _asking(replicated, "KO") as answers:
        await _more(answers, 10)
        await asyncio.to_thread(replicated.lose, "lstm-1")
        await _more(answers, 20)
        await asyncio.to_thread(replicated.start, "lstm-1")
        logs = [replicated[it].log for it in replicated.gateways]
        await _until(lambda: all(re.search("lstm at .* answers again", log.read_text()) for log in logs))
        for gateway in replicated.gateways:
            assert await asyncio.to_thread(replicated.stop, gateway) == 0
            await asyncio.to_thread(replicated.start, gateway)
        await _more(answers, 10)
    assert len(answers) > 50
    assert {(status, tuple(degraded)) for status, degraded, _ in answers} == {(200, ())}
    made = {forecast_id for _, _, forecast_id in answers}
    await _until(lambda: _stored(replicated["gateway-1"], "KO") == made)


@asynccontextmanager
async def _asking(deployment: Deployment, symbol: str) -> AsyncIterator[Answers]:
    """The answers to ten requests a second, to one gateway after the other, for as long as the block takes; fewer where
    MOST_AT_ONCE have none yet."""
    answers: Answers = []
    tasks: list[asyncio.Task[None]] = []
    async with httpx.AsyncClient(headers={"X-API-Key": KEY}, timeout=A_WHILE) as client:

        async def ask(number: int) -> None:
            url = deployment.rotation[number % len(deployment.rotation)]
            # each its own forecast: one that is kept asks no model
            body = {"symbol": symbol, "horizon": 1 + number % 90, "confidence_level": 0.5 + number % 400 / 1000}
            answer = await client.post(f"{url}/api/v1/predict", json=body)
            answers.append((answer.status_code, answer.json().get("degraded"), answer.json().get("forecast_id")))

        async def ask_on() -> None:
            while True:
                if len(tasks) - len(answers) < MOST_AT_ONCE:
                    tasks.append(asyncio.create_task(ask(len(tasks))))
                await asyncio.sleep(0.1)

        asking = asyncio.create_task(ask_on())
        try:
            yield answers
        finally:
            asking.cancel()
            await asyncio.gather(*tasks)


async def _more(answers: Answers, count: int) -> None:
    """Until so many more have come."""
    enough = len(answers) + count
    await _until(lambda: len(answers) >= enough)


async def _until(check: Callable[[], bool], patience: float = 2 * A_WHILE) -> None:
    end = time.monotonic() + patience
    while not await asyncio.to_thread(check):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


def _stored(gateway: Server, symbol: str) -> set[str]:
    """The ids in the history, as any gateway tells."""
    found: set[str] = set()
    page: dict[str, Any] = {"limit": 200}
    with gateway.client() as client:
        while True:
            told = client.get(f"/api/v1/predict/{symbol}/history", params=page).json()
            found |= {entry["forecast_id"] for entry in told["forecasts"]}
            if not told["next_cursor"]:
                return found
            page["cursor"] = told["next_cursor"]
