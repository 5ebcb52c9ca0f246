"""`python -m chaos.watch [--minutes 13] [--out docs/dashboards]`: two replicas in use, mishaps on the way, and a real
Prometheus with the rules of deploy/prometheus that watches them; then the dashboards are drawn from what it saw. It
begins five minutes before, as rates look back that far. Needs Debian's package ``prometheus``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from chaos.clients import Clients
from chaos.market import SYMBOLS
from chaos.prometheus import watching
from chaos.sockets import address_of, opened
from chaos.stack import Stack, stack
from chaos.tape import Tape
from deploy.grafana.draw import draw_all
from tests.e2e.server import KEY, Server, running

SLOW_KEY = "a-key-for-ten-a-minute"
LISTENERS = 12
SESSIONS_AT_ONCE, EVERY = 4, 60.0
"""How many sessions are over at once, and after how many seconds the next."""
BEFORE = 300.0
"""Seconds until the first moment that is drawn."""


@dataclass(frozen=True)
class Mishap:
    """From and until which part of the whole time; without ``undo`` it ends by itself."""

    begin: float
    name: str
    do: Callable[[Stack], object]
    end: float | None = None
    undo: Callable[[Stack], object] | None = None


MISHAPS = (
    Mishap(0.10, "LstmRunner killed", lambda it: it.kill_runner("LstmRunner")),
    Mishap(
        0.27,
        "TransformerRunner hangs",
        lambda it: it.server.runner("TransformerRunner").suspend(),
        0.30,
        lambda it: it.server.runner("TransformerRunner").resume(),
    ),
    Mishap(0.42, "source fails", lambda it: it.lose_source(), 0.55, lambda it: it.bring_back_source()),
    Mishap(0.66, "PostgreSQL killed", lambda it: it.postgres.kill(), 0.74, lambda it: it.postgres.bring_back()),
    Mishap(0.84, "Redis killed", lambda it: it.redis.kill(), 0.89, lambda it: it.redis.start()),
)
RUSH = (0.24, 0.32)
"""When more clients ask."""


async def _happen(it: Stack, mishap: Mishap, seconds: float) -> None:
    await asyncio.sleep(mishap.begin * seconds)
    await asyncio.to_thread(mishap.do, it)
    if mishap.undo is not None and mishap.end is not None:
        await asyncio.sleep((mishap.end - mishap.begin) * seconds)
        await asyncio.to_thread(mishap.undo, it)


async def _refused(server: Server) -> None:
    """Callers that ask for too much, or with a wrong key."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        while True:
            for key in (SLOW_KEY, SLOW_KEY, "wrong"):
                await client.get("/api/v1/symbols", headers={"X-API-Key": key})
            await asyncio.sleep(2)


async def _particular(server: Server) -> None:
    """Forecasts that nobody has asked for before, so that there is always something to store."""
    async with server.async_client() as client:
        for number in count():
            body = {"symbol": SYMBOLS[number % len(SYMBOLS)], "confidence_level": 0.5 + number % 49_000 / 100_000}
            await client.post("/api/v1/predict", json=body)
            await asyncio.sleep(0.5)


async def _sessions_end(tape: Tape) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(tape.show, SESSIONS_AT_ONCE)


async def _listen(server: Server) -> None:
    symbols = ("AAPL", "MSFT", "JPM", "XOM")
    listeners = [await opened(address_of(server)(KEY), symbols[each % len(symbols)]) for each in range(LISTENERS)]
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.gather(*(it.close() for it in listeners))


async def _rush(server: Server, seconds: float) -> None:
    clients = Clients(server, 24, 0.3, seed=2)
    await asyncio.sleep(RUSH[0] * seconds)
    asking = asyncio.create_task(clients.ask_until_refused())
    try:
        await asyncio.sleep((RUSH[1] - RUSH[0]) * seconds)
    finally:
        asking.cancel()


async def _mishaps(it: Stack, seconds: float) -> None:
    await asyncio.sleep(BEFORE)
    await asyncio.gather(_rush(it.server, seconds), *(_happen(it, mishap, seconds) for mishap in MISHAPS))


async def use(it: Stack, second: Server, tape: Tape, seconds: float) -> None:
    """Ask both, and let everything happen in the last ``seconds``."""
    doing = [
        Clients(it.server, 6, 0.5).ask_until_refused(),
        Clients(second, 2, 1.0).ask_until_refused(),
        _mishaps(it, seconds),
        _particular(it.server),
        _refused(it.server),
        _sessions_end(tape),
        _listen(it.server),
    ]
    tasks = [asyncio.create_task(each) for each in doing]
    await asyncio.sleep(BEFORE + seconds)
    failed = [error for task in tasks if task.done() and (error := task.exception())]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if failed:
        raise failed[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=13.0, help="that are drawn (13)")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"), help="for the pictures (docs/dashboards)")
    parser.add_argument("--keep", type=Path, help="where Prometheus' data is to stay")
    asked = parser.parse_args()
    keys: dict[str, Any] = {"ML_SERVICE_API_KEY": f"{KEY},{SLOW_KEY};name=slow;limit=10/minute"}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        tape = Tape(home / "prices")
        files: dict[str, Any] = {"DATA_DIR": str(tape.folder), "DATA_CACHE_TTL": "1", "SETTLEMENT_INTERVAL": "5"}
        with (
            stack(home, **keys) as it,
            running("service:DeepFinance", home / "second", DATA_PROVIDERS="files", **files) as second,
            watching([it.server, second], asked.keep or home / "prometheus", scrape="5s") as prometheus,
        ):
            asyncio.run(use(it, second, tape, 60 * asked.minutes))
            now = time.time()
            empty = draw_all(prometheus.url, now - 60 * asked.minutes, now, asked.out)
    sys.stdout.write("".join(f"shows nothing: {each}\n" for each in empty))
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
