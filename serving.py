"""The model set in use, and how another takes its place: at once for new requests, while those under way finish with
the one that they began with.

Every gateway worker does this for itself. The one that is asked to reload says to the others which version is served
(runners/store.py), and they follow within FOLLOW_EVERY seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from contracts import Bars, ForecastRequest, ModelSet
from corrections import CorrectionMemory
from errors import DeepFinanceError, ErrorDetail, ModelSetRefused, RunnerUnavailable
from gateway.backend import Catalogue
from gathering import Gathering
from pipeline import Outcome, Ports, Series, Told, forecast, forecast_many
from runners.coalesce import CoalescingRunner
from runners.loaded import LoadedSet
from runners.probe import Prober

log = logging.getLogger("deepfinance.service")

FOLLOW_EVERY: Final = 0.5
AFTER_FAILURE: Final = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers a request from its first step to its last."""

    ports: Ports
    runners: Mapping[str, CoalescingRunner]
    model_set: ModelSet
    prober: Prober
    catalogue: Catalogue
    gathering: Gathering

    @classmethod
    def of(
        cls,
        ports: Ports,
        runners: Mapping[str, CoalescingRunner],
        model_set: ModelSet,
        gathers: type[Gathering] = Gathering,
    ) -> Serving:
        """What follows from the three."""

        async def work(requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Sequence[Outcome]:
            return await forecast_many(requests, ports=ports, model_set=model_set, now=datetime.now(UTC), bars=bars)

        gathering = gathers(work, ports.market)
        return cls(ports, runners, model_set, Prober(runners), Catalogue(model_set.names), gathering)

    async def watched(self, request: ForecastRequest, told: Told) -> Outcome:
        """One forecast on its own, telling of each member as it answers."""
        try:
            return await forecast(request, ports=self.ports, model_set=self.model_set, now=datetime.now(UTC), told=told)
        except DeepFinanceError as error:
            return error

    def with_set(self, loaded: LoadedSet) -> Serving:
        """The same with another set, which has no corrections to remember yet."""
        ports = replace(
            self.ports, runners=loaded.runners, explainers=loaded.explainers, corrections=CorrectionMemory()
        )
        return Serving.of(ports, loaded.runners, loaded.model_set, type(self.gathering))


class Sets(Protocol):
    """Where other sets come from (runners/reload.py)."""

    async def published(self, current: str) -> LoadedSet | None: ...

    async def stored(self, version: str) -> LoadedSet: ...

    def serve(self, version: str) -> None: ...

    def served(self) -> str | None: ...


TryOut = Callable[[Serving], Awaitable[object]]
"""Makes a real forecast; raises, or returns a DeepFinanceError, where that fails."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload, in words of gateway/operations_reports.py."""

    status: Literal["reloaded", "unchanged"]
    version: str
    previous: str
    seconds: float


class Keeper:
    """Holds what is served now. Belongs to one event loop."""

    def __init__(self, serving: Serving, sets: Sets | None, try_out: TryOut) -> None:
        self.now = serving
        self._sets = sets
        self._try_out = try_out
        self._changing = asyncio.Lock()
        self._on_change: list[Callable[[str], None]] = []
        self._on_left: list[Callable[[], None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with the new version whenever another set has taken its place."""
        self._on_change.append(callback)

    def on_left(self, callback: Callable[[], None]) -> None:
        """Call back whenever nobody uses a set any more that another has replaced."""
        self._on_left.append(callback)

    async def reload(self) -> Reloaded:
        """Serve the set that is published now. Raises ModelSetRefused or RunnerUnavailable; then nothing changed."""
        async with self._changing:
            started, previous = time.monotonic(), self.now.model_set.version
            if self._sets is None:
                raise _refused("this service cannot read another set")
            if away := [name for name, runner in self.now.runners.items() if runner.is_away]:
                raise RunnerUnavailable(f"{', '.join(away)} cannot load a set now: not answering", retry_after=3)
            loaded = await self._sets.published(previous)
            if loaded is not None:
                await self._take(loaded, announce=self._sets.serve)
            version = self.now.model_set.version
            status: Literal["reloaded", "unchanged"] = "unchanged" if loaded is None else "reloaded"
            return Reloaded(status, version, previous, time.monotonic() - started)

    async def follow(self) -> None:
        """Serve what another worker says is served, for ever."""
        while self._sets is not None:
            await asyncio.sleep(FOLLOW_EVERY)
            version = self._sets.served()
            if version is None or version == self.now.model_set.version or self._changing.locked():
                continue
            try:
                async with self._changing:
                    await self._take(await self._sets.stored(version), announce=lambda _: None)
            except Exception:  # the set in use goes on; the next turn tries again
                log.exception("the model set %s, which another worker serves, could not be loaded", version)
                await asyncio.sleep(AFTER_FAILURE)

    def lost(self, members: Any) -> None:
        """The process that serves these members has died."""
        for name in members:
            if name in self.now.runners:
                self.now.runners[name].lost()

    async def close(self) -> None:
        """Let go of every set, those included that others still may ask."""
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*(runner.close() for runner in self.now.runners.values()))

    async def _take(self, loaded: LoadedSet, announce: Callable[[str], None]) -> None:
        """Try the set out and put it in place of the one in use."""
        candidate, leaving = self.now.with_set(loaded), self.now
        try:
            outcome = await self._try_out(candidate)
            if isinstance(outcome, DeepFinanceError):
                raise outcome
            announce(loaded.model_set.version)
        except Exception as error:
            await asyncio.gather(*(runner.close() for runner in loaded.runners.values()))
            raise _refused(f"a forecast with it fails ({_words(error)})") from error
        self.now = candidate
        for callback in self._on_change:
            callback(candidate.model_set.version)
        log.info("serving the model set %s instead of %s", candidate.model_set.version, leaving.model_set.version)
        old = LoadedSet(leaving.model_set, leaving.runners, leaving.ports.explainers)
        task = asyncio.get_running_loop().create_task(old.close_when_idle())
        self._leaving.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        for callback in self._on_left:
            callback()


def _words(error: Exception) -> str:
    return error.message if isinstance(error, DeepFinanceError) else type(error).__name__


def _refused(problem: str) -> ModelSetRefused:
    message = "the published model set is refused; the one in use stays"
    return ModelSetRefused(message, [ErrorDetail("model_set", problem)])
