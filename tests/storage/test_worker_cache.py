"""What the workers of one gateway share in a file: found by all, made by one, and never in anyone's way."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from storage.worker_cache import PATIENCE, PAUSE, Result, WorkerCache

ROOT = Path(__file__).resolve().parents[2]


class Time:
    """``now`` and ``clock`` of a test."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "shared.db"


async def test_what_one_puts_the_other_gets_until_its_time_is_over(file: Path):
    now, seen = Time(), list[Result]()
    one, other = WorkerCache(file, now=now), WorkerCache(file, now=now, on_get=seen.append)
    await one.put("a", b"\x00\xff", ttl=10)
    await one.put("never", b"x", ttl=0)
    assert [await other.get(key) for key in ("a", "never", "b")] == [b"\x00\xff", None, None]
    now.seconds += 10
    assert await other.get("a") is None
    assert seen == ["hit", "miss", "miss", "miss"]


async def test_of_all_who_ask_at_once_one_is_to_do_the_work(file: Path):
    caches = [WorkerCache(file) for _ in range(4)]
    asked = [cache.claim("work", 5) for cache in caches for _ in range(3)]
    assert sorted(await asyncio.gather(*asked)) == [False] * 11 + [True]
    assert await caches[0].claim("other work", 5)
    await caches[1].release("work")
    assert await caches[2].claim("work", 5)


async def test_work_whose_worker_died_is_anyones_again(file: Path):
    now = Time()
    one, other = WorkerCache(file, now=now), WorkerCache(file, now=now)
    assert await one.claim("work", 5)
    now.seconds += 4.9
    assert not await other.claim("work", 5)
    now.seconds += 0.1
    assert await other.claim("work", 5)
    assert not await one.claim("work", 5)


async def test_what_is_kept_is_no_work(file: Path):
    now = Time()
    one, other = WorkerCache(file, now=now), WorkerCache(file, now=now)
    await one.put("a", b"done", 10)
    found, is_mine = await asyncio.gather(other.get("a"), other.claim("a", 5))
    assert found == b"done"
    assert not is_mine
    with closing(sqlite3.connect(file)) as connection:
        assert not connection.execute("SELECT * FROM claims").fetchall()
    assert not await one.claim("a", 5)  # as by one who looked before it was put, and claims when it is released
    now.seconds += 10
    assert await one.claim("a", 5)


async def test_room_is_bounded_and_what_expires_first_goes_first(file: Path):
    cache = WorkerCache(file, max_bytes=1_000_000)
    for number in range(300):
        await cache.put(f"k{number}", bytes(10_000), ttl=100 + number)
    await cache.put("too large", bytes(250_001), ttl=100)
    assert await cache.get("k299") is not None
    assert await cache.get("k0") is await cache.get("too large") is None
    assert sum(it.stat().st_size for it in file.parent.iterdir() if not it.name.endswith("-wal")) < 1_300_000


async def test_what_has_expired_makes_room(file: Path):
    now = Time()
    cache = WorkerCache(file, now=now)
    await cache.put("a", bytes(1000), ttl=10)
    now.seconds += 11
    await cache.put("b", bytes(1000), ttl=10)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT key FROM kept").fetchall() == [("b",)]


async def test_a_worker_that_holds_the_file_is_waited_for_a_moment_and_no_fault(
    file: Path, caplog: pytest.LogCaptureFixture
):
    cache = WorkerCache(file)
    await cache.put("a", b"1", 100)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        assert await cache.claim("work", 5)  # nobody can tell
        assert time.perf_counter() - started < PATIENCE + 2
        assert await cache.get("a") == b"1"  # who looks waits for nobody
        other.execute("ROLLBACK")
    assert await cache.claim("work", 5)
    assert not await cache.claim("work", 5)
    assert cache.problem is None
    assert not caplog.records


def put_in_its_place(file: Path, fault: str) -> None:
    file.parent.mkdir()
    if fault == "no database":
        file.write_bytes(b"something else altogether" * 100)
    else:
        file.mkdir()


def take_away(file: Path) -> None:
    if file.is_file():
        file.unlink()
    else:
        file.rmdir()


@pytest.mark.parametrize("fault", ["no database", "a folder in its place"])
async def test_a_file_that_is_of_no_use_costs_hits_and_two_lines(
    file: Path, caplog: pytest.LogCaptureFixture, fault: str
):
    caplog.set_level("INFO", "deepfinance")
    clock, seen = Time(), list[Result]()
    cache = WorkerCache(file, clock=clock, on_get=seen.append)
    put_in_its_place(file, fault)
    for _ in range(3):
        assert await cache.get("a") is None
        await cache.put("a", b"1", 10)
        assert await cache.claim("a", 5)
    assert cache.problem is not None
    assert seen == ["error"] * 3
    take_away(file)
    clock.seconds += PAUSE
    await cache.put("a", b"1", 10)
    assert await cache.get("a") == b"1"
    assert cache.problem is None
    assert len(caplog.records) == 2
    await cache.close()


def said_by_two(command: list[str]) -> list[bytes]:
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    return [line for each in both for line in each.communicate(timeout=300)[0].split()]


async def test_two_processes_at_once_lose_nothing_and_claim_each_work_once(file: Path):
    script = (
        "import asyncio, sys, pathlib\n"
        "import storage.worker_cache\n"
        "from storage.worker_cache import WorkerCache\n"
        "storage.worker_cache.PATIENCE = 60.0\n"
        "async def main():\n"
        "    cache = WorkerCache(pathlib.Path(sys.argv[1]))\n"
        "    for number in range(300):\n"
        "        if await cache.claim(f'w{number}', 3600):\n"
        "            print(number)\n"
        "            await cache.put(f'w{number}', b'done', 3600)\n"
        "asyncio.run(main())\n"
    )
    await WorkerCache(file).put("another", b"", 1)  # who makes the file has it alone for a moment
    done = said_by_two([sys.executable, "-c", script, str(file)])
    assert {int(number) for number in done} == set(range(300))
    assert len(done) == 300
    cache = WorkerCache(file)
    assert [await cache.get(f"w{number}") for number in range(300)] == [b"done"] * 300
