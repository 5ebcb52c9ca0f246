"""The service is told to stop while it is in use: what it accepted it answers, then it ends, every process of it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import ANYWHERE, Server, running

pytestmark = pytest.mark.e2e

CLIENTS = 30
SYMBOLS = ("AAPL", "MSFT", "XOM", "KO", "PFE")


@pytest.mark.parametrize("stop", ["supervisor", "everybody"])
def test_what_was_accepted_is_answered_and_every_process_ends(stop: str, tmp_path: Path, model_set_dir: Path):
    """``everybody``: the signal goes to every process at once, as some process managers send it."""
    with running("service:DeepFinance", tmp_path, MODEL_SET_DIR=str(model_set_dir)) as server:
        family = server.family()
        told = family if stop == "everybody" else family[:1]
        outcomes, ended_after = asyncio.run(_stopped_under_load(server, lambda: _tell(told)))
        _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert server.returncode() == 0
    assert ended_after < 15
    statuses = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert set(statuses) == {200}, outcomes
    assert len(statuses) > 2 * CLIENTS
    refused = [type(outcome) for outcome in outcomes if not isinstance(outcome, int)]
    # A connection that no process had taken from the system when the port was shut is reset by the system.
    assert httpx.ConnectError in refused
    assert set(refused) <= {httpx.ConnectError, httpx.ReadError}, refused
    assert "Traceback" not in server.log.read_text()
    with sqlite3.connect(tmp_path / "state" / "history.db") as history:
        assert history.execute("SELECT count(*) FROM forecasts").fetchone() == (len(statuses),)
    history.close()


def _tell(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)


async def _stopped_under_load(server: Server, stop: Callable[[], None]) -> tuple[list[int | Exception], float]:
    """What became of every request, and how long after the signal the last client was refused."""
    outcomes: list[int | Exception] = []

    async def ask(client: httpx.AsyncClient, first: int) -> None:
        for number in range(first, 100_000):
            # each its own forecast, which is stored
            level = 0.5 + (CLIENTS * number + first) % 40_000 / 100_000
            body = {"symbol": SYMBOLS[number % len(SYMBOLS)], "horizon": 1 + number % 90, "confidence_level": level}
            try:
                answer = await client.post("/api/v1/predict", json=body)
            except httpx.TransportError as error:
                outcomes.append(error)
                return
            outcomes.append(answer.status_code)
            degraded = answer.json().get("degraded")
            assert degraded == [], degraded

    async with server.async_client() as client:
        asking = [asyncio.create_task(ask(client, 7 * number)) for number in range(CLIENTS)]
        await asyncio.sleep(2)
        told_at = time.monotonic()
        stop()
        await asyncio.gather(*asking)
        return outcomes, time.monotonic() - told_at


def test_it_says_that_it_is_not_ready_before_it_stops_listening(tmp_path: Path, model_set_dir: Path):
    settings = {"MODEL_SET_DIR": str(model_set_dir), "RUNNER_LAYOUT": ANYWHERE}
    with running("service:DeepFinance", tmp_path, **settings) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["connection"] == "close"
        time.sleep(1.5)
        with pytest.raises(httpx.ConnectError):
            client.get("/readyz")
