"""The same forecast from memory, from Redis or made now; a burst makes it once; what must not be kept is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np
import orjson
import pytest

from contracts import BarIssue, Bars, Explanation, Forecast, ForecastRequest, Timeframe
from errors import DeepFinanceError, RunnerUnavailable, UnknownSymbol
from forecast_cache import ForecastCache, Lifetimes, forecast_key, seconds_to_close, seconds_to_next_hour
from gateway.answers import Answer, pack, tag_of, unpack
from market.calendars import ExchangeCalendars
from storage.redis_cache import PREFIX, RedisCache
from tests.ensemble.model_sets import made_up_set
from tests.features.series import wandering_bars
from tests.gateway.fakes import forecast_for
from tests.in_memory import MemoryMarket, Weekdays
from tests.storage.live_redis import LiveRedis, live_redis

MODELS = replace(made_up_set(), manifest={"features": {"fingerprint": "sha256:f"}})
AAPL = ForecastRequest("AAPL")
NOON = datetime(2022, 12, 28, 12, tzinfo=UTC)


@dataclass
class Clock:
    """Time stands still until a test moves it."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@dataclass
class Maker:
    """Makes forecasts of the bars in its market, and remembers the calls; waits for ``gate`` if there is one."""

    market: MemoryMarket = field(default_factory=MemoryMarket)
    calls: list[list[ForecastRequest]] = field(default_factory=list)
    given: list[list[str]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    alter: Callable[[Forecast], Forecast | DeepFinanceError] = replace
    raises: Exception | None = None

    async def __call__(
        self, requests: Sequence[ForecastRequest], bars: Mapping[tuple[str, Timeframe], Bars]
    ) -> Sequence[Forecast | DeepFinanceError]:
        self.given.append(sorted(symbol for symbol, _ in bars))
        self.calls.append(list(requests))
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.raises:
            raise self.raises
        return [self.alter(self._of(request)) for request in requests]

    def _of(self, request: ForecastRequest) -> Forecast:
        made = forecast_for(request)
        data = replace(made.data, fingerprint=self.market.series[request.symbol].fingerprint)
        return replace(made, data=data, models_version=MODELS.version, price_target=100 + len(request.symbol) / 3)

    @property
    def made(self) -> int:
        return sum(map(len, self.calls))


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    maker: Maker = field(default_factory=Maker)

    def cache(self, shared: RedisCache | None = None, ttl: float = 60.0, data: float = 300.0) -> ForecastCache:
        return ForecastCache(
            self.maker.market,
            Weekdays(),
            Lifetimes(ttl, data),
            shared=shared,
            clock=self.clock,
            now=self.clock.now,
        )

    async def ask(self, cache: ForecastCache, *requests: ForecastRequest) -> list[Answer]:
        answers = await cache.answers(requests or [AAPL], MODELS, self.maker)
        assert all(isinstance(answer, Answer) for answer in answers)
        return list(answers)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def cache(world: World) -> AsyncIterator[ForecastCache]:
    cache = world.cache()
    yield cache
    await cache.close()


@pytest.fixture
def server() -> Iterator[LiveRedis]:
    with live_redis() as server:
        yield server


@asynccontextmanager
async def process(world: World, server: LiveRedis) -> AsyncIterator[ForecastCache]:
    """A cache as another process would have it: nothing in memory, the same Redis."""
    shared = RedisCache(server.url)
    cache = world.cache(shared)
    yield cache
    while cache._tasks:  # noqa: ASYNC110  what is put behind the callers' backs
        await asyncio.sleep(0)
    await cache.close()
    await shared.close()


def numbers(answer: Answer) -> dict[str, object]:
    """All but the one field that says where it comes from."""
    body = orjson.loads(answer.body)
    assert body.pop("cached") is answer.cached
    return body


async def test_the_second_time_it_comes_from_memory(world: World, cache: ForecastCache):
    (made,) = await world.ask(cache)
    (kept,) = await world.ask(cache)
    assert (made.cached, kept.cached) == (False, True)
    assert numbers(made) == numbers(kept)
    assert made.body.replace(b'"cached":false', b'"cached":true') == kept.body
    assert kept.tag == tag_of(kept.body) != made.tag
    assert world.maker.made == 1


async def test_it_is_made_again_when_its_time_is_over(world: World, cache: ForecastCache):
    await world.ask(cache)
    world.clock.seconds = 59.0
    assert (await world.ask(cache))[0].max_age == pytest.approx(1.0)
    world.clock.seconds = 60.0
    assert not (await world.ask(cache))[0].cached


async def test_a_burst_makes_one(world: World, cache: ForecastCache):
    answers = await asyncio.gather(*(world.ask(cache) for _ in range(100)))
    assert world.maker.made == 1
    assert sorted(answer.cached for (answer,) in answers) == [False] + [True] * 99
    assert len({orjson.dumps(numbers(answer)) for (answer,) in answers}) == 1


async def test_a_batch_makes_what_is_missing_in_one_call(world: World, cache: ForecastCache):
    await world.ask(cache, ForecastRequest("MSFT"))
    requests = [ForecastRequest(symbol, horizon) for symbol in ("AAPL", "MSFT") for horizon in (5, 6, 5)]
    answers = await world.ask(cache, *requests)
    assert world.maker.calls[1:] == [[AAPL, ForecastRequest("AAPL", 6), ForecastRequest("MSFT", 6)]]
    assert [answer.cached for answer in answers] == [False, False, True, True, False, True]
    assert [orjson.loads(answer.body)["symbol"] for answer in answers] == ["AAPL"] * 3 + ["MSFT"] * 3


async def test_each_of_a_batch_gets_its_answer_or_its_error(world: World, cache: ForecastCache):
    answers = await cache.answers([ForecastRequest("NOSUCH"), AAPL], MODELS, world.maker)
    assert isinstance(answers[0], UnknownSymbol)
    assert isinstance(answers[1], Answer)


async def test_who_goes_away_does_not_take_it_from_the_others(world: World, cache: ForecastCache):
    world.maker.gate = asyncio.Event()
    first, second = (asyncio.create_task(world.ask(cache)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    world.maker.gate.set()
    assert (await second)[0].cached
    assert world.maker.made == 1


@pytest.mark.parametrize("times", [1, 5])
async def test_an_error_is_told_to_everyone_and_not_kept(world: World, cache: ForecastCache, times: int):
    world.maker.alter = lambda _: RunnerUnavailable("no model could answer")
    burst = await asyncio.gather(*(cache.answers([AAPL], MODELS, world.maker) for _ in range(times)))
    assert all(isinstance(outcome, RunnerUnavailable) for (outcome,) in burst)
    world.maker.alter = replace
    assert not (await world.ask(cache))[0].cached


async def test_an_unforeseen_error_reaches_everyone_and_is_not_kept(world: World, cache: ForecastCache):
    world.maker.raises = ValueError("a bug")
    outcomes = await asyncio.gather(*(world.ask(cache) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    world.maker.raises = None
    assert (await world.ask(cache))[0].cached is False


def _without_explanation_of_trees(forecast: Forecast) -> Forecast:
    return replace(forecast, explanation=Explanation(None, None, {"tree": "no answer"}))


@pytest.mark.parametrize(
    "alter",
    [
        lambda forecast: replace(forecast, degraded=("lstm",)),
        lambda forecast: replace(forecast, models_version="reloaded meanwhile"),
        lambda forecast: replace(forecast, data=replace(forecast.data, fingerprint="a new bar meanwhile")),
        _without_explanation_of_trees,
    ],
    ids=["degraded", "other models", "other bars", "half an explanation"],
)
async def test_what_is_not_whole_is_given_and_not_kept(
    world: World, cache: ForecastCache, alter: Callable[[Forecast], Forecast]
):
    world.maker.alter = alter
    for _ in range(2):
        (answer,) = await world.ask(cache)
        assert (answer.cached, answer.max_age) == (False, 0.0)
    assert world.maker.made == 2


async def test_new_bars_make_a_new_forecast(world: World, cache: ForecastCache):
    await world.ask(cache)
    world.maker.market.series["AAPL"] = wandering_bars(600, seed=9, symbol="AAPL")
    assert not (await world.ask(cache))[0].cached


async def test_zero_seconds_switch_it_off(world: World):
    cache = world.cache(ttl=0)
    for _ in range(2):
        (answer,) = await world.ask(cache)
        assert (answer.cached, answer.max_age) == (False, 0.0)
    assert world.maker.made == 2


async def test_nobody_is_told_to_look_away_longer_than_the_bars_are_good_for(world: World):
    cache = world.cache(data=20)
    made, kept = [(await world.ask(cache))[0] for _ in range(2)]
    assert (made.max_age, kept.max_age) == (20.0, 20.0)
    world.clock.seconds = 59
    assert (await world.ask(cache))[0].max_age == pytest.approx(1.0)


async def test_while_a_better_source_is_away_it_is_kept_and_looked_at_often(world: World, cache: ForecastCache):
    bars = world.maker.market.series["AAPL"]
    world.maker.market.series["AAPL"] = replace(bars, skipped=("yahoo",))
    world.maker.alter = lambda forecast: replace(forecast, degraded=("source:yahoo",))
    made, kept = [(await world.ask(cache))[0] for _ in range(2)]
    assert (made.cached, kept.cached) == (False, True)
    assert (made.max_age, kept.max_age) == (2.0, 2.0)
    world.maker.market.series["AAPL"], world.maker.alter = bars, replace
    assert not (await world.ask(cache))[0].cached


async def test_it_is_not_kept_beyond_the_close(world: World, cache: ForecastCache):
    world.clock.seconds = 12 * 3600 - 10.0  # Weekdays' sessions close at midnight
    (made,) = await world.ask(cache)
    assert 9.9 <= made.max_age <= 10.0
    world.clock.seconds += 10
    assert not (await world.ask(cache))[0].cached


# --- between processes ---


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what Redis is asked for, not of who waits how long: on a busy machine it may be late."""
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 5.0)


@pytest.mark.usefixtures("patient")
async def test_another_process_gives_the_very_bytes(world: World, server: LiveRedis):
    async with process(world, server) as one:
        await world.ask(one)
        (kept,) = await world.ask(one)
    async with process(world, server) as other:
        (shared,) = await world.ask(other)
        (again,) = await world.ask(other)
    assert world.maker.made == 1
    assert kept.body == shared.body == again.body
    assert kept.tag == shared.tag
    assert shared.max_age <= 60


@pytest.mark.usefixtures("patient")
async def test_a_burst_over_two_processes_makes_one(world: World, server: LiveRedis):
    world.maker.gate = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, world.maker.gate.set)
    async with process(world, server) as one, process(world, server) as other:
        answers = await asyncio.gather(*(world.ask(cache) for cache in (one, other) for _ in range(50)))
    assert world.maker.made == 1
    assert len({orjson.dumps(numbers(answer)) for (answer,) in answers}) == 1


async def test_whoever_makes_it_is_given_the_bars_that_were_looked_up(world: World, cache: ForecastCache):
    await world.ask(cache, AAPL, ForecastRequest("MSFT"), ForecastRequest("MSFT", 6))
    assert world.maker.given == [["AAPL", "MSFT"]]


@pytest.mark.usefixtures("patient")
async def test_when_the_other_process_fails_this_one_makes_it(world: World, server: LiveRedis):
    world.maker.gate = asyncio.Event()
    failing = Maker(gate=asyncio.Event(), alter=lambda _: RunnerUnavailable("no model could answer"))
    asyncio.get_running_loop().call_later(0.05, failing.gate.set)
    world.maker.gate.set()
    async with process(world, server) as one, process(world, server) as other:
        failure = asyncio.create_task(one.answers([AAPL], MODELS, failing))
        await asyncio.sleep(0.02)
        (answer,) = await world.ask(other)
        assert isinstance((await failure)[0], RunnerUnavailable)
    assert not answer.cached


async def test_who_waits_too_long_for_another_process_makes_it_itself(
    world: World, server: LiveRedis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("forecast_cache.LONGEST_WAIT", 0.05)
    with server.client() as behind:
        key = forecast_key(AAPL, world.maker.market.series["AAPL"], MODELS)
        behind.set(f"{PREFIX}claim:{key}", "")
    async with process(world, server) as cache:
        ticking = asyncio.create_task(_tick(world.clock))
        assert not (await world.ask(cache))[0].cached
        ticking.cancel()


async def _tick(clock: Clock) -> None:
    while True:
        await asyncio.sleep(0.01)
        clock.seconds += 0.01


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "text": lambda _: b"garbage",
    "half": lambda value: value[: len(value) // 2],
    "one byte of the body": lambda value: value[:-9] + b"7" + value[-8:],
    "no tag": lambda value: value[:9] + b"\xff" * 32 + value[41:],
    "another layout": lambda value: b"0" + value[1:],
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("spoil", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_in_redis_is_a_miss(world: World, server: LiveRedis, spoil: Callable[[bytes], bytes]):
    async with process(world, server) as one:
        await world.ask(one)
    with server.client() as behind:
        (key,) = behind.keys(f"{PREFIX}forecast:*")
        behind.set(key, spoil(behind.get(key)))
    async with process(world, server) as other:
        (answer,) = await world.ask(other)
    assert not answer.cached
    assert world.maker.made == 2


async def _killed(server: LiveRedis) -> None:
    server.kill()


async def _halted(server: LiveRedis) -> None:
    server.halt()


async def _full(server: LiveRedis) -> None:
    with server.client() as behind:
        behind.config_set("maxmemory", "1")


async def _flushed(server: LiveRedis) -> None:
    with server.client() as behind:
        behind.flushall()


async def _restarted(server: LiveRedis) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("fate", [_killed, _halted, _full, _flushed, _restarted])
async def test_whatever_befalls_redis_the_answers_are_the_same(
    world: World, server: LiveRedis, fate: Callable[[LiveRedis], Awaitable[None]]
):
    async with process(world, server) as cache:
        before = [numbers(answer) for answer in await world.ask(cache, AAPL, ForecastRequest("MSFT"))]
    await fate(server)
    async with process(world, server) as cache:
        after = [numbers(answer) for answer in await world.ask(cache, AAPL, ForecastRequest("MSFT"))]
        assert (await world.ask(cache))[0].cached, "memory does not need Redis"
    assert after == before


# --- what the key is made of, and when a bar closes ---

BARS = wandering_bars(400, symbol="AAPL")


def _with(bars: Bars, **changes: object) -> Bars:
    return replace(bars, **changes)  # the fingerprint is kept unless it is among the changes


OTHER_KEYS = {
    "symbol": (replace(AAPL, symbol="MSFT"), BARS, MODELS),
    "timeframe": (replace(AAPL, timeframe="1h"), BARS, MODELS),
    "horizon": (replace(AAPL, horizon=6), BARS, MODELS),
    "members": (replace(AAPL, models=("lstm",)), BARS, MODELS),
    "weights": (replace(AAPL, weights={"lstm": 1.0}), BARS, MODELS),
    "other weights": (replace(AAPL, weights={"lstm": 0.5, "xgboost": 0.5}), BARS, MODELS),
    "level": (replace(AAPL, confidence_level=0.95), BARS, MODELS),
    "explanation": (replace(AAPL, explain=True), BARS, MODELS),
    "bars": (AAPL, _with(BARS, fingerprint="sha256:other"), MODELS),
    "provider": (AAPL, _with(BARS, provider="other"), MODELS),
    "dropped bars": (AAPL, _with(BARS, issues=(BarIssue("2020-03-09", "dropped: high below low"),)), MODELS),
    "sources that could not tell": (AAPL, _with(BARS, skipped=("yahoo",)), MODELS),
    "model set": (AAPL, BARS, replace(MODELS, version="other")),
    "features": (AAPL, BARS, replace(MODELS, manifest={"features": {"fingerprint": "sha256:other"}})),
    "nothing else": (AAPL, BARS, MODELS),
}


def test_each_ingredient_changes_the_key():
    keys = {name: forecast_key(*parts) for name, parts in OTHER_KEYS.items()}
    assert len(set(keys.values())) == len(OTHER_KEYS)
    assert all(key.isascii() and key.isprintable() for key in keys.values())


def test_what_says_the_same_has_the_same_key():
    one = replace(AAPL, weights={"lstm": 0.5, "xgboost": 0.5})
    other = replace(AAPL, weights=MappingProxyType({"xgboost": 0.5, "lstm": 0.5}))
    assert forecast_key(one, BARS, MODELS) == forecast_key(other, BARS, MODELS)


def test_every_field_of_a_request_and_of_bars_is_looked_at():
    """A new one must enter the key, or this list and the reason why it need not."""
    assert set(ForecastRequest.__dataclass_fields__) == {
        *("symbol", "horizon", "timeframe", "models", "weights", "confidence_level", "explain")
    }
    in_the_fingerprint = {"symbol", "timeframe", "times", "open", "high", "low", "close", "adj_close", "volume"}
    in_the_key = {"provider", "issues", "skipped", "fingerprint"}
    assert set(Bars.__dataclass_fields__) - in_the_fingerprint - in_the_key == {"fetched_at"}  # processes fetch apart


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2022, 12, 28, 20, 59, 30, tzinfo=UTC), 30.0),  # New York closes at 21:00 UTC in winter
        (datetime(2022, 12, 28, 20, 58, 59, tzinfo=UTC), 60.0),
        (datetime(2022, 12, 28, 21, 0, 0, tzinfo=UTC), 60.0),
        (datetime(2022, 11, 25, 17, 59, 50, tzinfo=UTC), 10.0),  # a short session
        (datetime(2022, 12, 25, 20, 59, 30, tzinfo=UTC), 60.0),  # a Sunday
    ],
)
def test_a_daily_bar_closes_with_its_exchange(now: datetime, seconds: float):
    left = seconds_to_close(ExchangeCalendars(), "XNYS", now, 60.0)
    assert seconds - 0.1 <= left <= seconds


def test_an_hourly_bar_closes_as_many_minutes_past_the_hour_as_the_last_one():
    times = np.arange("2022-12-28T14:30", "2022-12-28T20:30", 60, dtype="datetime64[m]")
    bars = Bars("AAPL", "1h", times, np.ones(len(times)), "test")
    assert seconds_to_next_hour(bars, datetime(2022, 12, 28, 20, 29, 50, tzinfo=UTC)) == 10.0
    assert seconds_to_next_hour(bars, datetime(2022, 12, 28, 20, 30, tzinfo=UTC)) == 3600.0


def test_what_was_packed_is_unpacked_until_it_is_over():
    answer = Answer(b'{"a":1,"cached":false,"b":2}', "", 60.0, cached=False)
    answer = replace(answer, tag=tag_of(answer.again(0).body) + "-0")
    packed = pack(answer, NOON)
    unpacked, left = unpack(packed, NOON + timedelta(seconds=59)) or pytest.fail("over already")
    assert (unpacked.body, unpacked.cached) == (b'{"a":1,"cached":true,"b":2}', True)
    assert left == pytest.approx(1.0)
    assert unpack(packed, NOON + timedelta(seconds=60)) is None
