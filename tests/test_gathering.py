"""Requests travel together, each gets its own outcome, and one cannot spoil the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from contracts import Bars, ForecastRequest
from errors import UnknownSymbol
from gathering import Gathering
from pipeline import Series
from tests.in_memory import MemoryMarket

SYMBOLS = ("AAPL", "MSFT", "^GSPC", "BTC-USD")


class Work:
    """Says each request back; waits at the ``gate``; a horizon of 13 breaks the whole pass."""

    def __init__(self) -> None:
        self.passes: list[list[ForecastRequest]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Any:
        if bars:  # of a batch nobody has looked any up
            assert [bars[it.symbol, it.timeframe].symbol for it in requests] == [it.symbol for it in requests]
        self.passes.append(list(requests))
        await self.gate.wait()
        if any(request.horizon == 13 for request in requests):
            raise RuntimeError("nobody foresaw this")
        return list(requests)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def gathering(work: Work) -> Gathering:
    """One that has seen every symbol before."""
    gathering = Gathering(work, MemoryMarket(), rows=8, at_once=1)
    for symbol in SYMBOLS:
        await gathering.forecast([ForecastRequest(symbol)])
    work.passes.clear()
    return gathering


async def one(gathering: Gathering, request: ForecastRequest) -> Any:
    (outcome,) = await gathering.forecast([request])
    return outcome


async def test_who_comes_while_others_are_served_is_served_with_whoever_else_came(work: Work, gathering: Gathering):
    work.gate.clear()
    requests = [ForecastRequest(SYMBOLS[at % 4], horizon=at + 20) for at in range(20)]
    tasks = [asyncio.create_task(one(gathering, request)) for request in requests]
    await asyncio.sleep(0.01)
    work.gate.set()
    assert await asyncio.gather(*tasks) == requests
    assert [len(each) for each in work.passes] == [8, 8, 4]


async def test_a_lone_request_starts_at_once(work: Work, gathering: Gathering):
    assert await asyncio.wait_for(one(gathering, ForecastRequest("AAPL")), 0.1) == ForecastRequest("AAPL")
    assert len(work.passes) == 1


async def test_series_seen_for_the_first_time_go_together_and_apart_from_those_that_are_known(work: Work):
    gathering = Gathering(work, MemoryMarket(), rows=8, at_once=1)
    await one(gathering, ForecastRequest("AAPL"))
    work.gate.clear()
    tasks = [asyncio.create_task(one(gathering, ForecastRequest(symbol))) for symbol in SYMBOLS]
    await asyncio.sleep(0.01)
    assert [[request.symbol for request in each] for each in work.passes[1:]] == [["AAPL"], [*SYMBOLS[1:]]]
    work.gate.set()
    await asyncio.gather(*tasks)
    await asyncio.gather(*(one(gathering, ForecastRequest(symbol)) for symbol in SYMBOLS))
    assert [len(each) for each in work.passes] == [1, 1, 3, 4]


async def test_who_asks_for_a_known_series_does_not_wait_for_new_ones(work: Work):
    gathering = Gathering(work, MemoryMarket(), rows=8, at_once=1)
    await one(gathering, ForecastRequest("AAPL"))
    work.gate.clear()
    new = asyncio.create_task(one(gathering, ForecastRequest("MSFT")))
    await asyncio.sleep(0.01)
    known = asyncio.create_task(one(gathering, ForecastRequest("AAPL")))
    await asyncio.sleep(0.01)
    assert len(work.passes) == 3  # all have begun
    work.gate.set()
    await asyncio.gather(new, known)


async def test_bars_that_the_caller_knows_are_not_looked_up_again(work: Work, gathering: Gathering, monkeypatch):
    known = {(symbol, "1d"): await MemoryMarket().bars(symbol, "1d") for symbol in SYMBOLS}
    monkeypatch.delattr(MemoryMarket, "bars")
    for requests in ([ForecastRequest("AAPL")], [ForecastRequest(symbol) for symbol in SYMBOLS]):
        outcomes: Any = await gathering.forecast(requests, known)
        assert outcomes == requests


async def test_a_batch_is_one_pass(work: Work, gathering: Gathering):
    requests = [ForecastRequest(symbol, horizon) for symbol in SYMBOLS for horizon in range(1, 6)]
    outcomes: Any = await gathering.forecast(requests)
    assert outcomes == requests
    assert work.passes == [requests]


async def test_what_nobody_foresaw_fails_only_its_own_request(work: Work, gathering: Gathering):
    horizons = (12, 13, 14)
    outcomes = await asyncio.gather(
        *(one(gathering, ForecastRequest("AAPL", horizon)) for horizon in horizons), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [ForecastRequest, RuntimeError, ForecastRequest]


async def test_an_unknown_symbol_is_its_own_error(work: Work, gathering: Gathering):
    assert isinstance(await one(gathering, ForecastRequest("NOPE")), UnknownSymbol)
    assert work.passes == []


async def test_nothing_is_computed_for_who_has_gone(work: Work, gathering: Gathering):
    work.gate.clear()
    first = asyncio.create_task(one(gathering, ForecastRequest("AAPL")))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(one(gathering, ForecastRequest("MSFT")))
    stays = asyncio.create_task(one(gathering, ForecastRequest("^GSPC")))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    work.gate.set()
    await asyncio.gather(first, stays)
    assert [[request.symbol for request in each] for each in work.passes] == [["AAPL"], ["^GSPC"]]
