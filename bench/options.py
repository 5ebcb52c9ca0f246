"""What a chain of 500 options costs beside one: whole requests, with validation, pricing, Greeks and the JSON.

    python -m bench.options                                          through the mounted routes, in this process
    python -m bench.options --url http://127.0.0.1:3000 --key KEY    through a service that runs

One and the chain are asked for in turn, so that both meet the same machine. Wall time is the median, processor time
(of this process, so only without --url) the median too: others that use the machine stretch the first by far more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from gateway.routes import build_routes
from offload import Offload
from options_desk import OptionsDesk

CONTRACTS = 500
ROUNDS, WARM_UP = 40, 5


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds."""

    wall: float
    processor: float


def chain(style: str, n: int) -> list[dict[str, Any]]:
    """Strikes around the spot and ten expiries, calls and puts, as a chain on one share has them."""
    strikes, expiries = np.linspace(70, 130, -(-n // 20)), np.linspace(0.05, 2, 10)
    grid = [(kind, strike, time) for time in expiries for strike in strikes for kind in ("call", "put")]
    return [
        {
            "type": kind,
            "style": style,
            "spot": 100.0,
            "strike": float(strike),
            "rate": 0.04,
            "dividend_yield": 0.015,
            "volatility": 0.15 + abs(float(strike) - 100) / 400,
            "time_to_expiry": float(time),
        }
        for kind, strike, time in grid[:n]
    ]


async def taken(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Taken:
    """By one request; raises where it, or a contract in it, is not answered."""
    sent = json.dumps(body)
    processor, start = time.process_time(), time.perf_counter()
    response = await client.post(path, content=sent, headers={"content-type": "application/json"})
    found = Taken(time.perf_counter() - start, time.process_time() - processor)
    response.raise_for_status()
    if any(answer["status"] != 200 for answer in response.json().get("results", [])):
        raise RuntimeError(f"{path} did not answer every contract")
    return found


async def in_turn(client: httpx.AsyncClient, path: str, *bodies: dict[str, Any]) -> list[Taken]:
    """The medians of each body."""
    rounds = [[await taken(client, path, body) for body in bodies] for _ in range(ROUNDS + WARM_UP)][WARM_UP:]
    return [
        Taken(statistics.median(it.wall for it in each), statistics.median(it.processor for it in each))
        for each in zip(*rounds, strict=True)
    ]


async def measured(style: str, what: str, client: httpx.AsyncClient) -> list[Taken]:
    """For one contract, and for the chain."""
    contracts, path = chain(style, CONTRACTS), "/options/price"
    if what == "implied volatility":
        results = (await client.post(path, json={"contracts": contracts})).json()["results"]
        contracts = [
            {**{name: value for name, value in contract.items() if name != "volatility"}, "price": result["price"]}
            for contract, result in zip(contracts, results, strict=True)
        ]
        path = "/options/implied-volatility"
    return await in_turn(client, path, contracts[CONTRACTS // 2], {"contracts": contracts})


async def table(client: httpx.AsyncClient, *, here: bool) -> None:
    kinds = ("wall", "processor") if here else ("wall",)
    out = sys.stdout.write
    out(f"{'':32}" + "".join(f"{f'{kind}: one':>16}{f'{CONTRACTS} in one':>14}{'ratio':>8}" for kind in kinds) + "\n")
    for style in ("european", "american"):
        for what in ("price and Greeks", "implied volatility"):
            one, many = await measured(style, what, client)
            out(f"{f'{style}, {what}':32}")
            for kind in kinds:
                a, b = getattr(one, kind), getattr(many, kind)
                out(f"{a * 1e3:>13.2f} ms{b * 1e3:>11.1f} ms{b / a:>8.1f}")
            out("\n")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a service that runs; otherwise the routes are called in this process")
    parser.add_argument("--key", default="", help="its API key")
    asked = parser.parse_args()
    if asked.url:
        headers = {"X-API-Key": asked.key} if asked.key else {}
        async with httpx.AsyncClient(base_url=f"{asked.url}/api/v1", headers=headers, timeout=60) as client:
            await table(client, here=False)
        return
    offload = Offload()
    backend: Any = SimpleNamespace(options=OptionsDesk(offload))
    transport = httpx.ASGITransport(build_routes(lambda: backend))
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        await table(client, here=True)
    await offload.close()


if __name__ == "__main__":
    asyncio.run(main())
