"""One timer for all that has the same time: each is given up when it is due, and not before."""

from __future__ import annotations

import asyncio

import pytest

from gateway.deadlines import Deadlines


async def work(deadlines: Deadlines, seconds: float) -> float:
    started_at = asyncio.get_running_loop().time()
    try:
        with deadlines.begin():
            await asyncio.sleep(seconds)
    except TimeoutError:
        assert not asyncio.current_task().cancelling()
        return asyncio.get_running_loop().time() - started_at
    return 0.0


async def test_each_is_given_up_when_it_is_due():
    deadlines = Deadlines(0.1)
    begun = []
    for number in range(8):
        begun.append(asyncio.create_task(work(deadlines, 0.01 if number % 2 else 10)))
        await asyncio.sleep(0.02)
    took = await asyncio.gather(*begun)
    assert took[1::2] == [0.0] * 4
    assert all(0.1 <= seconds < 0.5 for seconds in took[::2])


async def test_it_waits_again_after_all_were_done():
    deadlines = Deadlines(0.05)
    assert await work(deadlines, 0.0) == 0.0
    await asyncio.sleep(0.1)
    assert await work(deadlines, 10) >= 0.05
    assert await work(deadlines, 10) >= 0.05


async def test_who_is_cancelled_by_another_is_cancelled():
    deadlines = Deadlines(10)
    task = asyncio.create_task(work(deadlines, 10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not deadlines._running


async def test_both_at_once_is_cancelled():
    deadlines = Deadlines(0.02)
    task = asyncio.create_task(work(deadlines, 10))
    await asyncio.sleep(0)
    task.cancel()
    next(iter(deadlines._running)).give_up()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_raises_by_itself_is_not_hidden():
    deadlines = Deadlines(10)
    with pytest.raises(KeyError), deadlines.begin():
        raise KeyError
    assert not deadlines._running


def test_another_loop_has_a_timer_of_its_own():
    deadlines = Deadlines(0.05)
    for _ in range(2):
        assert asyncio.run(work(deadlines, 10)) >= 0.05
        asyncio.run(work(deadlines, 0))
