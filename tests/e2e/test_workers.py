"""Several workers of one gateway, with nothing between them but a SQLite file: callers see one service."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.server import A_WHILE, ANYWHERE, KEY, Server, command_of, eventually, running
from tests.e2e.test_history import stored, write_prices
from tests.e2e.test_shutdown import NOT_ACCEPTED

pytestmark = pytest.mark.e2e

WORKERS, CONNECTIONS = 2, 16
MADE_ONCE = 20
LIMIT, LIMITED = 150, [f"a-key-with-a-limit-{number}" for number in range(5)]
STATE = Path("state")


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Price files of AAPL that end ten bars before what is known."""
    folder = tmp_path_factory.mktemp("prices")
    write_prices(folder, until=10)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def workers(home: Path, prices: Path, model_set_dir: Path) -> Iterator[Server]:
    settings = {
        "MODEL_SET_DIR": str(model_set_dir),
        "GATEWAY_WORKERS": str(WORKERS),
        "RUNNER_LAYOUT": ANYWHERE,
        "ML_SERVICE_API_KEY": ",".join([KEY, *(f"{it};name={it};limit={LIMIT}/hour" for it in LIMITED)]),
        "DATA_DIR": str(prices),
        "DATA_CACHE_TTL": "0",
        "SETTLEMENT_INTERVAL": "1",
    }
    with running("service:DeepFinance", home, **settings) as server:
        yield server


def test_they_are_one_service_until_the_end(workers: Server, home: Path, prices: Path):
    """In one test, as it ends the service."""
    given = asyncio.run(_ask(workers, 240))
    assert len(set(given)) == 240
    _all_are_counted(workers)
    _limited_together(workers)
    asyncio.run(_everybody_is_told(workers, lambda: write_prices(prices, until=0)))
    _settled_once(workers, home)
    given += asyncio.run(_ask_until_the_end(workers))
    assert workers.started.wait(A_WHILE) == 0
    assert set(given) <= stored(home / STATE)
    assert "Traceback" not in workers.log.read_text()


async def _ask(server: Server, count: int) -> list[str]:
    """The ids of so many different forecasts, asked for over several connections, some of them to each worker."""
    given: list[str] = []

    async def ask_in_turn(client: httpx.AsyncClient, first: int) -> None:
        for number in range(first, count, CONNECTIONS):
            body = {"symbol": "AAPL", "horizon": 1 + number % 40, "confidence_level": 0.5 + number // 40 / 100}
            answer = await client.post("/api/v1/predict", json=body)
            assert answer.status_code == 200, answer.text
            given.append(str(answer.json()["forecast_id"]))

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.async_client()) for _ in range(CONNECTIONS)]
        await _connect_evenly(server, clients)
        await asyncio.gather(*(ask_in_turn(client, number) for number, client in enumerate(clients)))
        assert len(_connected(server)) == WORKERS
        await _made_once(clients)
    return given


async def _connect_evenly(server: Server, clients: Sequence[httpx.AsyncClient]) -> None:
    """Left alone, a worker that has nothing to do may take every connection."""
    eventually(lambda: len(_workers(server)) == WORKERS, "every worker is there")
    workers = _workers(server)
    for number, client in enumerate(clients):
        held = workers[number % WORKERS]
        held.suspend()
        try:
            await client.get("/livez")
        finally:
            held.resume()


def _workers(server: Server) -> list[psutil.Process]:
    return [it for it in server.family() if "--service-name" in command_of(it)]


async def _made_once(clients: Sequence[httpx.AsyncClient]) -> None:
    """Asked by all at once, whichever worker they are connected to, they get the forecast that one of them made."""
    for number in range(MADE_ONCE):
        body = {"symbol": "AAPL", "horizon": 41 + number}
        answers = await asyncio.gather(*(client.post("/api/v1/predict", json=body) for client in clients))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["forecast_id"] for answer in answers}) == 1
    assert (await clients[0].get("/api/v1/models/status")).json()["gateway_workers"] == WORKERS


def _connected(server: Server) -> set[int]:
    """The processes that callers are connected to."""
    return {
        process.pid
        for process in server.family()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and server.url.endswith(f":{connection.laddr.port}")
    }


