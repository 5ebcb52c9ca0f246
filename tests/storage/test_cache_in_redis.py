"""Redis, whatever happens to it, costs hits: never an error, never more than 50 ms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from errors import ConfigurationError
from storage.redis_cache import FAILURES_TO_OPEN, PREFIX, RedisCache, Result
from tests.storage.live_redis import LiveRedis, live_redis

BOUND = 0.05 + 0.05
"""Seconds by the clock of the event loop: the 50 ms, and what is done before and after."""


@pytest.fixture
def server() -> Iterator[LiveRedis]:
    with live_redis() as server:
        yield server


@pytest.fixture
async def cache(server: LiveRedis) -> AsyncIterator[RedisCache]:
    async with connected(server) as cache:
        yield cache


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of something else than who waits how long: a busy machine may be late."""
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 5.0)


def now() -> float:
    """Seconds. It stands still while the machine does something else."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def connected(server: LiveRedis, seen: list[Result] | None = None) -> AsyncIterator[RedisCache]:
    cache = RedisCache(server.url, on_get=(seen if seen is not None else []).append)
    try:
        yield cache
    finally:
        await cache.close()


async def eventually_ok(cache: RedisCache) -> None:
    async with asyncio.timeout(60):
        while (await cache.health()).state != "ok":  # noqa: ASYNC110  it has no event to wait for
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("patient")
async def test_what_one_puts_the_other_gets(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"\x00\xff", ttl=10)
    seen: list[Result] = []
    async with connected(server, seen) as other:
        assert await other.get("a") == b"\x00\xff"
        assert await other.get("b") is None
    assert seen == ["hit", "miss"]


@pytest.mark.usefixtures("patient")
async def test_it_goes_when_its_time_is_over(cache: RedisCache):
    await cache.put("a", b"1", ttl=0.05)
    await cache.put("b", b"1", ttl=0)
    assert await cache.get("b") is None
    await asyncio.sleep(0.1)
    assert await cache.get("a") is None


@pytest.mark.usefixtures("patient")
async def test_one_at_a_time_is_to_do_the_work(server: LiveRedis, cache: RedisCache):
    async with connected(server) as other:
        assert await cache.claim("work", ttl=60)
        assert not await other.claim("work", ttl=5)
        await cache.release("work")
        assert await other.claim("work", ttl=0.05)
        await asyncio.sleep(0.1)
        assert await cache.claim("work", ttl=5), "a claim must not outlive its maker"


@pytest.mark.usefixtures("patient")
async def test_a_burst_is_one_round_trip(server: LiveRedis, cache: RedisCache):
    await cache.put("0", b"0", ttl=10)
    with server.client() as behind:
        before = behind.info("clients")["connected_clients"]
        await asyncio.gather(*(cache.put(str(i), str(i).encode(), 10) for i in range(500)))
        values = await asyncio.gather(*(cache.get(str(i)) for i in range(500)))
        assert behind.info("clients")["connected_clients"] == before
    assert values == [str(i).encode() for i in range(500)]


@pytest.mark.usefixtures("patient")
async def test_keys_carry_the_version_of_the_layout(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"1", ttl=10)
    with server.client() as behind:
        assert behind.keys() == [f"{PREFIX}a".encode()]


@pytest.mark.usefixtures("patient")
async def test_a_value_of_another_type_is_a_miss(server: LiveRedis, cache: RedisCache):
    with server.client() as behind:
        behind.rpush(f"{PREFIX}a", "x")
    assert await cache.get("a") is None
    assert (await cache.health()).state == "ok"


@pytest.mark.usefixtures("patient")
async def test_a_full_redis_still_reads(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"1", ttl=60)
    with server.client() as behind:
        behind.config_set("maxmemory", "1")
    for _ in range(FAILURES_TO_OPEN + 1):
        await cache.put("b", b"2", ttl=60)
        assert await cache.claim("work", ttl=60), "nobody can tell, so the caller does the work"
    assert await cache.get("a") == b"1"
    assert await cache.get("b") is None


@pytest.mark.usefixtures("patient")
async def test_a_flush_is_a_miss(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"1", ttl=60)
    with server.client() as behind:
        behind.flushall()
    assert await cache.get("a") is None


async def test_nobody_waits_longer_than_50_ms_and_soon_nobody_waits(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"1", ttl=60)
    server.halt()
    for _ in range(FAILURES_TO_OPEN):
        started = now()
        assert await cache.get("a") is None
        assert now() - started < BOUND
    started = now()
    for _ in range(1000):
        assert await cache.get("a") is None
        assert await cache.claim("work", ttl=5)
    assert now() - started < BOUND
    assert (await cache.health()).state == "failing"


async def test_a_crowd_does_not_wait_longer_either(server: LiveRedis):
    server.halt()
    waits = []
    for _ in range(8):  # the machine may be busy, but not each time
        async with connected(server) as cache:
            started = now()
            await asyncio.gather(
                *(cache.get(str(i)) for i in range(200)), *(cache.put(str(i), b"", 9) for i in range(200))
            )
            waits.append(now() - started)
        if waits[-1] < BOUND:
            return
    raise AssertionError(waits)


async def test_late_replies_do_not_end_up_with_another_caller(
    server: LiveRedis, cache: RedisCache, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 5.0)
    await asyncio.gather(*(cache.put(str(i), str(i).encode(), 60) for i in range(20)))
    server.halt()
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 0.05)
    for i in range(FAILURES_TO_OPEN):
        assert await cache.get(str(i)) is None
    server.go_on()
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 5.0)
    await eventually_ok(cache)
    for i in range(20):
        assert await cache.get(str(i)) == str(i).encode()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("pause", [0.0, 0.3])
async def test_it_comes_back_by_itself(server: LiveRedis, cache: RedisCache, pause: float):
    await cache.put("a", b"1", ttl=60)
    server.kill()
    for _ in range(FAILURES_TO_OPEN + 2):
        assert await cache.get("a") is None
        await cache.put("a", b"1", ttl=60)
    await asyncio.sleep(pause)
    assert (await cache.health()).detail
    server.start()
    await eventually_ok(cache)
    await cache.put("a", b"2", ttl=60)
    assert await cache.get("a") == b"2"


@pytest.mark.usefixtures("patient")
async def test_a_restart_between_two_requests_costs_a_miss_at_most(server: LiveRedis, cache: RedisCache):
    await cache.put("a", b"1", ttl=60)
    server.kill()
    server.start()
    assert await cache.get("a") is None
    await cache.put("a", b"1", ttl=60)
    assert await cache.get("a") == b"1"


async def test_an_address_where_nobody_listens(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        cache = RedisCache("redis://:a-secret@127.0.0.1:1/0")
        for _ in range(FAILURES_TO_OPEN + 1):
            assert await cache.get("a") is None
        health = await cache.health()
        await cache.close()
    assert (health.state, health.latency_ms) == ("failing", None)
    assert len([it for it in caplog.records if it.name == "deepfinance.cache"]) == 1, "told once, not each time"
    assert "a-secret" not in caplog.text + str(health) + repr(cache)


async def test_a_peer_that_does_not_speak_redis():
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    peer = await asyncio.start_server(babble, "127.0.0.1", 0)
    cache = RedisCache(f"redis://127.0.0.1:{peer.sockets[0].getsockname()[1]}/0")
    async with peer:
        for _ in range(FAILURES_TO_OPEN + 1):
            assert await cache.get("a") is None
        await cache.close()


@pytest.mark.usefixtures("patient")
async def test_a_redis_that_refuses_is_quoted_by_its_code_alone():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"-DENIED Redis is running in protected mode, on a-secret host\r\n")
        writer.close()

    peer = await asyncio.start_server(refuse, "127.0.0.1", 0)
    cache = RedisCache(f"redis://127.0.0.1:{peer.sockets[0].getsockname()[1]}/0")
    async with peer:
        for _ in range(FAILURES_TO_OPEN):
            assert await cache.get("a") is None
        health = await cache.health()
        await cache.close()
    assert health.detail == "cannot be asked: ResponseError DENIED"


@pytest.mark.usefixtures("patient")
async def test_health_is_of_now(cache: RedisCache):
    health = await cache.health()
    assert health.state == "ok"
    assert 0 < health.latency_ms < 5000


def test_an_address_that_is_none_is_refused_without_repeating_it():
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refusal:
        RedisCache("http://:a-secret@host")
    assert "a-secret" not in str(refusal.value)
