"""The real service with a real Redis, a real PostgreSQL and a live source, each of which can be taken away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import kept
from chaos.market import AWAY, chart, imitation
from tests.e2e.server import Server, running
from tests.market.vendor_server import VendorServer
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import LiveRedis, live_redis

RUNNERS = {"XgboostRunner": "xgboost", "LstmRunner": "lstm", "TransformerRunner": "transformer"}
SETTINGS = {
    "DATA_PROVIDERS": "yahoo",
    "RUNNER_LAYOUT": "per_model",
    "RUNNER_TIMEOUT": "3",  # the usual one
    "DATA_CACHE_TTL": "4",  # short, so that the source and the cache are needed all the time
    "PREDICTION_CACHE_TTL": "4",
}


@dataclass(frozen=True)
class Stack:
    """Everything that runs. What the methods do takes effect at once, but for PostgreSQL, which needs a second."""

    server: Server
    redis: LiveRedis
    postgres: Postgres
    database_url: str
    source: VendorServer
    journals: Path

    def kill_runner(self, name: str) -> None:
        self.server.runner(name).kill()

    def lose_source(self) -> None:
        self.source.answer = AWAY

    def bring_back_source(self) -> None:
        self.source.answer = chart

    def terminate(self) -> None:
        self.server.process.send_signal(signal.SIGTERM)

    async def stored(self) -> set[str]:
        """The ids of all forecasts that are in the database."""
        return await kept.stored(self.database_url)

    def in_journal(self) -> set[str]:
        """The ids of those that the next start will write into it."""
        return kept.journalled(self.journals.glob("*.jsonl"))

    async def ended(self, within: float = 60.0) -> int | None:
        """The exit status of the service, None where it has not ended."""
        for _ in range(round(within / 0.1)):
            if self.server.returncode() is not None:
                break
            await asyncio.sleep(0.1)
        return self.server.returncode()


@contextmanager
def stack(home: Path, model_set: Path | None = None, **options: Any) -> Iterator[Stack]:
    """Started in the order in which each needs the other; stopped and gone at the end. ``options`` are settings."""
    postgres = Postgres(home / "postgres")
    try:
        url = postgres.new_database()
        with (home / "postgres" / "postgresql.conf").open("a") as more:  # else its recovery reads every file there is
            more.write("recovery_init_sync_method = syncfs\n")
        with live_redis() as redis, imitation() as source:
            settings: dict[str, Any] = {
                **SETTINGS,
                "REDIS_URL": redis.url,
                "DATABASE_URL": url,
                "DATA_ADDRESSES": f"yahoo={source.url}",
                **({} if model_set is None else {"MODEL_SET_DIR": str(model_set)}),
                **options,
            }
            with running("service:DeepFinance", home / "service", **settings) as server:
                yield Stack(server, redis, postgres, url, source, home / "service" / "state" / "history-journal")
    finally:
        postgres.close()
