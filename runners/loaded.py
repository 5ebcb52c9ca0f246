"""A model set as it is served: its numbers, and a coalescing client for each member."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts import Explainer, ModelSet
from errors import ArtefactError
from runners.coalesce import CoalescingRunner, Limits
from runners.hosts import call_of, explainers_of, host_of
from runners.metrics import RunnerMetrics
from runners.model_set import load_model_set

LONGEST_ANSWER: Final = 30.0
"""Seconds after which nobody waits any more for an answer of a set that was replaced."""


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """``runners`` and ``explainers`` are keyed by member name. Belongs to one event loop."""

    model_set: ModelSet
    runners: Mapping[str, CoalescingRunner]
    explainers: Mapping[str, Explainer]

    async def prepare(self) -> None:
        """Have every runner load its part and answer for it; raises what the first that cannot raises."""
        await asyncio.gather(*(runner.prepare() for runner in self.runners.values()))

    async def close_when_idle(self) -> None:
        """Let go of the set once everyone who asked it has been answered."""
        for _ in range(int(LONGEST_ANSWER)):
            await asyncio.sleep(1.0)  # who has begun with this set may ask it a second time
            if all(runner.is_idle for runner in self.runners.values()):
                break
        await asyncio.gather(*(runner.close() for runner in self.runners.values()))


def load_set(
    service: Any, folder: Path, limits: Limits, client: type[CoalescingRunner] = CoalescingRunner
) -> LoadedSet:
    """The set in ``folder``, answered by the runners of ``service``; raises ArtefactError where that cannot be."""
    model_set = checked_model_set(folder)
    host = host_of(service, folder, model_set.version)
    runners = {
        spec.name: client(
            spec,
            model_set.grid,
            call_of(spec, folder, host),
            limits,
            RunnerMetrics(spec.name),
        )
        for spec in model_set.members
    }
    return LoadedSet(model_set, runners, explainers_of(host, model_set, limits.timeout))


def checked_model_set(folder: Path) -> ModelSet:
    """The set in ``folder``, with weights for its members and horizons and no others; raises ArtefactError."""
    model_set = load_model_set(folder)
    expected = len(model_set.members), len(model_set.grid.horizons)
    for kind, calibration in model_set.calibration.items():
        if calibration.weights.shape != expected:
            raise ArtefactError(
                f"calibration.npz holds weights of shape {calibration.weights.shape} for {kind}, expected {expected}"
            )
    return model_set
