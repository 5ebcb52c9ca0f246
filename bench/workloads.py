"""What is measured. Contenders take turns in every round, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Load, put_load
from bench.servers import KEY, Running

PREDICT = "/api/v1/predict"
RISK = "/api/v1/risk"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often; ``connections`` are measured one after the other. ``burst`` is how many seconds 256 of
    them stay."""

    rounds: int
    seconds: float
    connections: tuple[int, ...]
    burst: float = 10.0


def median_of(loads: Sequence[Load]) -> Load:
    """Medians of the rounds; failures are summed, none is forgiven."""
    middle = {name: statistics.median(getattr(load, name) for load in loads) for name in ("p50", "p95", "p99")}
    fair = sorted(loads, key=lambda load: load.throughput)[len(loads) // 2]
    return Load(fair.connections, fair.requests, fair.seconds, sum(load.failed for load in loads), **middle)


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
) -> dict[str, dict[int, Load]]:
    """By contender and connections."""
    measured: dict[tuple[str, int], list[Load]] = {}
    for number in range(plan.rounds):
        for connections in plan.connections:
            for one in contenders:
                with alone(one, everyone):
                    load = put_load(one.url, path, bodies, KEY, connections, plan.seconds)
                measured.setdefault((one.name, connections), []).append(load)
                say(f"round {number + 1}  {one.name:<22}{connections:>4} connections {load.throughput:>9.0f} rps")
    found: dict[str, dict[int, Load]] = {}
    for (name, connections), loads in measured.items():
        found.setdefault(name, {})[connections] = median_of(loads)
    return found


def warmed(contenders: Sequence[Running], bodies: Path, say: Say) -> dict[str, float]:
    """Ask each of them everything once, and then many times over, since of several workers each has a memory of its
    own; seconds that the first round took."""
    took = {}
    for one in contenders:
        with alone(one, contenders):
            started = time.monotonic()
            lines = bodies.read_text().splitlines()
            for line in lines:
                status, _ = post(one.url, PREDICT, json.loads(line))
                if status != 200:
                    raise RuntimeError(f"{one.name} answered {status} to {line}")
            took[one.name] = time.monotonic() - started
            put_load(one.url, PREDICT, bodies, KEY, 16, max(3.0, took[one.name] / 2))
            say(f"warmed up  {one.name:<22}{len(lines)} symbols in {took[one.name]:.0f} s")
    return took


def batch_seconds(one: Running, symbols: Sequence[str], size: int, repeats: int) -> float:
    """The fastest of some batches: what the server needs when nothing else is in its way."""
    body = {"requests": [{"symbol": symbols[at % len(symbols)], "horizon": 5} for at in range(size)]}
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        status, answer = post(one.url, f"{PREDICT}/batch", body)
        best = min(best, time.perf_counter() - started)
        if status != 200 or answer["failed"]:
            raise RuntimeError(f"a batch was answered {status}")
    return best


def calm_after_storm(one: Running, bodies: Path, seconds: float) -> tuple[float, float]:
    """p50 of a lone caller before 256 connections, and five seconds after they have gone."""
    before = put_load(one.url, PREDICT, bodies, KEY, 1, seconds).p50
    put_load(one.url, PREDICT, bodies, KEY, 256, seconds)
    time.sleep(5)
    return before, put_load(one.url, PREDICT, bodies, KEY, 1, seconds).p50


def memory_growth(one: Running, bodies: Path, minutes: float, say: Say) -> tuple[list[float], float]:
    """PSS in MB about every ten seconds of load, and its slope in MB a minute over the last two thirds."""
    times: list[float] = []
    sizes: list[float] = []
    started = time.monotonic()
    while (now := time.monotonic() - started) < 60 * minutes:
        put_load(one.url, PREDICT, bodies, KEY, (1, 16, 64)[len(sizes) % 3], 10)
        times.append(now / 60)
        sizes.append(one.pss())
        say(f"minute {now / 60:4.1f}  {sizes[-1]:.0f} MB")
    late = [(at, size) for at, size in zip(times, sizes, strict=True) if at >= minutes / 3]
    return sizes, statistics.linear_regression(*zip(*late, strict=True)).slope


def post(url: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=120) as response:
        return response.status, json.loads(response.read())
