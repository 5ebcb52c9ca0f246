"""What makes each alert of deploy/prometheus true, on services that run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, product, repeat
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaos.market import SYMBOLS
from chaos.stack import RUNNERS, Stack, stack
from chaos.tape import Tape
from tests.e2e.server import Server, running
from tests.runners import tiny
from training.swap import exchange

OLD, NEW = "2001.01.01-old", "2002.02.02-new"
HORIZONS = range(1, 71)
HIDDEN = 75
"""Sessions that the second replica's prices do not show at first: more than the longest of HORIZONS."""
BATCH = 500
PATIENT = 30.0
"""Seconds that the second replica waits for its models."""
QUICK_TO_NOTICE = {
    "RUNNER_TIMEOUT": "1.5",  # so that a model can hang several times in the window of a rule
    "PREDICTION_CACHE_TTL": "1",  # so that the models are asked all the time
    "RATE_LIMIT": "20000/minute",  # asked of Redis in hundredths: every six seconds, not every minute
}


@dataclass(frozen=True)
class Stand:
    """Two replicas of small models. The ``first`` has Redis, PostgreSQL and a live source; the ``second`` has price
    files, and patience with its models."""

    first: Stack
    second: Server
    tape: Tape
    sets: Path

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.first.server, self.second


@contextmanager
def stand(home: Path) -> Iterator[Stand]:
    """Both, started."""
    sets = home / "sets"
    published = [tiny.write_model_set(sets / name, OLD) for name in ("first", "second")]
    tape = Tape(home / "prices", hidden=HIDDEN, trend=1.004, names=8)
    settings: dict[str, Any] = {
        "MODEL_SET_DIR": str(published[1]),
        "DATA_DIR": str(tape.folder),
        "DATA_CACHE_TTL": "0",
        "RUNNER_TIMEOUT": f"{PATIENT:g}",
        "RUNNER_LAYOUT": "per_model",
        "SETTLEMENT_INTERVAL": "1",
    }
    with ExitStack() as started:
        first = started.enter_context(stack(home, published[0], **QUICK_TO_NOTICE))
        second = started.enter_context(running("service:DeepFinance", home / "second", **settings))
        yield Stand(first, second, tape, sets)


@dataclass(frozen=True)
class Condition:
    """``make`` makes it true, keeps it true until it is cancelled, and repairs what can be."""

    what: str
    alerts: tuple[str, ...]
    make: Callable[[Stand], Coroutine[Any, Any, None]]


async def use(it: Stand) -> None:
    """Eight clients of the first replica, until cancelled."""
    chance = random.Random(1)

    async def ask_on(client: httpx.AsyncClient) -> None:
        while True:
            body = {"symbol": chance.choice(SYMBOLS), "horizon": chance.randint(1, 90)}
            await _ask(client, "/api/v1/predict", body)
            await asyncio.sleep(chance.uniform(0.1, 0.4))

    async with it.first.server.async_client() as client, asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(ask_on(client))


async def _prices_only_rise(it: Stand) -> None:
    await _forecast_what_will_settle(it)
    await asyncio.to_thread(it.tape.show, HIDDEN)
    await asyncio.Event().wait()


async def _forecast_what_will_settle(it: Stand) -> None:
    """Forecasts of the second replica whose target dates are within what its prices do not show yet."""
    async with it.second.async_client() as client:
        asked = [{"symbol": symbol, "horizon": horizon} for symbol, horizon in product(SYMBOLS, HORIZONS)]
        for start in range(0, len(asked), BATCH):
            answer = await client.post("/api/v1/predict/batch", json={"requests": asked[start : start + BATCH]})
            answer.raise_for_status()


async def _source_fails(it: Stand) -> None:
    """Known symbols are forecast from what is kept; one that was never fetched cannot be."""
    it.first.lose_source()
    try:
        await _ask_on(it.first.server, "/api/v1/predict", {"symbol": "NFLX"}, pause=0.2)
    finally:
        it.first.bring_back_source()


async def _another_model_set(it: Stand) -> None:
    new = tiny.write_model_set(it.sets / "next", NEW)
    exchange(new, it.sets / "second")
    async with it.second.async_client() as client:
        (await client.post("/api/v1/models/reload")).raise_for_status()
    await asyncio.Event().wait()


async def _redis_killed(it: Stand) -> None:
    await asyncio.to_thread(it.first.redis.kill)
    try:
        await asyncio.Event().wait()
    finally:
        it.first.redis.start()


async def _database_and_disk_fail(it: Stand) -> None:
    """The journal cannot be written where its folder is a file."""
    journals, aside = it.first.journals, it.first.journals.with_suffix(".aside")
    if journals.exists():
        journals.rename(aside)
    journals.parent.mkdir(parents=True, exist_ok=True)
    journals.write_text("")
    await asyncio.to_thread(it.first.postgres.kill)
    try:
        await _ask_many(it.first.server)
        await asyncio.Event().wait()
    finally:
        journals.unlink()
        if aside.exists():
            aside.rename(journals)
        await asyncio.to_thread(it.first.postgres.bring_back)


