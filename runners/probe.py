"""Is each runner there? Asked of all at once, with a time limit each, and remembered for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from errors import DeepFinanceError
from runners.coalesce import CoalescingRunner

_KEY = "probe"


@dataclass(frozen=True, slots=True)
class Probe:
    """How a runner took a real, one-row prediction; ``problem`` is None when it answered."""

    name: str
    version: str
    latency: float | None
    problem: str | None

    @property
    def ok(self) -> bool:
        return self.problem is None


class Prober:
    """Probes runners when asked, at most once every ``keep`` seconds however many ask."""

    def __init__(self, runners: Mapping[str, CoalescingRunner], timeout: float = 1.0, keep: float = 1.0) -> None:
        self._runners = runners
        self._timeout = timeout
        self._keep = keep
        self._latest: list[Probe] = []
        self._taken_at = -float("inf")
        self._asking = asyncio.Lock()

    async def probes(self) -> list[Probe]:
        """One probe a runner, in published order, within the timeout."""
        async with self._asking:
            if time.monotonic() - self._taken_at > self._keep:
                self._latest = list(await asyncio.gather(*map(self._probe, self._runners.values())))
                self._taken_at = time.monotonic()
            return self._latest

    async def _probe(self, runner: CoalescingRunner) -> Probe:
        spec = runner.spec
        started = time.monotonic()
        try:
            row = np.zeros((1, spec.row_width), np.float32)
            await asyncio.wait_for(runner.predict([_KEY], row), self._timeout)
        except TimeoutError:
            return Probe(spec.name, spec.version, None, f"no answer within {self._timeout:g} s")
        except DeepFinanceError as error:
            return Probe(spec.name, spec.version, None, error.message)
        return Probe(spec.name, spec.version, time.monotonic() - started, None)
