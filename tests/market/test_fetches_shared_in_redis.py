"""Two processes' chains with a real Redis between them, and with one that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from market.chain import SourceChain
from storage.redis_cache import RedisCache
from tests.market.test_live_chain import DOWN, AtHand, Clock, FakeVendor, live
from tests.storage.live_redis import LiveRedis, live_redis


@pytest.fixture
async def server() -> AsyncIterator[LiveRedis]:
    with live_redis() as started:
        yield started


@pytest.fixture
async def caches(server: LiveRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[RedisCache]]:
    """Two, with more patience than in service: what is tested is who fetches."""
    monkeypatch.setattr("storage.redis_cache.PATIENCE", 5.0)
    monkeypatch.setattr("market.remote.SHARED_PATIENCE", 60.0)
    made = [RedisCache(server.url) for _ in range(2)]
    yield made
    for cache in made:
        await cache.close()


async def test_one_fetch_serves_both(caches):
    clock = Clock()
    vendors = [FakeVendor(seconds=0.2) for _ in caches]
    sources = [live(it, clock, shared=cache) for it, cache in zip(vendors, caches, strict=True)]
    chains = [SourceChain([source], patience=60.0) for source in sources]
    answers = await asyncio.gather(*(chain.bars("AAPL", "1d") for chain in chains for _ in range(20)))
    assert sum(vendor.fetches for vendor in vendors) == 1
    assert len({bars.fingerprint for bars in answers}) == 1


async def test_who_looked_before_it_was_put_and_claims_after_fetches_nothing(caches, monkeypatch):
    one, other = caches
    fast, late = FakeVendor(), FakeVendor()
    clock = Clock()
    get = other.get

    async def looks_and_is_held_up(key: str) -> bytes | None:
        found = await get(key)
        if not fast.fetches:
            await SourceChain([live(fast, clock, shared=one)], patience=60.0).bars("AAPL", "1d")
        return found

    monkeypatch.setattr(other, "get", looks_and_is_held_up)
    await SourceChain([live(late, clock, shared=other)], patience=60.0).bars("AAPL", "1d")
    assert (fast.fetches, late.fetches) == (1, 0)


async def test_last_good_bars_outlive_the_process_that_fetched_them(caches):
    clock = Clock()
    await SourceChain([live(FakeVendor(), clock, shared=caches[0])]).bars("AAPL", "1d")
    clock.moved = 86400.0
    late = SourceChain([live(FakeVendor(trouble=DOWN), clock, shared=caches[1]), AtHand()])
    bars = await late.bars("AAPL", "1d")
    assert (bars.provider, bars.skipped) == ("live", ("live",))


async def test_without_its_redis_each_fetches_for_itself(server, caches):
    clock = Clock()
    server.kill()
    for cache in caches:
        vendor = FakeVendor()
        assert (await SourceChain([live(vendor, clock, shared=cache)]).bars("AAPL", "1d")).provider == "live"
        assert vendor.fetches == 1
