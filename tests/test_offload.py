"""The other process for real: what it answers, and what is left when it, a call or its parent goes away."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from errors import InvalidRequest, Timeout, Unavailable
from offload import Offload

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
async def offload() -> AsyncIterator[Offload]:
    made = Offload()
    yield made
    await made.close()


def twice(values: np.ndarray) -> np.ndarray:
    return 2 * values


def whoami() -> int:
    return os.getpid()


def refuse(field: str) -> None:
    raise InvalidRequest(f"{field} is wrong")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.lock = threading.Lock()


def raise_unpicklable() -> None:
    raise Unpicklable


def answer_unpicklable() -> object:
    return threading.Lock()


def sleep_for(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def die_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "alive"


def die() -> None:
    os._exit(3)


def shout() -> str:
    print("x" * 100_000)  # noqa: T201
    os.write(1, b"y" * 1000)
    return "heard"


def open_sockets() -> int:
    return len(psutil.Process().net_connections(kind="all"))


def heavy_modules() -> list[str]:
    return [name for name in ("pandas", "arch", "bentoml", "torch") if name in sys.modules]


async def test_arrays_go_there_and_back_and_the_process_is_another_one_that_is_kept(offload: Offload):
    values = np.arange(300_000.0)
    assert np.array_equal(await offload.run(twice, values, timeout=120), 2 * values)
    first = await offload.run(whoami, timeout=120)
    assert first == offload.pid != os.getpid()
    assert await offload.run(whoami, timeout=120) == first


async def test_nothing_is_started_before_the_first_call():
    made = Offload()
    assert made.pid is None
    await made.close()


async def test_what_the_function_raises_is_raised_here_and_the_process_lives_on(offload: Offload):
    with pytest.raises(InvalidRequest, match="spot is wrong"):
        await offload.run(refuse, "spot", timeout=120)
    pid = offload.pid
    with pytest.raises(RuntimeError, match="cannot travel"):
        await offload.run(raise_unpicklable, timeout=120)
    with pytest.raises(TypeError, match="pickle"):
        await offload.run(answer_unpicklable, timeout=120)
    assert offload.pid == pid is not None


async def test_a_process_that_dies_is_replaced_and_the_call_made_again(offload: Offload, tmp_path: Path):
    assert await offload.run(die_once, str(tmp_path / "marker"), timeout=120) == "alive"


async def test_a_call_that_kills_its_process_every_time_is_unavailable(offload: Offload):
    with pytest.raises(Unavailable, match="died, twice"):
        await offload.run(die, timeout=120)
    assert await offload.run(whoami, timeout=120)


async def test_a_process_killed_while_idle_is_replaced(offload: Offload):
    first = await offload.run(whoami, timeout=120)
    process = psutil.Process(first)
    process.kill()
    process.wait(60)
    assert await offload.run(whoami, timeout=120) != first


async def test_a_call_that_takes_too_long_is_killed_and_the_next_one_is_answered(offload: Offload):
    first = await offload.run(whoami, timeout=120)
    with pytest.raises(Timeout, match=r"longer than 0\.2 seconds"):
        await offload.run(sleep_for, 60.0, timeout=0.2)
    assert not psutil.pid_exists(first)
    assert await offload.run(sleep_for, 0.0, timeout=120) == 0.0


async def test_the_first_call_of_a_process_that_takes_too_long_does_not_undo_its_start(offload: Offload):
    with pytest.raises(Timeout):
        await offload.run(sleep_for, 3.0, timeout=0.5)
    pid = offload.pid
    with pytest.raises(Timeout):
        await offload.run(whoami, timeout=0.01)
    assert await offload.run(whoami, timeout=120) == pid is not None


async def test_a_process_that_never_begins_is_ended(offload: Offload, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("offload.BEGINNING", 0.3)
    with pytest.raises(Timeout):
        await offload.run(sleep_for, 60.0, timeout=0.5)
    pid = offload.pid
    assert await offload.run(whoami, timeout=120) != pid is not None


async def test_closing_ends_a_process_that_begins():
    made = Offload()
    with pytest.raises(Timeout):
        await made.run(sleep_for, 60.0, timeout=0.5)
    pid = made.pid
    await made.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_call_that_times_out_while_it_waits_leaves_the_running_one_alone(offload: Offload):
    await offload.run(whoami, timeout=120)
    running = asyncio.create_task(offload.run(sleep_for, 3.0, timeout=120))
    await asyncio.sleep(0.05)
    with pytest.raises(Timeout):
        await offload.run(sleep_for, 0.0, timeout=0.1)
    assert await running == 3.0


async def test_a_caller_who_goes_away_does_not_leave_its_answer_to_the_next(offload: Offload):
    abandoned = asyncio.create_task(offload.run(sleep_for, 1.0, timeout=120))
    await asyncio.sleep(0.1)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    assert await offload.run(sleep_for, 0.0, timeout=120) == 0.0


async def test_calls_are_answered_each_with_its_own(offload: Offload):
    arrays = [np.full(10, i) for i in range(20)]
    answers = await asyncio.gather(*(offload.run(twice, array, timeout=120) for array in arrays))
    assert [int(answer[0]) for answer in answers] == [2 * i for i in range(20)]


async def test_too_many_calls_are_refused_at_once():
    offload = Offload(most_waiting=2)
    calls = [asyncio.create_task(offload.run(sleep_for, 0.1, timeout=120)) for _ in range(4)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [float, float, float, Unavailable]
    await offload.close()


async def test_it_ends_when_idle_and_starts_again():
    offload = Offload(idle_seconds=0.1)
    first = await offload.run(whoami, timeout=120)
    watched = psutil.Process(first)
    async with asyncio.timeout(60):
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert offload.pid is None
    assert await offload.run(whoami, timeout=120) != first
    await offload.close()


async def test_it_is_not_ended_as_idle_in_the_middle_of_a_call():
    offload = Offload(idle_seconds=0.1)
    first = await offload.run(whoami, timeout=120)
    assert await offload.run(sleep_for, 0.4, timeout=120) == 0.4
    assert offload.pid == first
    await offload.close()


async def test_closing_ends_the_call_that_runs_and_refuses_the_next(offload: Offload):
    call = asyncio.create_task(offload.run(sleep_for, 60.0, timeout=90))
    await asyncio.sleep(0.2)
    await offload.close()
    with pytest.raises(Unavailable):
        await call
    with pytest.raises(Unavailable):
        await offload.run(whoami, timeout=120)
    assert offload.pid is None


async def test_what_a_library_prints_does_not_disturb_the_answer(offload: Offload):
    assert await offload.run(shout, timeout=120) == "heard"


async def test_it_inherits_no_socket_and_starts_without_what_is_heavy(offload: Offload):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        assert await offload.run(open_sockets, timeout=120) == 0
    assert await offload.run(heavy_modules, timeout=120) == []


PARENT = """
import asyncio, sys
from offload import Offload
from tests.test_offload import sleep_for, whoami

async def main():
    offload = Offload()
    print(await offload.run(whoami, timeout=120), flush=True)
    await offload.run(sleep_for, 60.0, timeout=90)

asyncio.run(main())
"""


def test_it_ends_with_its_parent_even_in_the_middle_of_a_call_and_when_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(60)
