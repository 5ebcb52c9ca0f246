"""The service without its framework: real prices, real (tiny) models, calls that can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import forecaster as forecaster_module
import warming
from contracts import Floats32, Forecast, ForecastRequest
from errors import RunnerUnavailable, UnknownSymbol
from forecast_cache import ForecastCache, Lifetimes
from forecaster import Forecaster
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Ports
from runners.artefact import read_member
from runners.coalesce import CoalescingRunner, Limits
from runners.members import load_member
from runners.model_set import load_model_set
from storage.redis_cache import RedisCache
from tests.storage.history.making import until
from tests.storage.live_redis import live_redis

CALENDAR = ExchangeCalendars()


class Models:
    """Calls to models in this process; those in ``lost`` never answer, those in ``broken`` fail at once."""

    def __init__(self, folder: Path) -> None:
        self.lost: set[str] = set()
        self.broken: set[str] = set()
        self.members = {}
        for name in load_model_set(folder).names:
            spec, grid = read_member(folder, name)
            self.members[name] = load_member(spec, grid, folder / spec.file)

    def call(self, name: str) -> Callable[[Floats32], Awaitable[Any]]:
        async def call(rows: Floats32) -> Any:
            if name in self.lost:
                await asyncio.sleep(3600)
            if name in self.broken:
                raise ConnectionResetError
            return self.members[name].predict(rows)

        return call


@pytest.fixture(scope="module")
def loaded(model_set: Path) -> Models:
    return Models(model_set)


@pytest.fixture
def models(loaded: Models) -> Models:
    loaded.lost, loaded.broken = set(), set()
    return loaded


@pytest.fixture
async def forecaster(model_set: Path, models: Models):
    published = load_model_set(model_set)
    runners = {
        spec.name: CoalescingRunner(spec, published.grid, models.call(spec.name), Limits(timeout=30.0))
        for spec in published.members
    }
    service = Forecaster(Ports(SourceChain([BundledSource()]), CALENDAR, runners), runners, published)
    yield service
    await service.close()


async def test_a_forecast_goes_all_the_way_through(forecaster: Forecaster):
    (answer,) = await forecaster.forecast([ForecastRequest("AAPL")])
    assert isinstance(answer, Forecast)
    assert answer.degraded == ()
    assert [member.status for member in answer.members] == ["ok"] * 3


async def test_each_request_gets_its_answer_or_its_error(forecaster: Forecaster):
    answers = await forecaster.forecast([ForecastRequest("NOSUCH"), ForecastRequest("XOM", horizon=20)])
    assert isinstance(answers[0], UnknownSymbol)
    assert isinstance(answers[1], Forecast)
    assert answers[1].symbol == "XOM"


async def test_when_it_has_ended_nobody_is_connected_to_redis_any_more(model_set: Path, models: Models):
    published, market = load_model_set(model_set), SourceChain([BundledSource()])
    runners = {
        spec.name: CoalescingRunner(spec, published.grid, models.call(spec.name), Limits(timeout=30.0))
        for spec in published.members
    }
    with live_redis() as redis, redis.client() as looking:
        shared = RedisCache(redis.url)
        cache = ForecastCache(market, CALENDAR, Lifetimes(60.0, 300.0), shared=shared)
        service = Forecaster(Ports(market, CALENDAR, runners), runners, published, cache, shared=shared)
        await service.predict([ForecastRequest("AAPL")])
        assert len(looking.client_list()) == 2
        await service.close()

        async def gone() -> bool:
            return len(looking.client_list()) == 1

        await until(gone)


async def test_a_model_that_fails_is_left_out_and_named(forecaster: Forecaster, models: Models):
    models.broken = {"lstm"}
    (answer,) = await forecaster.forecast([ForecastRequest("AAPL")])
    assert isinstance(answer, Forecast)
    assert answer.degraded == ("lstm",)


async def test_when_no_model_answers_then_that_is_the_error(forecaster: Forecaster, models: Models):
    models.broken = {"xgboost", "lstm", "transformer"}
    (answer,) = await forecaster.forecast([ForecastRequest("AAPL")])
    assert isinstance(answer, RunnerUnavailable)


async def test_it_is_ready_once_a_forecast_worked(forecaster: Forecaster):
    assert not await forecaster.is_ready()
    await forecaster.warm_up()
    assert await forecaster.is_ready()


class Told:
    """What the metric of readiness was set to last."""

    def __init__(self) -> None:
        self.is_ready: bool | None = None

    def serves(self, version: str) -> None:
        pass

    def count(self, outcome: object) -> None:
        pass

    def ready(self, is_ready: bool) -> None:
        self.is_ready = is_ready


async def test_the_metric_says_while_no_model_answers(model_set: Path, models: Models, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecaster_module, "TOLD_EVERY", 0.01)
    published, told = load_model_set(model_set), Told()
    limits = Limits(pause=0.02)
    runners = {it.name: CoalescingRunner(it, published.grid, models.call(it.name), limits) for it in published.members}
    market = SourceChain([BundledSource()])
    service = Forecaster(Ports(market, CALENDAR, runners), runners, published, metrics=told)
    service.start()

    async def becomes(expected: bool) -> None:
        for _ in range(2000):
            if told.is_ready is expected:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"the metric did not become {expected}")

    await becomes(False)
    await becomes(True)
    models.broken = {"xgboost", "lstm"}
    await service.forecast([ForecastRequest("AAPL")])
    await asyncio.sleep(0.1)
    assert told.is_ready
    models.broken = set(published.names)
    await service.forecast([ForecastRequest("AAPL", horizon=7)])
    await becomes(False)
    models.broken = set()
    await becomes(True)
    await service.close()
    assert told.is_ready is False


async def test_an_unforeseen_error_at_the_start_does_not_end_the_waiting(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(serving: object) -> object:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    monkeypatch.setattr(warming, "try_forecast", broken)
    await asyncio.wait_for(forecaster.warm_up(), 60)
    assert await forecaster.is_ready()
    assert "the forecast at the start failed" in caplog.text


async def test_at_the_start_it_waits_for_every_model(forecaster: Forecaster, models: Models):
    models.broken = {"lstm"}
    warming_up = asyncio.create_task(forecaster.warm_up())
    await asyncio.sleep(0.3)
    assert not await forecaster.is_ready()
    models.broken = set()
    await asyncio.wait_for(warming_up, 60)
    assert await forecaster.is_ready()


async def test_later_one_model_is_enough(forecaster: Forecaster, models: Models):
    await forecaster.warm_up()
    models.broken = {"lstm", "transformer"}
    await asyncio.sleep(1.1)
    assert await forecaster.is_ready()
    models.broken = {"xgboost", "lstm", "transformer"}
    await asyncio.sleep(1.1)
    assert not await forecaster.is_ready()


async def test_health_does_not_wait_for_a_model_that_is_gone(forecaster: Forecaster, models: Models):
    models.lost = {"lstm"}
    facts = await asyncio.wait_for(forecaster.health(), 30)
    assert {it.name: it.state for it in facts.checks.runners} == {
        "xgboost": "ok",
        "lstm": "failing",
        "transformer": "ok",
    }
    (lstm,) = (it for it in facts.checks.runners if it.name == "lstm")
    assert lstm.detail == "no answer within 1 s"
    assert [it.name for it in facts.checks.sources] == ["bundled"]


async def test_many_health_checks_at_once_ask_the_models_once(forecaster: Forecaster, models: Models):
    await asyncio.gather(*(forecaster.health() for _ in range(50)))
    assert all(runner.counters.calls == 1 for runner in forecaster._serving.runners.values())


async def test_models_and_symbols_are_described(forecaster: Forecaster):
    report = forecaster.models()
    assert [member.name for member in report.members] == list(forecaster.catalogue().models)
    assert report.members[0].weights == pytest.approx([1 / 3] * len(report.horizons))
    assert {"AAPL", "^GSPC"} <= {it.symbol for it in forecaster.symbols()}
    detail = await forecaster.symbol("AAPL")
    assert (detail.provider, detail.calendar, detail.stale) == ("bundled", "XNYS", True)
    with pytest.raises(UnknownSymbol):
        await forecaster.symbol("NOSUCH")