async def _ask_many(server: Server) -> None:
    """More forecasts than the history holds in memory, no two alike."""
    every = product((0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85), SYMBOLS, range(1, 91))
    asked = [{"symbol": symbol, "horizon": horizon, "confidence_level": level} for level, symbol, horizon in every]
    async with server.async_client() as client:
        for start in range(0, len(asked), BATCH):
            answer = await client.post("/api/v1/predict/batch", json={"requests": asked[start : start + BATCH]})
            answer.raise_for_status()


async def _model_hangs_now_and_then(it: Stand) -> None:
    """At first for so long that it is away for a while; then longer than it is waited for, again and again."""
    for seconds in chain((6.0,), repeat(1.7)):
        async with _suspended(it.first.server, "LstmRunner"):
            await asyncio.sleep(seconds)
        await asyncio.sleep(0.3)


async def _model_is_too_slow(it: Stand) -> None:
    """It answers nothing for almost as long as it is waited for, while new prices bring ever more rows to be forecast
    from, each second as many as there are symbols; then it is let go on for a moment, else it would be away."""
    requests = {"requests": [{"symbol": symbol} for symbol in it.tape.symbols]}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_new_prices(it.tape))
        tasks.create_task(_ask_on(it.second, "/api/v1/predict/batch", requests, pause=0.5))
        while True:
            async with _suspended(it.second, "TransformerRunner"):
                await asyncio.sleep(0.9 * PATIENT)
            await asyncio.sleep(1)


async def _new_prices(tape: Tape) -> None:
    while True:
        await asyncio.to_thread(tape.touch)
        await asyncio.sleep(0.5)  # files are looked at once a second


async def _models_die_again_and_again(it: Stand) -> None:
    """Each time before it has started anew."""
    while True:
        for process in await asyncio.to_thread(it.second.family):
            with suppress(psutil.NoSuchProcess):
                if any(name in process.cmdline() for name in RUNNERS):
                    process.kill()
        await asyncio.sleep(0.3)


async def _replica_killed(it: Stand) -> None:
    for process in reversed(it.second.family()):
        process.kill()
    await asyncio.Event().wait()


@asynccontextmanager
async def _suspended(server: Server, *names: str) -> AsyncIterator[None]:
    runners = [server.runner(name) for name in names]
    for runner in runners:
        runner.suspend()
    try:
        yield
    finally:
        for runner in runners:
            runner.resume()


async def _ask_on(server: Server, path: str, body: dict[str, Any], pause: float) -> None:
    """Whatever the answers are; nobody waits for one before asking again."""
    async with server.async_client() as client, asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(_ask(client, path, body))
            await asyncio.sleep(pause)


async def _ask(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    with suppress(httpx.HTTPError):
        await client.post(path, json=body, timeout=60)


AT_ONCE = (
    (
        Condition(
            "prices rise by 0.4 % a session, every session, after 630 forecasts were made",
            ("DeepFinanceCoverageFalls", "DeepFinanceDrift", "DeepFinanceLopsided"),
            _prices_only_rise,
        ),
    ),
    (
        Condition(
            "the only live source answers 500, and a symbol that was never fetched is asked for",
            ("DeepFinanceErrors", "DeepFinanceSourceCircuitOpen", "DeepFinanceStaleData"),
            _source_fails,
        ),
    ),
    (
        Condition(
            "a model's process hangs again and again",
            ("DeepFinanceModelAway", "DeepFinanceModelFails", "DeepFinanceSlow"),
            _model_hangs_now_and_then,
        ),
        Condition("Redis is killed", ("DeepFinanceCacheAway", "DeepFinanceLimitsNotShared"), _redis_killed),
        Condition(
            "PostgreSQL is killed, the disk refuses the journal, and 6,480 forecasts are made",
            ("DeepFinanceHistoryFails", "DeepFinanceHistoryQueueGrows", "DeepFinanceHistoryLoses"),
            _database_and_disk_fail,
        ),
    ),
    (
        Condition("one replica is given another model set", ("DeepFinanceMixedModelSets",), _another_model_set),
        Condition("a model takes no rows while more come", ("DeepFinanceQueueGrows",), _model_is_too_slow),
        Condition(
            "every model of a replica dies, again and again", ("DeepFinanceNotReady",), _models_die_again_and_again
        ),
    ),
)
"""Each row is of something else than the others: its conditions are made true one after the other, beside those of
the other rows."""
LAST = Condition("a replica is killed", ("DeepFinanceDown",), _replica_killed)
"""Made true when nobody needs the replica any more."""
