"""`python -m chaos.replicas [--seconds 120] [--clients 30]`: two gateways that share a Redis and a PostgreSQL, and two
replicas of each model, all of them services on addresses of their own. While clients ask, replicas are killed and come
back, and the gateways are replaced one after the other. Prints what the clients saw; the exit status is 1 if a request
was not answered with all that it asked for, or a forecast is not stored."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos import kept
from chaos.clients import Clients, Sample
from chaos.events import Event
from chaos.verdict import Observed, faults, table
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.server import ROOT
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import live_redis

REPLICAS = {"xgboost": 2, "lstm": 2, "transformer": 2}
GATEWAYS = 2
MODEL_SET = ROOT / "models_store" / "current"
KEPT = {"PREDICTION_CACHE_TTL": "2", "RUNNER_TIMEOUT": "3"}
"""Short, so that the models are asked all the time; and the usual time for them."""


@dataclass(frozen=True)
class Pieces:
    """What runs, and where the forecasts end up."""

    deployment: Deployment
    database_url: str
    home: Path

    async def stored(self) -> set[str]:
        """The ids of all forecasts that are in the database."""
        return await kept.stored(self.database_url)

    def in_journals(self) -> set[str]:
        """The ids of those that the next start of a gateway will write into it."""
        return kept.journalled(self.home.glob("gateway-*/state/history-journal/*.jsonl"))

    def kill_process(self, runner: str) -> None:
        """The model's process alone: its supervisor starts another."""
        self.deployment[runner].family()[-1].kill()

    def replace(self, gateway: str) -> None:
        """As a rolling restart does; raises where it did not end in order."""
        status = self.deployment.stop(gateway)
        if status != 0:
            raise RuntimeError(f"{gateway} ended with status {status}")
        self.deployment.start(gateway)


PLAN = (
    Event(0.00, "nothing", lambda it: None),
    Event(0.12, "lstm-1 killed", lambda it: it.deployment.lose("lstm-1")),
    Event(0.28, "lstm-1 back", lambda it: it.deployment.start("lstm-1")),
    Event(0.42, "xgboost-2 killed", lambda it: it.deployment.lose("xgboost-2")),
    Event(0.52, "xgboost-2 back", lambda it: it.deployment.start("xgboost-2")),
    Event(0.62, "process of transformer-1", lambda it: it.kill_process("transformer-1")),
    Event(0.72, "gateway-1 replaced", lambda it: it.replace("gateway-1")),
    Event(0.86, "gateway-2 replaced", lambda it: it.replace("gateway-2")),
)


@contextmanager
def pieces(home: Path) -> Iterator[Pieces]:
    """Everything, runners before gateways; gone at the end."""
    with closing(Postgres(home / "postgres")) as postgres, live_redis() as redis:
        url = postgres.new_database()
        shared = {"REDIS_URL": redis.url, "DATABASE_URL": url, **KEPT}
        with deployed(Deployment(home, MODEL_SET, REPLICAS, GATEWAYS, **shared)) as deployment:
            yield Pieces(deployment, url, home)


async def observe(it: Pieces, seconds: float, count: int, pause: float) -> Observed:
    """Let clients ask while the plan happens, until the last gateway is out of rotation."""
    deployment = it.deployment
    clients = Clients(deployment[deployment.gateways[0]], count, pause, rotation=deployment.rotation)
    asking = asyncio.create_task(clients.ask_until_refused())
    await asyncio.sleep(2 * pause)
    times = await _happen(it, seconds)
    statuses = [await asyncio.to_thread(deployment.stop, name) for name in deployment.gateways]
    await asyncio.wait_for(asking, 60)
    wrong = next((status for status in statuses if status != 0), 0)
    return Observed(times, clients.samples, await it.stored(), it.in_journals(), wrong, PLAN)


async def _happen(it: Pieces, seconds: float) -> list[float]:
    """One event after the other, each at its time or when the one before is over; when each began."""
    started, times = time.monotonic(), list[float]()
    for event in PLAN:
        await asyncio.sleep(max(0.0, started + event.at * seconds - time.monotonic()))
        times.append(time.monotonic())
        await asyncio.to_thread(event.do, it)
    await asyncio.sleep(max(0.0, started + seconds - time.monotonic()))
    return times


def failures(samples: Sequence[Sample]) -> list[str]:
    """Requests that were not answered with all that they asked for: there is a second one of everything."""
    return [
        f"{it.kind} was answered {it.status or 'not at all'} {it.error}, lacking {', '.join(it.missing) or 'nothing'}"
        for it in samples
        if it.status != 200 or it.missing
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="until the gateways are stopped (120)")
    parser.add_argument("--clients", type=int, default=30, help="that ask at the same time (30)")
    parser.add_argument("--pause", type=float, default=0.4, help="mean seconds between two requests of a client (0.4)")
    asked = parser.parse_args()
    load, started = os.getloadavg()[0], time.monotonic()
    with TemporaryDirectory() as folder, pieces(Path(folder)) as it:
        seen = asyncio.run(observe(it, asked.seconds, asked.clients, asked.pause))
        logs = [file.read_bytes() for file in it.home.glob("gateway-*/server.log")]
    wrong = [*failures(seen.samples), *faults(seen)]
    wrong += ["a gateway wrote a traceback"] if any(b"Traceback" in log for log in logs) else []
    took = f"{time.monotonic() - started:.0f} s in all, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    sys.stdout.write("\n".join([table(seen), took, *(f"WRONG: {each}" for each in wrong[:20])]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
