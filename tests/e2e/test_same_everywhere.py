"""The same forecast, computed or kept, from memory or Redis, remembered in SQLite or PostgreSQL."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.e2e.server import A_WHILE, ANYWHERE, Server, running
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import LiveRedis, live_redis

pytestmark = pytest.mark.e2e

SYMBOLS = ("AAPL", "XOM", "^GSPC")
LEVEL = 0.8765
"""Which nobody else asks a shared server for."""
QUESTIONS = [
    {"symbol": symbol, "horizon": horizon, "confidence_level": LEVEL} for symbol in SYMBOLS for horizon in (1, 20, 90)
]
OF_THE_MOMENT = {"cached"}
CACHE = "deepfinance_cache_requests_total"


def asked(server: Server, cached: bool, unless: int = 0) -> list[dict[str, Any]]:
    """The answers to all questions, each of which says whether it was kept, but for ``unless``; without what may
    differ."""
    with server.client() as client:
        answers = [client.post("/api/v1/predict", json=question).json() for question in QUESTIONS]
    others = [answer for answer in answers if answer["cached"] != cached]
    # nobody waits long for Redis: where it does not answer within 50 ms it counts as an error
    assert len(others) <= unless + server.metric(CACHE, layer="redis", result="error")
    assert len(others) < len(QUESTIONS)
    return [{name: value for name, value in answer.items() if name not in OF_THE_MOMENT} for answer in answers]


def in_redis(redis: LiveRedis) -> int:
    """How many of the forecasts got there, once it has them all; the first may have been too busy to wait for it."""
    end = time.monotonic() + 5
    with redis.client() as client:
        while (kept := len(client.keys("*:forecast:*"))) < len(QUESTIONS) and time.monotonic() < end:
            time.sleep(0.05)
    return kept


def remembered(server: Server, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the history says of these answers, once it has them all, but for when they were made."""
    wanted = {answer["forecast_id"] for answer in asked}
    end = time.monotonic() + A_WHILE
    with server.client() as client:
        while time.monotonic() < end:
            kept = [each for symbol in SYMBOLS for each in _page(client, symbol) if each["forecast_id"] in wanted]
            if len(kept) == len(wanted):
                break
            time.sleep(0.05)
    kept = [{name: value for name, value in each.items() if name != "made_at"} for each in kept]
    return sorted(kept, key=lambda each: each["forecast_id"])


def _page(client: httpx.Client, symbol: str) -> list[dict[str, Any]]:
    page = client.get(f"/api/v1/predict/{symbol}/history", params={"settled": "false", "limit": 200})
    found: list[dict[str, Any]] = page.json()["forecasts"]
    return found


def test_it_does_not_matter_where_a_forecast_is_kept(server: Server, model_set_dir: Path):
    # settled at once they could not be compared: the bundled prices are old
    settings = {
        "MODEL_SET_DIR": str(model_set_dir),
        "SETTLEMENT_INTERVAL": "3600",
        "PREDICTION_CACHE_TTL": "600",
        "RUNNER_LAYOUT": ANYWHERE,
    }
    computed = asked(server, cached=False)
    assert asked(server, cached=True) == computed
    in_sqlite = remembered(server, computed)
    assert len(in_sqlite) == len(QUESTIONS)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with closing(Postgres(home / "postgres")) as postgres, live_redis() as redis:
            shared = {**settings, "REDIS_URL": redis.url, "DATABASE_URL": postgres.new_database()}
            with running("service:DeepFinance", home / "first", **shared) as first:
                assert asked(first, cached=False) == computed
                assert remembered(first, computed) == in_sqlite
                not_told = len(QUESTIONS) - in_redis(redis)
            with running("service:DeepFinance", home / "second", **shared) as second:
                assert asked(second, cached=True, unless=not_told) == computed  # made by the first, given by Redis
                assert remembered(second, computed) == in_sqlite
