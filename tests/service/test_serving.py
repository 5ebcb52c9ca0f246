"""One model set takes the place of another: who has begun finishes with the old one, and a bad one never comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts import Floats32, Forecast, ForecastRequest, PartHealth
from errors import ErrorDetail, ModelSetRefused, RunnerUnavailable
from forecaster import Forecaster
from gateway.health import overall
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Ports
from runners.artefact import read_member
from runners.coalesce import CoalescingRunner, Limits
from runners.loaded import LoadedSet
from runners.members import load_member
from runners.model_set import load_model_set

OLD, NEW = "old", "new"


class World:
    """Two sets of the same models under two names, answered in this process, slowly where ``slow``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slow = 0.0
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.refuses: Exception | None = None
        self.next: LoadedSet | None = self.loaded(NEW)
        self.said: str | None = None

    def loaded(self, version: str) -> LoadedSet:
        model_set = replace(load_model_set(self.folder), version=version)
        runners = {
            spec.name: CoalescingRunner(spec, model_set.grid, self._call(spec.name, version), Limits())
            for spec in model_set.members
        }
        return LoadedSet(model_set, runners, {})

    def _call(self, name: str, version: str) -> Any:
        spec, grid = read_member(self.folder, name)
        member = load_member(spec, grid, self.folder / spec.file)

        async def call(rows: Floats32) -> Any:
            self.asked.append(version)
            await asyncio.sleep(self.slow)
            if version in self.broken:
                raise RuntimeError
            return member.predict(rows)

        return call

    async def published(self, current: str) -> LoadedSet | None:
        if self.refuses is not None:
            raise self.refuses
        return None if self.next is None or self.next.model_set.version == current else self.next

    async def stored(self, version: str) -> LoadedSet:
        return self.loaded(version)

    def serve(self, version: str) -> None:
        self.said = version

    def served(self) -> str | None:
        return self.said


@pytest.fixture
def world(model_set: Path) -> World:
    return World(model_set)


@pytest.fixture
async def forecaster(world: World) -> AsyncIterator[Forecaster]:
    loaded = world.loaded(OLD)
    ports = Ports(SourceChain([BundledSource()]), ExchangeCalendars(), loaded.runners)
    service = Forecaster(ports, loaded.runners, loaded.model_set, sets=world)
    yield service
    await service.close()


async def version_of(forecaster: Forecaster) -> str:
    (answer,) = await forecaster.forecast([ForecastRequest("AAPL")])
    assert isinstance(answer, Forecast)
    return answer.models_version


async def test_who_has_begun_finishes_with_the_old_set(forecaster: Forecaster, world: World) -> None:
    assert await version_of(forecaster) == OLD
    world.slow = 0.2
    begun = [asyncio.create_task(version_of(forecaster)) for _ in range(5)]
    await asyncio.sleep(0.05)
    told: list[str] = []
    forecaster.on_reloaded(told.append)
    report = await forecaster.reload()
    assert (report.status, report.models_version, report.previous_version) == ("reloaded", NEW, OLD)
    assert await version_of(forecaster) == NEW
    assert await asyncio.gather(*begun) == [OLD] * 5
    assert told == [NEW]
    assert world.said == NEW
    assert forecaster.models().models_version == forecaster.models_status().models_version == NEW


async def test_it_is_told_once_nobody_uses_the_old_set_any_more(forecaster: Forecaster) -> None:
    left = asyncio.Event()
    forecaster._keeper.on_left(left.set)
    await forecaster.reload()
    assert not left.is_set()
    await asyncio.wait_for(left.wait(), 60)


async def test_the_same_set_is_left_alone(forecaster: Forecaster, world: World) -> None:
    world.next = None
    before = forecaster._serving
    assert (await forecaster.reload()).status == "unchanged"
    assert forecaster._serving is before


@pytest.mark.parametrize(
    "refusal", [ModelSetRefused("no", [ErrorDetail("model_set", "bad hash")]), RunnerUnavailable("x")]
)
async def test_a_refusal_leaves_the_old_set(forecaster: Forecaster, world: World, refusal: Exception) -> None:
    world.refuses = refusal
    with pytest.raises(type(refusal)):
        await forecaster.reload()
    assert await version_of(forecaster) == OLD
    assert world.said is None


async def test_a_set_that_cannot_forecast_is_refused(forecaster: Forecaster, world: World) -> None:
    world.broken = {NEW}
    with pytest.raises(ModelSetRefused) as refused:
        await forecaster.reload()
    assert "a forecast with it fails" in refused.value.details[0].problem
    assert await version_of(forecaster) == OLD
    assert world.said is None


async def test_nothing_is_loaded_while_a_model_is_away(forecaster: Forecaster) -> None:
    forecaster._keeper.lost(["lstm"])
    with pytest.raises(RunnerUnavailable, match="lstm"):
        await forecaster.reload()


async def test_a_worker_follows_what_another_serves(
    forecaster: Forecaster, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.FOLLOW_EVERY", 0.01)
    followed = asyncio.Event()
    forecaster.on_reloaded(lambda version: followed.set())
    forecaster.start()
    world.said = NEW
    async with asyncio.timeout(30):
        await followed.wait()
    assert await version_of(forecaster) == NEW


async def test_health_tells_of_cache_and_database_and_waits_for_neither(model_set: Path, world: World) -> None:
    async def hangs() -> PartHealth:
        await asyncio.sleep(60)
        raise AssertionError

    async def answers() -> PartHealth:
        return PartHealth("database", "sqlite", 0.4, "nothing waits")

    loaded = world.loaded(OLD)
    ports = Ports(SourceChain([BundledSource()]), ExchangeCalendars(), loaded.runners)
    service = Forecaster(ports, loaded.runners, loaded.model_set, probes={"cache": hangs, "database": answers})
    facts = await asyncio.wait_for(service.health(), 30)
    assert facts.checks.cache is not None
    assert (facts.checks.cache.state, facts.checks.cache.detail) == ("failing", "no answer within 1 s")
    assert facts.checks.database is not None
    assert (facts.checks.database.state, facts.checks.database.latency_ms) == ("sqlite", 0.4)
    assert overall(facts.checks) == "degraded"
    await service.close()


async def test_the_warm_up_is_told_step_by_step(forecaster: Forecaster) -> None:
    before = forecaster.warmup()
    assert (before.ready, before.attempts) == (False, 0)
    await forecaster.warm_up()
    after = forecaster.warmup()
    assert after.ready
    assert [step.name for step in after.steps] == ["xgboost", "lstm", "transformer", "forecast"]
    assert all(step.ready and step.seconds is not None for step in after.steps)
