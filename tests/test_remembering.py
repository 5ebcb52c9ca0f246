from __future__ import annotations

import asyncio
from functools import partial

import pytest

from errors import UnknownSymbol
from remembering import Remembered


async def test_what_is_remembered_is_bounded_and_an_error_is_not_kept():
    remembered: Remembered[int] = Remembered(kept=2)
    calls: list[int] = []

    async def work(value: int) -> int:
        calls.append(value)
        if value < 0:
            raise UnknownSymbol("no")
        return value

    for key in (1, 2, 1, 3, 1, 2):
        assert await remembered.get(key, partial(work, key)) == key
    assert calls == [1, 2, 3, 2]
    for _ in range(2):
        with pytest.raises(UnknownSymbol):
            await remembered.get("bad", partial(work, -1))
    assert calls[-2:] == [-1, -1]


async def test_what_is_known_can_be_had_without_waiting_and_counts_as_used():
    remembered: Remembered[int] = Remembered(kept=2)

    async def work(value: int) -> int:
        return value

    assert remembered.known(1) is None
    for key in (1, 2):
        await remembered.get(key, partial(work, key))
    assert remembered.known(1) == 1
    await remembered.get(3, partial(work, 3))
    assert [remembered.known(key) for key in (1, 2, 3)] == [1, None, 3]


async def test_a_caller_who_goes_away_does_not_stop_the_work_of_the_others():
    remembered: Remembered[str] = Remembered()

    async def work() -> str:
        await asyncio.sleep(0.05)
        return "done"

    first = asyncio.create_task(remembered.get("key", work))
    second = asyncio.create_task(remembered.get("key", work))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "done"
