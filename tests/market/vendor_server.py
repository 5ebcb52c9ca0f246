"""A local server that speaks each vendor's protocol, well or badly, and the true prices that it speaks of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np

NOW = datetime(2024, 3, 15, 15, 0, tzinfo=UTC)
"""A Friday; New York has been open for an hour and a half."""
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Answer:
    """What the server does with a request. ``cut``: promise the whole body and send half. ``wait``: seconds before."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    wait: float = 0.0

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes | str):
            return self.body.encode() if isinstance(self.body, str) else self.body
        return json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class VendorServer:
    """Answers with ``answer``: an Answer, or a function of what was asked. Keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[Asked], Answer] = Answer()
        self.asked: list[Asked] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await self._reply(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, head: str, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.split("\r\n")
        target = urlsplit(first.split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        asked = Asked(target.path, {name: values[0] for name, values in parse_qs(target.query).items()}, headers)
        self.asked.append(asked)
        answer = self.answer(asked) if callable(self.answer) else self.answer
        await asyncio.sleep(answer.wait)
        content = answer.content
        told = {"Content-Length": str(len(content)), "Connection": "close", **answer.headers}
        writer.write(f"HTTP/1.1 {answer.status} x\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in told.items()).encode() + b"\r\n")
        writer.write(content[: len(content) // 2] if answer.cut else content)
        await writer.drain()


@asynccontextmanager
async def vendor_server() -> AsyncIterator[VendorServer]:
    made = VendorServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@dataclass(frozen=True)
class Truth:
    """Completed bars (n_bars,) and one still forming; ``days`` and closes are what a source must answer."""

    days: Any
    close: Any
    forming_day: Any
    forming_close: float

    @property
    def all_days(self) -> Any:
        return np.append(self.days, self.forming_day)

    @property
    def all_closes(self) -> Any:
        return np.append(self.close, self.forming_close)


def truth(days: Any) -> Truth:
    """Wandering prices for these days, the last of which is still forming."""
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, len(days)))), 2)
    return Truth(days[:-1], close[:-1], days[-1], float(close[-1]))


def opening(day: Any, zone: ZoneInfo = NEW_YORK, hour: int = 9, minute: int = 30) -> int:
    """Epoch seconds of the opening of that day."""
    date = np.datetime64(day, "D").astype(object)
    return int(datetime(date.year, date.month, date.day, hour, minute, tzinfo=zone).timestamp())


def candles(close: Any) -> dict[str, list[float | None]]:
    return {
        "open": [float(it) for it in close],
        "high": [round(float(it) * 1.001, 4) for it in close],
        "low": [round(float(it) * 0.999, 4) for it in close],
        "close": [float(it) for it in close],
        "volume": [1000 + i for i in range(len(close))],
    }


def yahoo_chart(it: Truth, symbol: str = "AAPL", **meta: Any) -> dict[str, Any]:
    """As https://query2.finance.yahoo.com/v8/finance/chart answers; adjclose is half a percent below close."""
    return {
        "chart": {
            "result": [
                {
                    "meta": {
                        "currency": "USD",
                        "symbol": symbol,
                        "exchangeName": "NMS",
                        "fullExchangeName": "NasdaqGS",
                        "instrumentType": "EQUITY",
                        "regularMarketTime": int(NOW.timestamp()),
                        "regularMarketPrice": it.forming_close,
                        "gmtoffset": -14400,
                        "exchangeTimezoneName": "America/New_York",
                        "longName": "Apple Inc.",
                        "dataGranularity": "1d",
                        **meta,
                    },
                    "timestamp": [opening(day) for day in it.all_days],
                    "indicators": {
                        "quote": [candles(it.all_closes)],
                        "adjclose": [{"adjclose": [float(close) * 0.995 for close in it.all_closes]}],
                    },
                }
            ],
            "error": None,
        }
    }


def finnhub_candles(it: Truth) -> dict[str, Any]:
    bars = candles(it.all_closes)
    stamps = [opening(day, hour=0, minute=0) for day in it.all_days]
    return {**{name[0]: values for name, values in bars.items()}, "s": "ok", "t": stamps}


def alpha_vantage_daily(it: Truth, symbol: str = "AAPL", splits: dict[str, float] | None = None) -> dict[str, Any]:
    """As TIME_SERIES_DAILY_ADJUSTED answers, newest first: prices as traded, texts for numbers."""
    rows = {}
    for day, close in zip(it.all_days, it.all_closes, strict=True):
        ratio = (splits or {}).get(str(day), 1.0)
        rows[str(day)] = {
            "1. open": f"{close:.4f}",
            "2. high": f"{close * 1.001:.4f}",
            "3. low": f"{close * 0.999:.4f}",
            "4. close": f"{close:.4f}",
            "5. adjusted close": f"{close * 0.995:.4f}",
            "6. volume": "1000",
            "7. dividend amount": "0.0000",
            "8. split coefficient": f"{ratio:.1f}",
        }
    meta = {"1. Information": "Daily Prices", "2. Symbol": symbol, "5. Time Zone": "US/Eastern"}
    return {"Meta Data": meta, "Time Series (Daily)": dict(reversed(rows.items()))}


def alpha_vantage_plain(it: Truth) -> dict[str, Any]:
    """As TIME_SERIES_DAILY answers: without adjusted closes and splits."""
    kept = ("1. open", "2. high", "3. low", "4. close")
    body = alpha_vantage_daily(it)
    rows = body["Time Series (Daily)"]
    plain = {day: {**{name: row[name] for name in kept}, "5. volume": "1000"} for day, row in rows.items()}
    return {**body, "Time Series (Daily)": plain}


def klines(it: Truth) -> list[list[Any]]:
    bars = candles(it.all_closes)
    day = 86_400_000
    starts = [int(np.datetime64(each, "ms").astype(np.int64)) for each in it.all_days]
    columns = zip(*(bars[name] for name in ("open", "high", "low", "close", "volume")), strict=True)
    return [
        [start, *(f"{value:.8f}" for value in row), start + day - 1, "0", 5, "0", "0", "0"]
        for start, row in zip(starts, columns, strict=True)
    ]


def klines_page(it: Truth) -> Callable[[Asked], Answer]:
    """The page that startTime and limit ask for."""
    rows = klines(it)

    def page(asked: Asked) -> Answer:
        start, limit = int(asked.query["startTime"]), int(asked.query["limit"])
        return Answer([row for row in rows if row[0] >= start][:limit])

    return page
