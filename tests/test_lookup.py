"""Many series are looked up at the same time, and those that are known without ado."""

from __future__ import annotations

import asyncio

import pytest

from errors import DeepFinanceError, UnknownSymbol
from lookup import looked_up
from tests.features.series import wandering_bars

BARS = wandering_bars(10)


class Market:
    """Knows symbols at once, but those that start with S only once ``opened``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waiting = 0
        self.opened = asyncio.Event()

    async def bars(self, symbol, timeframe):
        self.asked.append(symbol)
        if symbol.startswith("S"):
            self.waiting += 1
            await self.opened.wait()
            self.waiting -= 1
        if symbol.endswith("!"):
            raise UnknownSymbol(symbol)
        if symbol.endswith("?"):
            raise RuntimeError(symbol)
        return BARS


def daily(*symbols):
    return [(symbol, "1d") for symbol in symbols]


async def test_each_is_asked_for_once_and_gets_its_bars_or_its_error():
    market = Market()
    found = await looked_up(daily("A", "B!", "A"), market)
    assert found["A", "1d"] is BARS
    assert isinstance(found["B!", "1d"], DeepFinanceError)
    assert market.asked == ["A", "B!"]


async def test_those_that_have_to_be_waited_for_are_waited_for_together():
    market = Market()
    looking = asyncio.create_task(looked_up(daily("S1", "A", "S2", "S3!", "B"), market))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(market.asked), market.waiting) == (5, 3)
    market.opened.set()
    found = await looking
    assert [name for (name, _), each in found.items() if each is BARS] == ["A", "B", "S1", "S2"]
    assert isinstance(found["S3!", "1d"], UnknownSymbol)


async def test_known_series_take_one_task_however_many_they_are(monkeypatch):
    made, create = [], asyncio.create_task

    def counted(work):
        made.append(work)
        return create(work)

    monkeypatch.setattr(asyncio, "create_task", counted)
    await looked_up(daily(*(f"A{i}" for i in range(50))), Market())
    assert len(made) == 1
    await looked_up(daily("A"), Market())
    assert len(made) == 1


@pytest.mark.parametrize("symbols", [("A", "B?"), ("B?",)])
async def test_what_nobody_foresaw_is_raised(symbols):
    with pytest.raises(RuntimeError):
        await looked_up(daily(*symbols), Market())


async def test_who_goes_away_leaves_nobody_waiting():
    market = Market()
    looking = asyncio.create_task(looked_up(daily("S1", "S2"), market))
    for _ in range(10):
        await asyncio.sleep(0)
    assert market.waiting == 2
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
