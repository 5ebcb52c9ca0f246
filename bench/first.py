"""What the first forecast of a series' bar takes, which reads its prices and replays its recent past."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.bodies import PREDICT
from bench.servers import Running
from bench.workloads import post, sent

CALLERS = 4
BATCH = 500
"""The most that one request may ask for."""


@dataclass(frozen=True, slots=True)
class First:
    """``seconds`` until all ``series`` were answered, and seconds of ``processor`` that the server took for it."""

    series: int
    seconds: float
    processor: float


def one_by_one(one: Running, symbols: Sequence[str]) -> First:
    """Symbols that nobody asked for before, by CALLERS that each wait for an answer before they ask again."""

    def ask_all() -> None:
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(lambda symbol: post(one.url, PREDICT, {"symbol": symbol}), symbols))

    return _timed(one, len(symbols), ask_all)


def in_one_batch(one: Running, symbols: Sequence[str]) -> First:
    """Symbols that nobody asked for before, in one request; raises RuntimeError where one is not answered."""

    def ask_all() -> None:
        _, answer = sent(one.url, f"{PREDICT}/batch", {"requests": [{"symbol": symbol} for symbol in symbols]})
        if failed := json.loads(answer)["failed"]:
            raise RuntimeError(f"{failed} of a batch of {len(symbols)} new series failed")

    return _timed(one, len(symbols), ask_all)


def _timed(one: Running, series: int, ask_all: Callable[[], None]) -> First:
    (used, _), started = one.processor_time(), time.perf_counter()
    ask_all()
    seconds = time.perf_counter() - started
    return First(series, seconds, one.processor_time()[0] - used)
