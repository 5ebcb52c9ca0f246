"""The same forecast, computed or kept, from memory or Redis, remembered in SQLite or PostgreSQL."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.e2e.server import ANYWHERE, Server, running
from tests.storage.history.postgres import Postgres
from tests.storage.live_redis import live_redis

pytestmark = pytest.mark.e2e

QUESTIONS = [{"symbol": symbol, "horizon": horizon} for symbol in ("AAPL", "XOM", "^GSPC") for horizon in (1, 20, 90)]
OF_THE_MOMENT = {"cached"}


def asked(server: Server, cached: bool) -> list[dict[str, Any]]:
    """The answers to all questions, each of which says whether it was kept; without what may differ."""
    with server.client() as client:
        answers = [client.post("/api/v1/predict", json=question).json() for question in QUESTIONS]
    assert [answer["cached"] for answer in answers] == [cached] * len(QUESTIONS)
    return [{name: value for name, value in answer.items() if name not in OF_THE_MOMENT} for answer in answers]


def remembered(server: Server) -> list[dict[str, Any]]:
    """What the history says of them, once it has them all, but for when they were made."""
    with server.client() as client:
        for _ in range(50):
            found = [each for symbol in ("AAPL", "XOM", "^GSPC") for each in _page(client, symbol)]
            if len(found) == len(QUESTIONS):
                break
            time.sleep(0.2)
    kept = [{name: value for name, value in each.items() if name != "made_at"} for each in found]
    return sorted(kept, key=lambda each: each["forecast_id"])


def _page(client: httpx.Client, symbol: str) -> list[dict[str, Any]]:
    page = client.get(f"/api/v1/predict/{symbol}/history", params={"settled": "false"})
    found: list[dict[str, Any]] = page.json()["forecasts"]
    return found


def test_it_does_not_matter_where_a_forecast_is_kept(model_set_dir: Path):
    # settled at once they could not be compared: the bundled prices are old
    common = {
        "MODEL_SET_DIR": str(model_set_dir),
        "SETTLEMENT_INTERVAL": "3600",
        "PREDICTION_CACHE_TTL": "600",
        "RUNNER_LAYOUT": ANYWHERE,
    }
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with running("service:DeepFinance", home / "plain", **common) as plain:
            computed = asked(plain, cached=False)
            assert asked(plain, cached=True) == computed
            in_sqlite = remembered(plain)
        with closing(Postgres(home / "postgres")) as postgres, live_redis() as redis:
            shared = {**common, "REDIS_URL": redis.url, "DATABASE_URL": postgres.new_database()}
            with running("service:DeepFinance", home / "first", **shared) as first:
                assert asked(first, cached=False) == computed
                assert remembered(first) == in_sqlite
            with running("service:DeepFinance", home / "second", **shared) as second:
                assert asked(second, cached=True) == computed  # made by the first, given by Redis
                assert remembered(second) == in_sqlite
    assert len(in_sqlite) == len(QUESTIONS)
