"""What a real server forecast is settled when its day is over."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from market.bundled import BundledSource
from tests.e2e.server import A_WHILE, ANYWHERE, eventually, running

pytestmark = pytest.mark.e2e


def stored(state: Path) -> set[str]:
    """What is in the database or, if the end came too soon for that, in the journal."""
    with sqlite3.connect(state / "history.db") as connection:
        found = {row[0] for row in connection.execute("SELECT forecast_id FROM forecasts")}
    for file in (state / "history-journal").glob("*.jsonl"):
        found |= {json.loads(line)["forecast_id"] for line in file.read_text().splitlines()}
    return found


def write_prices(folder: Path, until: int) -> dict[str, float]:
    """The real prices of AAPL but for its last ``until`` bars, as a file that is never there by halves; its closes."""
    bars = asyncio.run(BundledSource().bars("AAPL", "1d"))
    days = np.datetime_as_string(bars.times, unit="D")[: len(bars) - until or None]
    closes = dict(zip(days.tolist(), bars.total_return_close.tolist(), strict=False))
    lines = ["date,close", *(f"{day},{close}" for day, close in closes.items())]
    draft = folder / "draft"
    draft.write_text("\n".join(lines) + "\n")
    os.replace(draft, folder / "AAPL.csv")
    return closes


def settled(client: httpx.Client, within: float = A_WHILE) -> dict[str, Any]:
    end = time.monotonic() + within
    while time.monotonic() < end:
        page = client.get("/api/v1/predict/AAPL/history", params={"settled": "true", "horizon": 5}).json()
        if page["forecasts"]:
            found: dict[str, Any] = page["forecasts"][0]
            return found
        time.sleep(0.2)
    raise AssertionError("nothing was settled")


def _known(client: httpx.Client) -> list[tuple[str, str]]:
    """(id, state) of what was forecast."""
    page = client.get("/api/v1/predict/AAPL/history", params={"horizon": 5}).json()
    return [(each["forecast_id"], each["state"]) for each in page["forecasts"]]


def test_new_bars_settle_what_was_forecast(tmp_path: Path, model_set_dir: Path):
    prices = tmp_path / "prices"
    prices.mkdir()
    write_prices(prices, until=10)
    settings = {
        "MODEL_SET_DIR": str(model_set_dir),
        "DATA_DIR": str(prices),
        "SETTLEMENT_INTERVAL": "1",
        "DATA_CACHE_TTL": "0",
        "RUNNER_LAYOUT": ANYWHERE,
    }
    with running("service:DeepFinance", tmp_path / "home", **settings) as server, server.client() as client:
        made = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 5}).json()
        eventually(lambda: _known(client), "it is stored")
        time.sleep(2.5)  # it must not be settled with what there is
        assert _known(client) == [(made["forecast_id"], "pending")]
        closes = write_prices(prices, until=0)
        found = settled(client)
        board = client.get("/api/v1/scoreboard/live", params={"model": "ensemble"}).json()
    assert found["forecast_id"] == made["forecast_id"]
    assert (found["realised_date"], found["bars_ahead"]) == (made["target_date"], 5)
    assert found["realised_price"] == pytest.approx(closes[made["target_date"]])
    assert found["error"] == pytest.approx(
        (found["realised_price"] - made["prediction"]["price_target"]) / made["current_price"]
    )
    assert [row["n"] for row in board["rows"]] == [1]
