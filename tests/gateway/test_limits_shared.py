"""Gateways that count together in a real Redis, which is slow, killed and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.limits import Allowance, Limit
from gateway.shared_limits import RedisWindows
from tests.storage.live_redis import LiveRedis, live_redis


@pytest.fixture(scope="module")
def server() -> Iterator[LiveRedis]:
    with live_redis() as started:
        yield started


def _now() -> float:
    """Seconds. It stands still while the machine does something else."""
    return asyncio.get_running_loop().time()


@pytest.fixture
async def gateways(server: LiveRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[RedisWindows]]:
    """Two, with more patience than in service: what is tested is the count."""
    monkeypatch.setattr("gateway.limits._PATIENCE", 30.0)
    with server.client() as client:
        client.flushall()
    two = [RedisWindows(server.url, patience=30.0, pause=0.1) for _ in range(2)]
    yield two
    for gateway in two:
        await gateway.close()


async def test_two_gateways_let_exactly_the_limit_pass(gateways: list[RedisWindows]):
    allowances = [Allowance("desk", Limit(100, 60), gateway) for gateway in gateways]
    passed = await asyncio.gather(*(allowances[i % 2].take() for i in range(400)))
    assert sum(passed) == 100
    assert [it.remaining for it in allowances] == [0, 0]
    assert all(30 < it.reset_after <= 60 for it in allowances)


async def test_a_high_limit_is_passed_by_a_unit_for_each_gateway_at_most(gateways: list[RedisWindows]):
    limit = Limit(1_050, 60)
    allowances = [Allowance("desk", limit, gateway) for gateway in gateways]
    passed = sum([await allowances[i % 2].take() for i in range(3_000)])
    assert 1_050 <= passed <= 1_050 + 2 * limit.unit


async def test_the_window_slides(gateways: list[RedisWindows]):
    one, other = (Allowance("desk", Limit(4, 3), gateway) for gateway in gateways)
    assert [await one.take() for _ in range(4)] == [True] * 4
    assert not await other.take()
    await asyncio.sleep(3.1)
    assert await other.take()


async def test_callers_do_not_share(gateways: list[RedisWindows]):
    assert await Allowance("a", Limit(1, 60), gateways[0]).take()
    assert await Allowance("b", Limit(1, 60), gateways[1]).take()
    assert not await Allowance("a", Limit(1, 60), gateways[1]).take()


async def test_redis_may_be_killed_and_come_back(
    server: LiveRedis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.limits._PATIENCE", 30.0)  # a dead Redis refuses at once, a busy one may be late
    told: list[bool] = []
    gateway = RedisWindows(server.url, patience=30.0, pause=0.2)
    gateway.on_change = told.append
    allowance = Allowance("desk", Limit(20, 60), gateway)
    try:
        assert await allowance.take()
        server.kill()
        with caplog.at_level(logging.WARNING, logger="deepfinance.limits"):
            started = _now()
            assert [await allowance.take() for _ in range(19)] == [True] * 19
            assert _now() - started < 0.5
            assert gateway.state == "failing"
            assert not await allowance.take()
            server.start()
            await asyncio.sleep(0.3)
            another = Allowance("another", Limit(20, 60), gateway)
            assert await another.take()
        assert gateway.state == "ok"
        assert len(caplog.records) == 2, caplog.text
        assert told == [False, True]
        with server.client() as client:
            assert client.keys("*another*")
    finally:
        await gateway.close()


async def test_a_redis_that_hangs_is_waited_for_once(server: LiveRedis):
    gateway = RedisWindows(server.url)
    allowance = Allowance("hangs", Limit(50, 60), gateway)
    server.halt()
    try:
        waits = []
        for _ in range(50):
            started = _now()
            assert await allowance.take()
            waits.append(_now() - started)
        assert not await allowance.take()
        assert sorted(waits)[-2] < 0.02
        assert max(waits) < 0.2
    finally:
        server.go_on()
        await gateway.close()


async def test_the_password_of_redis_is_not_told(caplog: pytest.LogCaptureFixture):
    gateway = RedisWindows("redis://user:hunter2-hunter2@127.0.0.1:1/0")
    with caplog.at_level(logging.DEBUG):
        assert await gateway.lease("desk", Limit(1, 1), 1) is None
    assert "hunter2" not in caplog.text + repr(gateway)
    await gateway.close()


async def test_of_several_units_as_many_are_granted_as_are_left(gateways: list[RedisWindows]):
    one, other = gateways
    granted = [await gateway.lease("desk", Limit(5, 60), 3) for gateway in (one, other, one)]
    assert [(it.granted, it.left) for it in granted if it is not None] == [(3, 2), (2, 0), (0, 0)]
