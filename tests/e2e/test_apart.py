"""Gateway and runners as services of their own, on addresses of their own, joined by JSON: as in deploy/kubernetes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.server import KEY, ROOT, Server, environment, free_port, running, serving
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import live_redis

pytestmark = pytest.mark.e2e

RUNNERS = {"xgboost": "127.0.0.2", "lstm": "127.0.0.3", "transformer": "127.0.0.4"}
ASKED = [{"symbol": symbol, "horizon": horizon} for symbol in ("AAPL", "XOM") for horizon in (1, 20)]


@contextmanager
def runner(name: str, home: Path, port: int, model_set_dir: Path) -> Iterator[Server]:
    """A model served on its own, as `SERVICE=LstmRunner` makes a container do."""
    entry = f"service:{name.capitalize()}Runner"
    command = [sys.executable, "-m", "bentoml", "serve", entry, "--host", RUNNERS[name], "--port", str(port)]
    env = environment(home, MODEL_SET_DIR=str(model_set_dir))
    with serving(command, port, home, ROOT, env, RUNNERS[name]) as started:
        yield started


@contextmanager
def gateway_of(runners: dict[str, Server], home: Path, port: int | None = None, **settings: str) -> Iterator[Server]:
    """A gateway that has these runners."""
    urls = ",".join(f"{name}={each.url}" for name, each in runners.items())
    joined = {"RUNNER_URLS": urls, "RUNNER_LAYOUT": "per_model"}
    with running("service:DeepFinance", home, port=port, **joined, **settings) as started:
        yield started


@pytest.fixture(scope="module")
def apart(
    tmp_path_factory: pytest.TempPathFactory, model_set_dir: Path
) -> Iterator[tuple[Server, dict[str, Server], ExitStack]]:
    """A gateway with no runner of its own, the runners, and what ends with the module."""
    with ExitStack() as stack:
        runners = {
            name: stack.enter_context(runner(name, tmp_path_factory.mktemp(name), free_port(), model_set_dir))
            for name in RUNNERS
        }
        settings = {
            "MODEL_SET_DIR": str(model_set_dir),
            "PREDICTION_CACHE_TTL": "0",
        }
        gateway = stack.enter_context(gateway_of(runners, tmp_path_factory.mktemp("gateway"), **settings))
        yield gateway, runners, stack


def _forecasts(server: Server, **more: Any) -> list[dict[str, Any]]:
    with server.client() as client:
        answers = [client.post("/api/v1/predict", json=body | more).json() for body in ASKED]
    return [
        {name: value for name, value in answer.items() if name not in ("forecast_id", "cached")} for answer in answers
    ]


def test_forecasts_are_the_same_as_on_one_machine(apart, server: Server):
    gateway, *_ = apart
    assert _forecasts(gateway) == _forecasts(server)
    assert _forecasts(gateway, explain=True) == _forecasts(server, explain=True)


def test_the_gateway_has_no_runner_of_its_own(apart):
    gateway, *_ = apart
    started = [process.cmdline() for process in gateway.family()]
    assert not [command for command in started if any(f"{name.capitalize()}Runner" in command for name in RUNNERS)]


def test_a_runner_takes_json_and_no_pickle(apart):
    _, runners, _ = apart
    refused = httpx.post(
        f"{runners['lstm'].url}/predict",
        content=b"\x80\x04.",
        headers={"Content-Type": "application/vnd.bentoml+pickle"},
    )
    assert refused.status_code == 415


def test_a_runner_may_go_and_come_back_under_load(apart, model_set_dir: Path):
    gateway, runners, stack = apart
    lost = runners["lstm"]
    port, home = int(lost.url.rpartition(":")[2]), lost.log.parent

    def restart() -> None:
        """As a lost machine and its replacement would look from here."""
        for process in reversed(lost.family()):
            process.kill()
        lost.started.wait(5)
        runners["lstm"] = stack.enter_context(runner("lstm", home, port, model_set_dir))

    answers = asyncio.run(_ask_while(gateway, restart))
    assert {status for status, _ in answers} == {200}
    named = [degraded for _, degraded in answers]
    assert all(degraded in ([], ["lstm"]) for degraded in named)
    assert ["lstm"] in named
    assert named[-1] == []


async def _ask_while(gateway: Server, change: Callable[[], None]) -> list[tuple[int, list[str]]]:
    """(status, degraded) of forecasts before, during and after ``change``, in the order in which they were asked."""
    changed = asyncio.Event()

    async def ask(client: httpx.AsyncClient, horizon: int) -> tuple[int, list[str]]:
        answer = await client.post("/api/v1/predict", json={"symbol": "JPM", "horizon": 1 + horizon % 90})
        return answer.status_code, answer.json().get("degraded")

    async def ask_on(client: httpx.AsyncClient) -> list[tuple[int, list[str]]]:
        tasks = []
        while not changed.is_set():
            tasks.append(asyncio.create_task(ask(client, len(tasks))))
            await asyncio.sleep(0.1)
        return [await task for task in tasks]

    async with gateway.async_client() as client:
        asking = asyncio.create_task(ask_on(client))
        await asyncio.sleep(1)
        await asyncio.to_thread(change)
        await asyncio.sleep(6)
        changed.set()
        return await asking


@pytest.mark.long
async def test_gateways_are_replaced_one_by_one_and_no_request_fails(apart, model_set_dir: Path, tmp_path: Path):
    """Two gateways share Redis and PostgreSQL; each is taken out of rotation, stopped, started and put back."""
    _, runners, _ = apart
    database = Postgres(tmp_path / "postgres")
    with live_redis() as redis, ExitStack() as stack:
        shared = {
            "REDIS_URL": redis.url,
            "DATABASE_URL": database.new_database(),
            "MODEL_SET_DIR": str(model_set_dir),
        }
        stack.callback(database.close)
        rotation: list[str] = []
        started: dict[int, tuple[Server, ExitStack]] = {}

        def start(port: int, home: Path) -> None:
            own = stack.enter_context(ExitStack())
            started[port] = own.enter_context(gateway_of(runners, home, port, **shared)), own
            rotation.append(started[port][0].url)

        async def replace(port: int, home: Path) -> None:
            server, own = started[port]
            rotation.remove(server.url)
            await asyncio.sleep(0.5)  # as preStop does, until everybody has heard
            await asyncio.to_thread(own.close)
            assert server.returncode() == 0
            await asyncio.to_thread(start, port, home)

        places = {free_port(): tmp_path / name for name in ("first", "second")}
        for port, home in places.items():
            start(port, home)
        ended = asyncio.Event()
        asking = asyncio.create_task(_ask_in_rotation(rotation, ended))
        for port, home in places.items():
            await replace(port, home)
        await asyncio.sleep(1)
        ended.set()
        answers = await asking
        assert len(answers) > 50
        assert {(status, tuple(degraded)) for status, degraded, _ in answers} == {(200, ())}
        assert await _stored(rotation) == {forecast_id for _, _, forecast_id in answers}


async def _ask_in_rotation(rotation: list[str], ended: asyncio.Event) -> list[tuple[int, list[str], str]]:
    """(status, degraded, forecast_id) of ten requests a second, to one gateway after the other."""

    async def ask(client: httpx.AsyncClient, url: str, horizon: int) -> tuple[int, list[str], str]:
        answer = await client.post(f"{url}/api/v1/predict", json={"symbol": "JPM", "horizon": horizon})
        return answer.status_code, answer.json().get("degraded"), answer.json().get("forecast_id")

    tasks = []
    async with httpx.AsyncClient(headers={"X-API-Key": KEY}, timeout=30) as client:
        while not ended.is_set():
            number = len(tasks)
            tasks.append(asyncio.create_task(ask(client, rotation[number % len(rotation)], 1 + number % 45)))
            await asyncio.sleep(0.1)
        return [await task for task in tasks]


async def _stored(rotation: list[str]) -> set[str]:
    """What is in the history, as any gateway tells, once all of it has been written."""
    await asyncio.sleep(2)
    async with httpx.AsyncClient(headers={"X-API-Key": KEY}, timeout=30) as client:
        answer = await client.get(f"{rotation[0]}/api/v1/predict/JPM/history", params={"limit": 200})
    return {entry["forecast_id"] for entry in answer.json()["forecasts"]}
