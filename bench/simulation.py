"""A simulation of queues: what more cores and more machines carry, from service times.

Requests arrive at random (Poisson) at the workers of the gateway; each worker is one queue, since its event loop is
one thread. Half of its work comes before the models, half after them. A request asks a process of each family of
models, all at the same time, and goes on when the last has answered; a process takes whatever waits, up to 64 rows,
as one call. Behind several machines there is one Redis for all. What is left out: the network, a noisy neighbour,
what the system itself takes of a core. So read the results as an upper bound.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ROWS_A_CALL = 64
ARRIVAL = "arrival"
REDIS_A_REQUEST = 5
"""Commands for a forecast that nobody has kept: count it, look for it, claim it, keep it, let go of the claim."""
SLOW = 0.25
"""Seconds: a machine is full where the slowest of a hundred take longer."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a processor for a request: in the gateway, and in each family of models; ``embedded`` is both in one
    process, ``embedded_loop`` the part of it that one thread must do. ``redis`` is for one command."""

    gateway: float
    runners: Mapping[str, float]
    embedded: float
    embedded_loop: float
    redis: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How many processes of each kind, on each of so many machines."""

    gateways: int
    runners: Mapping[str, int]
    machines: int = 1


def best_split(times: Times, cores: int) -> Layout:
    """A process a core, each added where the queue would be longest."""
    counts = dict.fromkeys(["gateway", *times.runners], 1)
    demand = {"gateway": times.gateway, **times.runners}
    while sum(counts.values()) < cores:
        busiest = max(counts, key=lambda name: demand[name] / counts[name])
        counts[busiest] += 1
    gateways = counts.pop("gateway")
    return Layout(gateways, counts)


def most(times: Times, layout: Layout, cores: int) -> float:
    """Requests a second beyond which some queue only grows."""
    by_process = [
        layout.gateways / times.gateway,
        *(layout.runners[name] / times.runners[name] for name in times.runners),
    ]
    by_cores = cores / (times.gateway + sum(times.runners.values()))
    by_redis = 1.0 / (REDIS_A_REQUEST * times.redis) if layout.machines > 1 else float("inf")
    return min(layout.machines * min(*by_process, by_cores), by_redis)


def most_embedded(times: Times, workers: int, cores: int) -> float:
    """The same for workers with the models inside."""
    return min(workers / times.embedded_loop, cores / times.embedded)


def simulated(times: Times, layout: Layout, rate: float, requests: int = 20_000, seed: int = 1) -> tuple[float, float]:
    """Median and 99th percentile of the seconds that a request takes at so many a second; one machine of them."""
    return _Simulation(times, layout, rate / layout.machines, requests, np.random.default_rng(seed)).run()


class _Simulation:
    """Events in order of time: a request arrives, or a station, which is a queue with one process, has served some."""

    def __init__(self, times: Times, layout: Layout, rate: float, requests: int, rng: np.random.Generator) -> None:
        self._times = times
        self._events: list[tuple[float, int, str, tuple[int, ...]]] = []
        self._number = 0
        self._families = {name: [f"{name}{i}" for i in range(layout.runners[name])] for name in times.runners}
        self._gateways = [f"gateway{i}" for i in range(layout.gateways)]
        stations = [*self._gateways, *(each for family in self._families.values() for each in family)]
        self._waiting: dict[str, deque[int]] = {name: deque() for name in stations}
        self._busy = dict.fromkeys(stations, False)
        self._started = np.cumsum(rng.exponential(1.0 / rate, requests))
        self._took = np.zeros(requests)
        self._missing = np.full(requests, len(self._families))
        self._worker = rng.integers(len(self._gateways), size=requests)
        self._pick = rng.random((requests, len(self._families)))

    def run(self) -> tuple[float, float]:
        for request, at in enumerate(self._started):
            self._push(float(at), ARRIVAL, (request,))
        while self._events:
            at, _, what, taken = heapq.heappop(self._events)
            if what == ARRIVAL:
                self._queue(self._gateways[self._worker[taken[0]]], taken[0], at)
            else:
                self._served(what, taken, at)
        settled = self._took[len(self._took) // 5 :]  # the beginning, with empty queues, left out
        return float(np.percentile(settled, 50)), float(np.percentile(settled, 99))

    def _push(self, at: float, what: str, taken: tuple[int, ...]) -> None:
        self._number += 1  # of two events at the same time the older comes first
        heapq.heappush(self._events, (at, self._number, what, taken))

    def _queue(self, station: str, request: int, at: float) -> None:
        self._waiting[station].append(request)
        if not self._busy[station]:
            self._serve(station, at)

    def _serve(self, station: str, at: float) -> None:
        queue = self._waiting[station]
        if not queue:
            self._busy[station] = False
            return
        self._busy[station] = True
        is_gateway = station.startswith("gateway")
        taken = tuple(queue.popleft() for _ in range(1 if is_gateway else min(len(queue), ROWS_A_CALL)))
        each = self._times.gateway / 2 if is_gateway else self._times.runners[station.rstrip("0123456789")]
        self._push(at + each * len(taken), station, taken)

    def _served(self, station: str, taken: tuple[int, ...], at: float) -> None:
        for request in taken:
            if station.startswith("gateway"):
                self._after_gateway(request, at)
            else:
                self._missing[request] -= 1
                if self._missing[request] == 0:
                    self._queue(self._gateways[self._worker[request]], request, at)
        self._serve(station, at)

    def _after_gateway(self, request: int, at: float) -> None:
        if self._missing[request] == 0:
            self._took[request] = at - self._started[request]
            return
        for pick, family in zip(self._pick[request], self._families.values(), strict=True):
            self._queue(family[int(pick * len(family))], request, at)


def full_at(times: Times, layout: Layout, cores: int) -> tuple[float, float, float]:
    """The highest rate, in steps of a tenth of what is possible, with p99 below SLOW; p50 and p99 there."""
    limit = most(times, layout, cores)
    for share in (0.95, 0.9, 0.8, 0.7, 0.6, 0.5):
        p50, p99 = simulated(times, layout, share * limit)
        if p99 < SLOW:
            return share * limit, p50, p99
    return 0.0, 0.0, 0.0
