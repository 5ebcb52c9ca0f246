"""A live source to take away: the local imitation of Yahoo's, with the same made-up prices for every symbol."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import orjson

from market.calendars import ExchangeCalendars
from tests.market import vendor_server as wire
from tests.market.vendor_server import Answer, Asked, VendorServer

SYMBOLS = ("AAPL", "MSFT", "JPM", "XOM", "KO", "GE", "PFE", "WMT", "^GSPC")
AWAY = Answer("oops", 500)


def chart(asked: Asked) -> Answer:
    """What Yahoo answers."""
    return _chart(asked.path.rpartition("/")[2].replace("%5E", "^"))


@cache
def _chart(symbol: str) -> Answer:
    if symbol not in SYMBOLS:
        return Answer({"chart": {"result": None, "error": {"code": "Not Found", "description": "delisted"}}}, 404)
    kind = "INDEX" if symbol.startswith("^") else "EQUITY"
    return Answer(orjson.dumps(wire.yahoo_chart(_truth(), symbol, instrumentType=kind)))


@cache
def _truth() -> wire.Truth:
    """400 sessions that are over, and one more that is still to end."""
    now, calendars = datetime.now(UTC), ExchangeCalendars()
    days = calendars.sessions_after("XNYS", (now - timedelta(days=700)).date(), 700)
    over = calendars.last_completed_session("XNYS", now - timedelta(minutes=20))
    return wire.truth(np.array([*[it for it in days if it <= over][-400:], next(it for it in days if it > over)]))


@contextmanager
def imitation() -> Iterator[VendorServer]:
    """The server in a thread of its own: clients must not wait for it, nor it for them."""
    ready, loop, held = threading.Event(), asyncio.new_event_loop(), []

    async def serve() -> None:
        async with wire.vendor_server() as server:
            ended = asyncio.Event()
            held.append((server, ended))
            ready.set()
            await ended.wait()

    _truth()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(60)
    (server, ended), *_ = held
    server.answer = chart
    try:
        yield server
    finally:
        server_gone: Any = ended.set
        loop.call_soon_threadsafe(server_gone)
        thread.join(60)
        loop.close()
