"""Clients that ask for a bit of everything, and a note of what became of every request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.market import SYMBOLS
from tests.e2e.server import Server

PATIENCE = 30.0
"""Seconds until a client gives up: far more than an answer may take, so that a long one is measured, not cut off."""
MIX = {"predict": 76, "batch": 10, "history": 10, "risk": 4}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. ``status`` is 0 where nothing came; ``missing`` what the answer says that it lacks; ``computed`` the
    ids of forecasts in it that were made for it."""

    kind: str
    began: float
    seconds: float
    status: int
    error: str
    retry_after: bool
    missing: tuple[str, ...]
    computed: tuple[str, ...]


class Clients:
    """``samples`` grows while they run. Times are of ``time.monotonic``."""

    def __init__(self, server: Server, count: int, pause: float, seed: int = 1) -> None:
        self.samples: list[Sample] = []
        self._server, self._count, self._pause = server, count, pause
        self._chance = random.Random(seed)
        self._over = False

    async def ask_until_refused(self) -> None:
        """Every client stops at its first refused connection after ``stop_when_refused``, and tries again before."""
        limits = httpx.Limits(max_connections=self._count)
        async with httpx.AsyncClient(
            base_url=self._server.url, headers=self._server.client().headers, timeout=PATIENCE, limits=limits
        ) as client:
            await asyncio.gather(*(self._ask_on(client) for _ in range(self._count)))

    def stop_when_refused(self) -> None:
        self._over = True

    async def _ask_on(self, client: httpx.AsyncClient) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._pause))
        while True:
            sample = await self._ask(client)
            if sample is None and self._over:
                return
            if sample is not None:
                self.samples.append(sample)
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pause)

    async def _ask(self, client: httpx.AsyncClient) -> Sample | None:
        """None where the connection was refused after the service was told to stop: nothing was accepted."""
        kind = self._chance.choices(list(MIX), list(MIX.values()))[0]
        began = time.monotonic()
        try:
            answer = await client.send(self._request(client, kind))
        except httpx.ConnectError as error:
            return None if self._over else self._failed(kind, began, error)
        except httpx.TransportError as error:
            return self._failed(kind, began, error)
        body = answer.json()
        return Sample(
            kind,
            began,
            time.monotonic() - began,
            answer.status_code,
            body["error"]["code"] if "error" in body else "",
            "retry-after" in answer.headers,
            tuple(sorted({name for each in _forecasts(body) for name in each["degraded"]})),
            tuple(each["forecast_id"] for each in _forecasts(body) if not each["cached"]),
        )

    def _failed(self, kind: str, began: float, error: Exception) -> Sample:
        return Sample(kind, began, time.monotonic() - began, 0, type(error).__name__, False, (), ())

    def _request(self, client: httpx.AsyncClient, kind: str) -> httpx.Request:
        if kind == "predict":
            return client.build_request("POST", "/api/v1/predict", json=self._question())
        if kind == "batch":
            body = {"requests": [self._question() for _ in range(5)]}
            return client.build_request("POST", "/api/v1/predict/batch", json=body)
        symbol = self._chance.choice(SYMBOLS)
        if kind == "history":
            return client.build_request("GET", f"/api/v1/predict/{symbol}/history", params={"limit": 5})
        return client.build_request("POST", "/api/v1/risk", json={"symbol": symbol, "period_days": 250})

    def _question(self) -> dict[str, Any]:
        return {"symbol": self._chance.choice(SYMBOLS), "horizon": self._chance.randint(1, 90)}


def _forecasts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that were made now: of an answer, or of the items of a batch. Stored ones are no answers."""
    if "forecast_id" in body:
        yield body
    for item in body.get("results", ()):
        if "forecast" in item and item["forecast"] is not None:
            yield item["forecast"]
