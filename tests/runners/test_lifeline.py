from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runners.lifeline import Lifelines

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(SLEEP) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def living(processes: list[subprocess.Popen[bytes]]) -> dict[int, str]:
    return {process.pid: "LstmRunner" for process in processes if process.poll() is None}


async def test_the_death_of_the_last_process_is_told_at_once(processes: list[subprocess.Popen[bytes]]) -> None:
    one, other = processes
    died: list[str] = []
    told = asyncio.Event()

    def on_death(service: str) -> None:
        died.append(service)
        told.set()

    lifelines = Lifelines(["LstmRunner"], on_death, lambda: living(processes))
    watching = asyncio.create_task(lifelines.watch())
    await asyncio.sleep(0.2)
    one.kill()
    await asyncio.sleep(0.2)
    assert died == []  # the other still answers
    other.kill()
    other.wait()  # a busy machine lets it die when it comes to that
    started = asyncio.get_running_loop().time()
    await asyncio.wait_for(told.wait(), 2)
    assert asyncio.get_running_loop().time() - started < 0.5
    assert died == ["LstmRunner"]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_process_that_is_started_again_is_found(processes: list[subprocess.Popen[bytes]]) -> None:
    one, other = processes
    alive = {one.pid: "LstmRunner"}
    died: list[str] = []
    lifelines = Lifelines(["LstmRunner"], died.append, lambda: dict(alive))
    watching = asyncio.create_task(lifelines.watch())
    await asyncio.sleep(0.2)
    alive.clear()
    one.kill()
    await asyncio.sleep(0.2)
    alive[other.pid] = "LstmRunner"
    await asyncio.sleep(1.3)
    other.kill()
    await asyncio.sleep(0.2)
    assert died == ["LstmRunner"] * 2
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
