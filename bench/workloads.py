"""What is measured. Contenders take turns in every round, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.bodies import PREDICT, RISK
from bench.load import Figures, Load, put_load
from bench.servers import KEY, Running

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often; ``connections`` are measured one after the other. ``burst`` is how many seconds 256 of
    them stay, and ``new`` how many series are asked about that nobody knows yet."""

    rounds: int
    seconds: float
    connections: tuple[int, ...]
    burst: float = 10.0
    new: int = 0


@contextmanager
def alone(one: Running, others: Sequence[Running]) -> Iterator[None]:
    """The others hold still."""
    for other in others:
        if other is not one:
            other.hold()
    try:
        yield
    finally:
        for other in others:
            other.resume()


def throughput(
    contenders: Sequence[Running], bodies: Path, plan: Plan, everyone: Sequence[Running], say: Say, path: str = PREDICT
) -> dict[str, dict[int, Figures]]:
    """By contender and connections; of one that fails in the middle, what it had shown before is left out too."""
    measured: dict[tuple[str, int], list[Load]] = {}
    failed: set[str] = set()
    for number in range(plan.rounds):
        for connections in plan.connections:
            for one in contenders:
                if one.name in failed:
                    continue
                try:
                    with alone(one, everyone):
                        load = watched_load(one, path, bodies, connections, plan.seconds)
                except RuntimeError as error:
                    failed.add(one.name)
                    say(f"left out   {one.name:<22}{error}")
                    continue
                measured.setdefault((one.name, connections), []).append(load)
                say(f"round {number + 1}  {one.name:<22}{connections:>4} connections {load.throughput:>9.0f} rps")
    found: dict[str, dict[int, Figures]] = {}
    for (name, connections), loads in measured.items():
        if name not in failed:
            found.setdefault(name, {})[connections] = Figures.of(loads)
    return found


def watched_load(one: Running, path: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Put load on, and note what a request took of the processors."""
    before = one.processor_time()
    load = put_load(one.url, path, bodies, KEY, connections, seconds)
    whole, event_loop = (
        (after - earlier) / max(load.requests, 1) for earlier, after in zip(before, one.processor_time(), strict=True)
    )
    return replace(load, processor=whole, event_loop=event_loop)


def batch_seconds(one: Running, symbols: Sequence[str], size: int, repeats: int) -> float:
    """The fastest of some batches, until the last byte of the answer: what the server needs when nothing else is in
    its way. Raises RuntimeError where an item is not answered."""
    body = {"requests": [{"symbol": symbols[at % len(symbols)], "horizon": 5} for at in range(size)]}
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        _, answer = sent(one.url, f"{PREDICT}/batch", body)
        best = min(best, time.perf_counter() - started)
        if failed := json.loads(answer)["failed"]:
            raise RuntimeError(f"{failed} of a batch of {size} failed")
    return best


def risk(one: Running, bodies: Path, plan: Plan, say: Say) -> tuple[float, dict[int, Figures]]:
    """Median seconds of the first question about a series, which fits its volatility model; then all of them over
    and over, of which the fits are known."""
    first = []
    for line in bodies.read_text().splitlines():
        started = time.perf_counter()
        post(one.url, RISK, json.loads(line))
        first.append(time.perf_counter() - started)
    return sorted(first)[len(first) // 2], throughput([one], bodies, plan, [one], say, RISK)[one.name]


def calm_after_storm(one: Running, bodies: Path, seconds: float) -> tuple[float, float]:
    """p50 of a lone caller before 256 connections, and five seconds after they have gone."""
    before = put_load(one.url, PREDICT, bodies, KEY, 1, seconds).p50
    put_load(one.url, PREDICT, bodies, KEY, 256, seconds)
    time.sleep(5)
    return before, put_load(one.url, PREDICT, bodies, KEY, 1, seconds).p50


def post(url: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    """Status and body; raises urllib.error.HTTPError for a status from 400 on."""
    status, answer = sent(url, path, body)
    return status, json.loads(answer)


def sent(url: str, path: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
    """The same, the body as it came."""
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=120) as response:
        return response.status, response.read()
