"""The served answer while a live source works, fails and comes back; the source is a local imitation of Yahoo's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from market.calendars import ExchangeCalendars
from tests.e2e.server import A_WHILE, ANYWHERE, Server, eventually, running
from tests.market import vendor_server as wire
from tests.market.vendor_server import Answer, Asked, VendorServer

pytestmark = pytest.mark.e2e

ZONES = {"AAPL": ("XNYS", "America/New_York", "USD"), "VOD.L": ("XLON", "Europe/London", "GBp")}


@cache
def truth_of(calendar: str) -> wire.Truth:
    """400 sessions that are over, and one more that is still to end."""
    days = ExchangeCalendars().sessions_after(calendar, (datetime.now(UTC) - timedelta(days=700)).date(), 700)
    over = ExchangeCalendars().last_completed_session(calendar, datetime.now(UTC) - timedelta(minutes=20))
    return wire.truth(np.array([*[it for it in days if it <= over][-400:], next(it for it in days if it > over)]))


def chart(asked: Asked) -> Answer:
    symbol = asked.path.rpartition("/")[2]
    if symbol not in ZONES:
        return Answer({"chart": {"result": None, "error": {"code": "Not Found", "description": "delisted"}}}, 404)
    calendar, zone, currency = ZONES[symbol]
    truth = truth_of(calendar)
    body: Any = wire.yahoo_chart(truth, symbol, currency=currency, exchangeTimezoneName=zone)
    body["chart"]["result"][0]["timestamp"] = [wire.opening(day, ZoneInfo(zone)) for day in truth.all_days]
    return Answer(body)


@contextmanager
def imitation() -> Iterator[VendorServer]:
    """In a thread of its own, as the tests here block."""
    ready, loop, held = threading.Event(), asyncio.new_event_loop(), []

    async def serve() -> None:
        async with wire.vendor_server() as server:
            held.append((server, asyncio.Event()))
            ready.set()
            await held[0][1].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(A_WHILE)
    server, ended = held[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(A_WHILE)
        loop.close()


def forecast(server: Server, symbol: str) -> dict[str, Any]:
    with server.client() as client:
        answer = client.post("/api/v1/predict", json={"symbol": symbol})
    return {"status": answer.status_code, "retry_after": answer.headers.get("retry-after"), **answer.json()}


def source(server: Server) -> dict[str, Any]:
    with server.client() as client:
        checks: dict[str, Any] = client.get("/api/v1/health").json()["checks"]["sources"][0]
    return checks


def eventually_lacks(server: Server, symbol: str, lacking: list[str]) -> dict[str, Any]:
    """The first forecast whose ``degraded`` is that: a source that is slow, too, is gone without."""
    seen: list[dict[str, Any]] = []

    def is_so() -> bool:
        seen.append(forecast(server, symbol))
        return bool(seen[-1].get("degraded") == lacking)

    eventually(is_so, f"{symbol} lacks {lacking}")
    return seen[-1]


def eventually_is(server: Server, state: str) -> None:
    eventually(lambda: source(server)["state"] == state, f"the source is {state}")


def test_live_prices_their_loss_and_their_return(tmp_path: Path, model_set_dir: Path):
    with imitation() as vendor:
        vendor.answer = chart
        settings = {
            "DATA_PROVIDERS": "yahoo,bundled",
            "DATA_ADDRESSES": f"yahoo={vendor.url}",
            "MODEL_SET_DIR": str(model_set_dir),
            "RUNNER_LAYOUT": ANYWHERE,
        }
        with running(
            "service:DeepFinance", tmp_path, **settings, DATA_CACHE_TTL="1", PREDICTION_CACHE_TTL="0"
        ) as server:
            for symbol, (calendar, _, currency) in ZONES.items():
                body, truth = eventually_lacks(server, symbol, []), truth_of(calendar)
                assert body["current_price"] == pytest.approx(truth.close[-1])
                assert (body["currency"], body["as_of"]) == (currency, str(truth.days[-1]))
                assert (body["data"]["provider"], body["data"]["bars"]) == ("yahoo", 400)
            eventually_is(server, "ok")

            vendor.answer = Answer("oops", 500)
            time.sleep(2.5)
            lost = eventually_lacks(server, "AAPL", ["source:yahoo"])
            assert (lost["status"], lost["data"]["provider"], lost["data"]["stale"]) == (200, "yahoo", True)
            assert lost["data"]["age_seconds"] >= 2
            assert lost["current_price"] == pytest.approx(truth_of("XNYS").close[-1])
            never_seen = forecast(server, "KO")
            assert (never_seen["data"]["provider"], never_seen["degraded"]) == ("bundled", ["source:yahoo"])
            nowhere = forecast(server, "SAP.DE")
            assert (nowhere["status"], nowhere["error"]["code"]) == (503, "source_unavailable")
            assert int(nowhere["retry_after"]) >= 1
            assert source(server)["state"] in ("failing", "open", "half_open")

            vendor.answer = chart
            eventually_lacks(server, "AAPL", [])
            eventually_is(server, "ok")
