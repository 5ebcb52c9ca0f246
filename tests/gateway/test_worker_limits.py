"""Workers of one gateway that count together in a file."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from gateway import worker_limits
from gateway.limits import Allowance, Limit
from gateway.worker_limits import WorkerWindows


class Clock:
    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "limits.db"


@pytest.fixture
def workers(file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[WorkerWindows]]:
    """Two that are waited for longer than in service: what is tested is the count, and a busy machine may be late."""
    monkeypatch.setattr("gateway.limits._PATIENCE", 60.0)
    monkeypatch.setattr(worker_limits, "PATIENCE", 60.0)
    made = [WorkerWindows(file, clock, clock) for _ in range(2)]
    yield made
    for worker in made:
        asyncio.run(worker.close())


def allowances(workers: list[WorkerWindows], limit: Limit, clock: Clock) -> list[Allowance]:
    return [Allowance("desk", limit, worker, clock) for worker in workers]


def test_workers_let_exactly_the_limit_pass_and_no_more_until_its_time_is_over(workers, clock):
    async def run() -> None:
        both = allowances(workers, Limit(100, 60), clock)
        passed = [await both[i % 2].take() for i in range(300)]
        assert passed == [True] * 100 + [False] * 200
        assert [it.remaining for it in both] == [0, 0]
        clock.time += 59.9
        assert not await both[0].take()
        clock.time += 1.1
        assert await both[1].take()

    asyncio.run(run())


def test_a_high_limit_is_passed_by_a_unit_for_each_worker_at_most(workers, clock):
    async def run() -> None:
        limit = Limit(1_050, 60)
        both = allowances(workers, limit, clock)
        passed = sum([await both[i % 2].take() for i in range(3_000)])
        assert 1_050 <= passed <= 1_050 + 2 * limit.unit

    asyncio.run(run())


def test_callers_do_not_share_and_the_past_is_forgotten(workers, clock, file):
    async def run() -> None:
        for caller in ("a", "b"):
            assert (await workers[0].lease(caller, Limit(1, 60), 1)).granted == 1
            assert (await workers[1].lease(caller, Limit(1, 60), 1)).granted == 0
        clock.time += 61
        await workers[0].lease("c", Limit(1, 60), 1)

    asyncio.run(run())
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT caller FROM leases").fetchall() == [("c",)]


def test_what_was_counted_outlives_the_process(file, clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.limits._PATIENCE", 60.0)

    async def take(worker: WorkerWindows) -> bool:
        passed = await Allowance("desk", Limit(1, 60), worker, clock).take()
        await worker.close()
        return passed

    assert asyncio.run(take(WorkerWindows(file, clock, clock)))
    assert not asyncio.run(take(WorkerWindows(file, clock, clock)))


def _take_many(file: Path, count: int) -> int:
    """In a process of its own, with more patience than in service: what is tested is the count."""
    pytest.MonkeyPatch().setattr(worker_limits, "PATIENCE", 60.0)

    async def run() -> int:
        worker = WorkerWindows(file)
        granted = 0
        for _ in range(count):
            lease = await worker.lease("desk", Limit(150, 3600), 1)
            granted += lease.granted if lease is not None else 0
        await worker.close()
        return granted

    return asyncio.run(run())


def test_processes_at_the_same_time_grant_nothing_twice(file, workers):
    asyncio.run(workers[0].lease("another", Limit(1, 1), 1))  # who makes the file has it alone for a moment
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:  # a fork would copy what other threads hold
        assert sum(pool.map(_take_many, [file] * 3, [100] * 3)) == 150


def test_without_the_file_every_worker_counts_its_own(workers, clock, file, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    told: list[bool] = []
    workers[0].on_change = told.append

    async def run() -> None:
        file.parent.write_text("not a folder")
        first = allowances(workers, Limit(3, 60), clock)[0]
        assert [await first.take() for _ in range(4)] == [True, True, True, False]
        file.parent.unlink()
        clock.time += 61
        assert await first.take()

    asyncio.run(run())
    assert told == [False, True]
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "requests cannot be counted together",
        "the requests of all workers are counted together again",
    ]
