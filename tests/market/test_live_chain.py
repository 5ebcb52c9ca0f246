"""Live sources in the chain: fetched once, served meanwhile, never waited for long, and named when they fail."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from contracts import BarIssue
from errors import SourceUnavailable, UnknownSymbol, UnusableSeries
from market.breaker import Breaker
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from market.faults import Faulty
from market.guard import Guard
from market.packing import packed, unpacked
from market.quality import checked_bars
from market.remote import RemoteSource
from market.source import LatestPrice
from market.transport import BrowserTransport, HttpxTransport, Reply
from market.vendor import Series
from market.yahoo import Yahoo

CALENDARS = ExchangeCalendars()
START = datetime(2024, 3, 15, 12, 0, tzinfo=UTC)


class Clock:
    """Wall and monotonic time of a source in one."""

    def __init__(self):
        self.moved = 0.0

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.moved)

    def __call__(self) -> float:
        return self.moved


class FakeVendor:
    """Days to 14 March 2024 (or ``last``) at ``price``; ``trouble`` is raised instead, ``seconds`` passed before."""

    name = "live"

    def __init__(self, price=10.0, *, trouble=None, seconds=0.0, last="2024-03-14"):
        self.price, self.trouble, self.seconds, self.last = price, trouble, seconds, last
        self.fetches = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def covers(self, symbol, timeframe):
        return symbol != "NOTHERE"

    async def series(self, guard, symbol, timeframe, now):
        return await guard.get("http://vendor", {"symbol": symbol}, lambda _, __: self._series(symbol))

    def _series(self, symbol):
        days: Any = np.datetime64(self.last) - np.arange(20)[::-1]
        days = days[np.is_busday(days)]
        columns = {"close": np.full(len(days), self.price)}
        return Series(days, columns, currency="USD", name=f"{symbol} Inc.", latest=LatestPrice(11.0, START))

    async def get(self, url, params, headers):
        self.fetches += 1
        await asyncio.sleep(self.seconds)
        await self.may_answer.wait()
        if self.trouble is not None:
            raise Faulty(*self.trouble.args, unreachable=self.trouble.unreachable)
        if params["symbol"] == "UNKNOWN":
            raise UnknownSymbol("live has no UNKNOWN")
        return Reply(200, {}, b"{}")

    async def close(self):
        pass


DOWN = Faulty("cannot be reached", unreachable=True)
FLAKY = Faulty("fails")


class AtHand:
    """Prices that cost nothing, so that a test of waiting measures waiting alone."""

    name = "at hand"

    def symbols(self):
        return ["AAPL"]

    def instrument(self, symbol):
        return None

    async def version(self, symbol, timeframe):
        return 1

    async def bars(self, symbol, timeframe):
        if symbol != "AAPL":
            raise UnknownSymbol("not at hand")
        return checked_bars(symbol, timeframe, self.name, np.datetime64("2020-01-01") + np.arange(3), [1.0, 1.0, 1.0])


@pytest.fixture
def clock():
    return Clock()


def live(vendor, clock, *, ttl=300.0, shared=None):
    guard = Guard(vendor.name, vendor, [(10_000, 1.0)], breaker=Breaker(clock=clock))
    return RemoteSource(vendor, guard, CALENDARS, ttl=ttl, clock=clock.utc, shared=shared)


async def settled() -> None:
    """Let what goes on in the background end."""
    for _ in range(20):
        await asyncio.sleep(0.01)


async def test_a_burst_makes_one_fetch_and_so_does_a_whole_period(clock):
    vendor = FakeVendor(seconds=0.02)
    chain = SourceChain([live(vendor, clock)])
    answers = await asyncio.gather(*(chain.bars("AAPL", "1d") for _ in range(100)))
    assert (vendor.fetches, len({id(it) for it in answers})) == (1, 1)
    assert await chain.bars("AAPL", "1d") is answers[0]
    assert (vendor.fetches, answers[0].skipped, answers[0].fetched_at) == (1, (), START)


async def test_without_a_cache_period_every_request_fetches_and_a_burst_still_shares_one(clock):
    vendor = FakeVendor(seconds=0.02)
    chain = SourceChain([live(vendor, clock, ttl=0)])
    await asyncio.gather(*(chain.bars("AAPL", "1d") for _ in range(10)))
    assert vendor.fetches == 1
    await chain.bars("AAPL", "1d")
    assert vendor.fetches == 2


async def test_when_the_period_is_over_the_old_bars_are_served_while_new_ones_are_fetched(clock):
    vendor = FakeVendor(10.0)
    chain = SourceChain([live(vendor, clock)])
    first = await chain.bars("AAPL", "1d")
    clock.moved, vendor.price, vendor.seconds = 310.0, 20.0, 0.05
    assert await chain.bars("AAPL", "1d") is first
    await settled()
    assert (await chain.bars("AAPL", "1d")).close[-1] == 20.0
    assert vendor.fetches == 2


async def test_bars_much_older_than_a_period_are_not_served_without_trying(clock):
    vendor = FakeVendor(10.0)
    chain = SourceChain([live(vendor, clock)])
    await chain.bars("AAPL", "1d")
    clock.moved, vendor.price = 3600.0, 20.0
    assert (await chain.bars("AAPL", "1d")).close[-1] == 20.0


async def test_last_good_bars_are_served_and_say_so(clock):
    vendor = FakeVendor()
    chain = SourceChain([live(vendor, clock), BundledSource()])
    first = await chain.bars("AAPL", "1d")
    clock.moved, vendor.trouble = 3600.0, DOWN
    last = await chain.bars("AAPL", "1d")
    assert (last.provider, last.skipped, last.is_last_good, last.fetched_at) == ("live", ("live",), True, START)
    assert last.fingerprint == first.fingerprint
    clock.moved, vendor.trouble = 3700.0, None
    again = await chain.bars("AAPL", "1d")
    if again.skipped:  # the probe was not waited for
        await settled()
        again = await chain.bars("AAPL", "1d")
    assert (again.skipped, again.is_last_good) == ((), False)


async def test_a_refresh_that_failed_in_the_background_is_not_hidden(clock):
    vendor = FakeVendor()
    chain = SourceChain([live(vendor, clock)])
    await chain.bars("AAPL", "1d")
    clock.moved, vendor.trouble = 310.0, FLAKY
    assert (await chain.bars("AAPL", "1d")).skipped == ()  # nobody knows yet
    async with asyncio.timeout(30):
        while (await chain.bars("AAPL", "1d")).skipped != ("live",):  # noqa: ASYNC110  it has no event to wait for
            await asyncio.sleep(0.02)


async def test_an_answer_from_another_source_names_the_one_that_failed(clock):
    chain = SourceChain([live(FakeVendor(trouble=DOWN), clock), BundledSource()])
    bars = await chain.bars("AAPL", "1d")
    assert (bars.provider, bars.skipped, bars.is_last_good) == ("bundled", ("live",), False)
    assert bars.fingerprint == (await BundledSource().bars("AAPL", "1d")).fingerprint
    assert chain.instrument("AAPL").name == "Apple Inc."


async def test_not_to_know_a_symbol_is_no_failure(clock):
    with pytest.raises(UnknownSymbol):
        await SourceChain([live(FakeVendor(), clock), BundledSource()]).bars("NOTHERE", "1d")
    bars = await SourceChain([live(Unknowing(), clock), BundledSource()]).bars("AAPL", "1d")
    assert (bars.provider, bars.skipped) == ("bundled", ())


class Unknowing(FakeVendor):
    def _series(self, symbol):
        raise UnknownSymbol("live has none of it")


async def test_fresh_bars_of_a_later_source_beat_older_last_good_ones(clock):
    first, second = FakeVendor(10.0, last="2024-03-13"), FakeVendor(20.0)
    second.name = "second"
    chain = SourceChain([live(first, clock), live(second, clock)])
    assert (await chain.bars("AAPL", "1d")).provider == "live"
    clock.moved, first.trouble = 3600.0, DOWN
    bars = await chain.bars("AAPL", "1d")
    assert (bars.provider, bars.skipped, bars.close[-1]) == ("second", ("live",), 20.0)
    assert chain.instrument("AAPL").name == "AAPL Inc."


async def test_with_nothing_left_the_error_names_every_source_and_when_to_come_back(clock):
    chain = SourceChain([live(FakeVendor(trouble=DOWN), clock), BundledSource()])
    with pytest.raises(SourceUnavailable) as error:
        await chain.bars("SAP.DE", "1d")
    assert [it.field for it in error.value.details] == ["live"]
    assert 1 <= error.value.retry_after <= 6


async def test_a_slow_source_is_waited_for_only_where_no_other_can_answer(clock):
    slow = FakeVendor()
    slow.may_answer.clear()
    chain = SourceChain([live(slow, clock), AtHand()], patience=0.1)
    async with asyncio.timeout(30):
        bars = await chain.bars("AAPL", "1d")  # although it has not answered yet
    assert (bars.provider, bars.skipped) == ("at hand", ("live",))
    slow.may_answer.set()
    await asyncio.gather(*chain._reads.values())
    assert (await chain.bars("AAPL", "1d")).provider == "live"
    slow.may_answer.clear()
    asyncio.get_running_loop().call_later(0.5, slow.may_answer.set)
    alone = await chain.bars("SAP.DE", "1d")
    assert (alone.provider, alone.skipped) == ("live", ())


async def test_a_probe_of_a_failed_source_holds_nobody_up(clock):
    vendor = FakeVendor(trouble=DOWN)
    chain = SourceChain([live(vendor, clock), AtHand()])
    await chain.bars("AAPL", "1d")
    fetches = vendor.fetches
    for _ in range(5):
        await chain.bars("AAPL", "1d")
    assert vendor.fetches == fetches
    assert (await chain.health())[0].state == "open"
    clock.moved = 10.0
    vendor.may_answer.clear()  # never again
    async with asyncio.timeout(30):
        assert (await chain.bars("AAPL", "1d")).provider == "at hand"
    assert (await chain.health())[0].state == "half_open"
    await chain.close()


async def test_health_names_the_states_of_a_live_source(clock):
    vendor = FakeVendor()
    chain = SourceChain([live(vendor, clock)])
    assert (await chain.health())[0].state == "unused"
    await chain.bars("AAPL", "1d")
    assert (await chain.health())[0].state == "ok"
    clock.moved, vendor.trouble = 3600.0, FLAKY
    await chain.bars("AAPL", "1d")
    report = (await chain.health())[0]
    assert (report.state, report.detail) == ("failing", "live fails")


async def test_the_last_price_is_of_the_source_that_gave_the_bars(clock):
    vendor = FakeVendor()
    chain = SourceChain([live(vendor, clock), BundledSource()])
    assert chain.latest("AAPL", "1d") is None
    await chain.bars("AAPL", "1d")
    assert chain.latest("AAPL", "1d").price == 11.0
    vendor.trouble = DOWN
    await chain.bars("MSFT", "1d")
    assert chain.latest("MSFT", "1d") is None


class Negative(FakeVendor):
    name = "bad"

    def _series(self, symbol):
        return replace(super()._series(symbol), columns={"close": np.full(14, -1.0)})


async def test_a_bad_series_is_refused_unless_an_earlier_source_has_last_good_bars(clock):
    good, bad = FakeVendor(), Negative()
    chain = SourceChain([live(good, clock), live(bad, clock)])
    await chain.bars("AAPL", "1d")
    clock.moved, good.trouble = 3600.0, DOWN
    assert (await chain.bars("AAPL", "1d")).is_last_good
    with pytest.raises(UnusableSeries):
        await chain.bars("MSFT", "1d")


# --- no network at all


@contextmanager
def black_hole():
    """An address that takes no connection and refuses none: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for each in waiting:
            each.close()


