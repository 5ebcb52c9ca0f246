"""Clients that ask for a bit of everything, and a note of what became of every request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from chaos.market import SYMBOLS
from tests.e2e.server import KEY, Server

PATIENCE = 30.0
"""Seconds until a client gives up: far more than an answer may take, so that a long one is measured, not cut off."""
MIX = {"predict": 76, "batch": 10, "history": 10, "risk": 4}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. ``seconds`` is what the client waited, which its own machine may lengthen, and ``served`` what the
    service says it took until its answer began; ``status`` is 0 where nothing came; ``missing`` is what the answer says
    that it lacks; ``computed`` the ids of forecasts in it that were made for it."""

    kind: str
    began: float
    seconds: float
    served: float
    status: int
    error: str
    retry_after: bool
    missing: tuple[str, ...]
    computed: tuple[str, ...]


class Clients:
    """``samples`` grows while they run. Times are of ``time.monotonic``. Each request goes to one of the addresses in
    ``rotation``, which may change meanwhile and ends them when it is empty; to ``server`` where there is none."""

    def __init__(
        self, server: Server, count: int, pause: float, seed: int = 1, rotation: Sequence[str] | None = None
    ) -> None:
        self.samples: list[Sample] = []
        self._rotation = [server.url] if rotation is None else rotation
        self._count, self._pause = count, pause
        self._chance = random.Random(seed)
        self._over = False

    async def ask_until_refused(self) -> None:
        """Every client stops at its first refused or closed connection after ``stop_when_refused``, and tries again
        before."""
        connector = aiohttp.TCPConnector(limit=self._count)
        async with aiohttp.ClientSession(
            headers={"X-API-Key": KEY},
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            connector=connector,
        ) as client:
            await asyncio.gather(*(self._ask_on(client) for _ in range(self._count)))

    def stop_when_refused(self) -> None:
        self._over = True

    async def _ask_on(self, client: aiohttp.ClientSession) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._pause))
        while rotation := tuple(self._rotation):
            sample = await self._ask(client, self._chance.choice(rotation))
            if sample is None and self._over:
                return
            if sample is not None:
                self.samples.append(sample)
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pause)

    async def _ask(self, client: aiohttp.ClientSession, url: str) -> Sample | None:
        """None where the connection was refused, or closed without a word, after the service was told to stop: nothing
        was accepted."""
        kind = self._chance.choices(list(MIX), list(MIX.values()))[0]
        began = time.monotonic()
        try:
            async with self._request(client, f"{url}/api/v1", kind) as answer:
                content = await answer.read()
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            return None if self._over else self._failed(kind, began, error)
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._failed(kind, began, error)
        seconds, body = time.monotonic() - began, orjson.loads(content)
        return Sample(
            kind,
            began,
            seconds,
            float(answer.headers["X-Response-Time"]),
            answer.status,
            body["error"]["code"] if "error" in body else "",
            "Retry-After" in answer.headers,
            tuple(sorted({name for each in _forecasts(body) for name in each["degraded"]})),
            tuple(each["forecast_id"] for each in _forecasts(body) if not each["cached"]),
        )

    def _failed(self, kind: str, began: float, error: Exception) -> Sample:
        return Sample(kind, began, time.monotonic() - began, 0.0, 0, type(error).__name__, False, (), ())

    def _request(self, client: aiohttp.ClientSession, address: str, kind: str) -> Any:
        if kind == "predict":
            return client.post(f"{address}/predict", json=self._question())
        if kind == "batch":
            body = {"requests": [self._question() for _ in range(5)]}
            return client.post(f"{address}/predict/batch", json=body)
        symbol = self._chance.choice(SYMBOLS)
        if kind == "history":
            return client.get(f"{address}/predict/{symbol}/history", params={"limit": "5"})
        return client.post(f"{address}/risk", json={"symbol": symbol, "period_days": 250})

    def _question(self) -> dict[str, Any]:
        return {"symbol": self._chance.choice(SYMBOLS), "horizon": self._chance.randint(1, 90)}


def _forecasts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that were made now: of an answer, or of the items of a batch. Stored ones are no answers."""
    if "forecast_id" in body:
        yield body
    for item in body.get("results", ()):
        if "forecast" in item and item["forecast"] is not None:
            yield item["forecast"]