def _all_are_counted(server: Server) -> None:
    """Requests all of them, and forecasts as often as they were made: a worker that cannot ask the others in time makes
    one of its own, but not each time."""
    asked, once = 240 + MADE_ONCE * CONNECTIONS, 240 + MADE_ONCE

    def made() -> float:
        return server.metric("deepfinance_forecasts_total", result="ok")

    def requests() -> float:
        return server.metric("deepfinance_http_requests_total", endpoint="/api/v1/predict", status="200")

    eventually(lambda: requests() == asked and made() >= once, "everything is counted")
    assert made() < once + (WORKERS - 1) * MADE_ONCE


def _limited_together(server: Server) -> None:
    """Of one key's requests as many pass as may, whichever worker they come to. While the workers cannot ask each other
    in time each counts its own, for a second, so it is tried with some keys."""
    passed: list[int] = []
    for key in LIMITED:
        statuses = asyncio.run(_statuses(server, 2 * LIMIT, key))
        assert statuses.keys() <= {200, 429}
        passed.append(statuses[200])
        if passed[-1] <= 1.1 * LIMIT:
            break
        time.sleep(2)
    assert min(passed) >= LIMIT, passed
    assert passed[-1] <= 1.1 * LIMIT, passed


async def _statuses(server: Server, count: int, key: str) -> Counter[int]:
    """How requests end that ``key`` makes, over several connections, some of them to each worker."""
    statuses = Counter[int]()

    async def ask_in_turn(client: httpx.AsyncClient, first: int) -> None:
        for _ in range(first, count, CONNECTIONS):
            answer = await client.get("/api/v1/models/status", headers={"X-API-Key": key})
            statuses[answer.status_code] += 1

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.async_client()) for _ in range(CONNECTIONS)]
        await _connect_evenly(server, clients)
        await asyncio.gather(*(ask_in_turn(client, number) for number, client in enumerate(clients)))
    return statuses


async def _everybody_is_told(server: Server, change: Callable[[], object]) -> None:
    """Sockets, of whichever worker, get a forecast at once and another one when a price has changed."""
    url = f"{server.url.replace('http', 'ws')}/api/v1/stream?api_key={KEY}"
    async with AsyncExitStack() as stack:
        opened = [connect(url, open_timeout=A_WHILE, ping_timeout=A_WHILE) for _ in range(CONNECTIONS)]
        sockets = [await stack.enter_async_context(it) for it in opened]
        for socket in sockets:
            await socket.send('{"action": "subscribe", "symbol": "AAPL"}')
        first = await asyncio.gather(*map(_next_forecast, sockets))
        await asyncio.to_thread(change)
        second = await asyncio.gather(*map(_next_forecast, sockets))
    assert len({str(each["as_of"]) for each in first}) == len({str(each["as_of"]) for each in second}) == 1
    assert first[0]["as_of"] < second[0]["as_of"]


async def _next_forecast(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(A_WHILE):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "forecast":
                forecast: dict[str, Any] = message.get("forecast") or message
                return forecast


def _settled_once(server: Server, home: Path) -> None:
    """Those whose day is known by now, each by one of the workers."""
    asked = "SELECT count(*) FROM forecasts WHERE symbol = 'AAPL' AND state = ?"
    due = 240 // 40 * 9  # horizons 1 to 9 have ended before the last of ten bars
    with closing(sqlite3.connect(home / STATE / "history.db")) as connection:

        def settled() -> int:
            count: int = connection.execute(asked, ["settled"]).fetchone()[0]
            return count

        def all_once() -> bool:
            return server.metric("deepfinance_history_settled_total") == settled() >= due

        eventually(all_once, "what is due is settled, and counted once")
        time.sleep(1.5)  # another round
        eventually(all_once, "it still is")


async def _ask_until_the_end(server: Server) -> list[str]:
    """The ids of what was answered while the service was told to stop."""
    given: list[str] = []

    async def ask_on(first: int) -> None:
        for number in range(1, 100_000):
            body = {"symbol": "AAPL", "horizon": 1 + first, "confidence_level": 0.5 + number % 4_000 / 10_000}
            try:
                answer = await client.post("/api/v1/predict", json=body)
            except NOT_ACCEPTED:
                return
            assert answer.status_code == 200, answer.text
            given.append(str(answer.json()["forecast_id"]))

    async with server.async_client() as client:
        asking = [asyncio.create_task(ask_on(number)) for number in range(CONNECTIONS)]
        await asyncio.to_thread(eventually, lambda: len(given) > 5 * CONNECTIONS, "they are given forecasts")
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)
    return given