@contextmanager
def refused():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def no_name():
    yield "http://no-such-host.invalid"


def _now() -> float:
    """Seconds. It stands still while the machine does something else."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("place", [black_hole, refused, no_name])
@pytest.mark.parametrize("transport", [BrowserTransport, HttpxTransport])
async def test_without_a_network_the_first_answer_is_quick_and_later_ones_immediate(place, transport):
    with place() as address:
        guard = Guard("yahoo", transport(), [(1000, 1.0)])
        chain = SourceChain([RemoteSource(Yahoo(address), guard, CALENDARS, ttl=300.0), AtHand()])
        started = _now()
        bars = await chain.bars("AAPL", "1d")
        assert _now() - started < 2.5
        assert (bars.provider, bars.skipped) == ("at hand", ("yahoo",))
        await asyncio.gather(*chain._reads.values(), return_exceptions=True)  # a second attempt may be on its way
        started = _now()
        bars = await chain.bars("AAPL", "1d")
        assert _now() - started < 0.5
        assert (bars.provider, bars.skipped) == ("at hand", ("yahoo",))
        assert (await chain.health())[0].state == "open"
        await chain.close()


async def test_four_sources_that_hang_do_not_add_up():
    with black_hole() as address:
        sources = []
        for name in ("a", "b", "c", "d"):
            vendor = Yahoo(address)
            vendor.name = name
            sources.append(RemoteSource(vendor, Guard(name, HttpxTransport(), [(1000, 1.0)]), CALENDARS, ttl=300.0))
        chain = SourceChain([*sources, AtHand()])
        started = _now()
        bars = await chain.bars("AAPL", "1d")
        assert _now() - started < 2.5
        assert (bars.provider, bars.skipped) == ("at hand", ("a", "b", "c", "d"))
        await chain.close()


# --- processes that share


@dataclass
class Held:
    value: bytes
    ttl: float


class FakeShared:
    """``contracts.SharedCache`` as it should be."""

    def __init__(self):
        self.held: dict[str, Held] = {}
        self.claims: set[str] = set()

    async def get(self, key):
        return self.held[key].value if key in self.held else None

    async def put(self, key, value, ttl):
        self.held[key] = Held(value, ttl)

    async def claim(self, key, ttl):
        if key in self.claims:
            return False
        self.claims.add(key)
        return True

    async def release(self, key):
        self.claims.discard(key)


async def test_processes_that_share_fetch_once_together(clock):
    vendors, shared = [FakeVendor(seconds=0.1) for _ in range(4)], FakeShared()
    chains = [SourceChain([live(vendor, clock, shared=shared)]) for vendor in vendors]
    answers = await asyncio.gather(*(chain.bars("AAPL", "1d") for chain in chains))
    assert sum(vendor.fetches for vendor in vendors) == 1
    assert len({it.fingerprint for it in answers}) == 1
    assert {chain.instrument("AAPL").name for chain in chains} == {"AAPL Inc."}
    assert {chain.latest("AAPL", "1d").price for chain in chains} == {11.0}
    assert shared.claims == set()


async def test_a_fetch_that_fails_leaves_the_claim_to_others(clock):
    shared = FakeShared()
    with pytest.raises(SourceUnavailable):
        await SourceChain([live(FakeVendor(trouble=DOWN), clock, shared=shared)]).bars("AAPL", "1d")
    assert shared.claims == set()
    assert (await SourceChain([live(FakeVendor(), clock, shared=shared)]).bars("AAPL", "1d")).provider == "live"


async def test_a_process_that_starts_while_the_source_is_down_serves_the_last_good_bars_of_others(clock):
    shared = FakeShared()
    await SourceChain([live(FakeVendor(), clock, shared=shared)]).bars("AAPL", "1d")
    clock.moved = 3600.0
    late = SourceChain([live(FakeVendor(trouble=DOWN), clock, shared=shared), BundledSource()])
    bars = await late.bars("AAPL", "1d")
    assert (bars.provider, bars.is_last_good, bars.fetched_at) == ("live", True, START)


def with_other_prices(content: bytes) -> bytes:
    """A whole archive whose prices are not those that its fingerprint was taken of."""
    with np.load(io.BytesIO(content)) as archive:
        columns = {name: archive[name] for name in archive.files}
    columns["close"] = columns["close"] * 2
    changed = io.BytesIO()
    np.savez(changed, **columns)
    return changed.getvalue()


async def test_what_lies_in_the_cache_for_another_symbol_or_damaged_is_not_taken(clock):
    shared = FakeShared()
    await SourceChain([live(FakeVendor(), clock, shared=shared)]).bars("AAPL", "1d")
    (key,) = shared.held
    content = shared.held[key].value
    for wrong in (content[:-20], b"", b"no archive", content.replace(b"AAPL", b"MSFT"), with_other_prices(content)):
        shared.held[key].value = wrong
        vendor = FakeVendor()
        assert (await SourceChain([live(vendor, clock, shared=shared)]).bars("AAPL", "1d")).symbol == "AAPL"
        assert vendor.fetches == 1


async def test_packing_loses_nothing(clock):
    source = live(FakeVendor(), clock)
    await source.bars("AAPL", "1d")
    fetched = await source._fetch("AAPL", "1d")
    issue = BarIssue("2024-03-01", "dropped: a misprint")
    fetched = replace(fetched, bars=replace(fetched.bars, issues=(issue,)))
    again = unpacked(packed(fetched))
    assert (again.instrument, again.latest, again.period) == (fetched.instrument, fetched.latest, fetched.period)
    bars, same = fetched.bars, again.bars
    assert np.array_equal(bars.times, same.times)
    assert bars.times.dtype == same.times.dtype
    assert np.array_equal(bars.close, same.close)
    assert (same.open, same.issues, same.fetched_at, same.fingerprint) == (None, (issue,), START, bars.fingerprint)
