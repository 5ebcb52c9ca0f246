"""The service is told to stop while it is in use: what it accepted it answers, then it ends, every process of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import A_WHILE, ONE_RUNNER, Server, running
from tests.e2e.test_history import stored

pytestmark = pytest.mark.e2e

CLIENTS = 30
NOT_ACCEPTED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)
"""A connection over which nothing has come when the port is shut is reset by the system where no process had taken it,
and else closed."""
SYMBOLS = ("AAPL", "MSFT", "XOM", "KO", "PFE")


@dataclass
class Seen:
    """By clients of a service that is told to stop: ids of forecasts, errors, what `/readyz` said since, and how many
    seconds after it the last client was refused.
    """

    forecasts: list[str] = field(default_factory=list)
    errors: list[httpx.TransportError] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    ended_after: float = 0.0


@pytest.mark.parametrize(("stop", "layout"), [("supervisor", "per_model"), ("everybody", ONE_RUNNER)])
def test_what_was_accepted_is_answered_and_every_process_ends(
    stop: str, layout: str, tmp_path: Path, model_set_dir: Path
):
    """``everybody``: the signal goes to every process at once, as some process managers send it."""
    settings = {"MODEL_SET_DIR": str(model_set_dir), "RUNNER_LAYOUT": layout}
    with running("service:DeepFinance", tmp_path, **settings) as server:
        family = server.family()
        told = family if stop == "everybody" else family[:1]
        seen = asyncio.run(_stopped_under_load(server, lambda: _tell(told)))
        _, alive = psutil.wait_procs(family, timeout=A_WHILE)
    assert not alive
    assert server.returncode() == 0
    assert seen.ended_after < A_WHILE
    assert httpx.ConnectError in {type(error) for error in seen.errors}
    assert all(isinstance(error, NOT_ACCEPTED) for error in seen.errors), seen.errors
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "graceful shutdown exceeded" not in log, "uvicorn's word for requests that it gives up"
    assert set(seen.ready) == {503}, "before it stops listening it says that it is not ready"
    assert stored(tmp_path / "state") == set(seen.forecasts)


def _tell(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)


async def _stopped_under_load(server: Server, stop: Callable[[], None]) -> Seen:
    """What became of every request until the last client was refused."""
    seen, enough = Seen(), asyncio.Event()

    async def ask(client: httpx.AsyncClient, first: int) -> None:
        for number in range(first, 100_000):
            # each its own forecast, which is stored
            level = 0.5 + (CLIENTS * number + first) % 40_000 / 100_000
            body = {"symbol": SYMBOLS[number % len(SYMBOLS)], "horizon": 1 + number % 90, "confidence_level": level}
            try:
                answer = await client.post("/api/v1/predict", json=body)
                assert (answer.status_code, answer.json().get("degraded")) == (200, []), answer.text
                seen.forecasts.append(answer.json()["forecast_id"])
                if answer.headers.get("connection") == "close":  # it was told to stop
                    seen.ready.append((await client.get("/readyz")).status_code)
            except httpx.TransportError as error:
                seen.errors.append(error)
                return
            if len(seen.forecasts) == 5 * CLIENTS:
                enough.set()

    async with server.async_client() as client:
        asking = [asyncio.create_task(ask(client, 7 * number)) for number in range(CLIENTS)]
        await asyncio.wait_for(enough.wait(), 2 * A_WHILE)
        told_at = time.monotonic()
        stop()
        await asyncio.gather(*asking)
        seen.ended_after = time.monotonic() - told_at
    return seen
