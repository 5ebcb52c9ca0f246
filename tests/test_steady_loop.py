"""The clock of the tests' event loops: right where nothing comes between, and not ahead where something does."""

from __future__ import annotations

import asyncio
import threading
import time

from tests.steady_loop import MOST, SLICE, SteadyLoop


def test_tests_run_in_it():
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        assert isinstance(runner.run(loop()), SteadyLoop)


async def test_every_test_has_one():
    assert isinstance(asyncio.get_running_loop(), SteadyLoop)


async def test_a_wait_takes_as_long_as_it_says():
    loop, started = asyncio.get_running_loop(), time.monotonic()
    by_its_clock = loop.time()
    await asyncio.sleep(0.3)
    assert loop.time() - by_its_clock >= 0.3
    assert time.monotonic() - started >= 0.3


async def test_time_that_is_lost_is_not_counted():
    loop = asyncio.get_running_loop()
    started = loop.time()
    time.sleep(0.4)  # noqa: ASYNC251  as the machine may let it wait
    assert loop.time() - started <= MOST
    await asyncio.sleep(0)
    assert loop.time() - started <= 4 * MOST


async def test_what_is_due_at_different_times_comes_one_after_the_other_with_the_network_between():
    """The pipe is written to by the first timer, and read before the second is due, though both are late."""
    came: list[str] = []
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str] = asyncio.Queue()
    threading.Timer(0.05, lambda: loop.call_soon_threadsafe(queue.put_nowait, "asked")).start()
    loop.call_later(0.1, came.append, "first")
    loop.call_later(0.1 + 2 * (SLICE + MOST), came.append, "second")
    time.sleep(0.5)  # noqa: ASYNC251
    came.append(await queue.get())
    await asyncio.sleep(0.5)
    assert came == ["asked", "first", "second"]
