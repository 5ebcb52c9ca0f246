"""What a chain of 500 options costs beside one: whole requests through the mounted routes, in this process.

    python -m bench.options

All of them are computed in this process, as in the service, a chain of American ones in a thread. The median of many
requests after a warm-up; validation of the body, pricing, Greeks and the JSON of the answer are all in it, the network
is not.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from gateway.routes import build_routes
from offload import Offload
from options_desk import OptionsDesk

CONTRACTS = 500
REPEATS = {1: 60, CONTRACTS: 15}


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


async def seconds(client: httpx.AsyncClient, path: str, body: dict[str, Any], repeats: int) -> float:
    """Median time of a request; raises where one is not answered."""
    taken, sent = [], json.dumps(body)
    for _ in range(repeats + 3):
        start = time.perf_counter()
        response = await client.post(path, content=sent, headers={"content-type": "application/json"})
        taken.append(time.perf_counter() - start)
        response.raise_for_status()
        answers = response.json().get("results", [])
        if any(answer["status"] != 200 for answer in answers):
            raise RuntimeError(f"{path} did not answer every contract")
    return statistics.median(taken[3:])


async def measured(style: str, what: str, client: httpx.AsyncClient) -> tuple[float, float]:
    """Seconds for one contract, and for the chain."""
    contracts = chain(style, CONTRACTS)
    path = "/options/price"
    if what == "implied volatility":
        results = (await client.post(path, json={"contracts": contracts})).json()["results"]
        contracts = [
            {**{name: value for name, value in contract.items() if name != "volatility"}, "price": result["price"]}
            for contract, result in zip(contracts, results, strict=True)
        ]
        path = "/options/implied-volatility"
    middle = contracts[CONTRACTS // 2]
    one = await seconds(client, path, middle, REPEATS[1])
    return one, await seconds(client, path, {"contracts": contracts}, REPEATS[CONTRACTS])


async def main() -> None:
    offload = Offload()
    backend: Any = SimpleNamespace(options=OptionsDesk(offload))
    transport = httpx.ASGITransport(build_routes(lambda: backend))
    out = sys.stdout.write
    out(f"{'':32}{'one':>10}{f'{CONTRACTS} in one':>14}{'ratio':>8}\n")
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        for style in ("european", "american"):
            for what in ("price and Greeks", "implied volatility"):
                one, many = await measured(style, what, client)
                out(f"{f'{style}, {what}':32}{one * 1e3:>7.2f} ms{many * 1e3:>11.1f} ms{many / one:>8.1f}\n")
    await offload.close()


if __name__ == "__main__":
    asyncio.run(main())
