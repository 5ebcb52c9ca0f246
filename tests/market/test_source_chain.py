"""The order of the sources decides, failures are told from ignorance, and nothing is read twice."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from contracts import AssetClass, Bars, Instrument
from errors import SourceUnavailable, UnknownSymbol, UnusableSeries
from market.chain import SourceChain
from market.files import FilesSource
from market.quality import checked_bars


class FakeSource:
    """Knows ``closes``; counts its reads, each of which takes a turn of the event loop."""

    def __init__(self, name="fake", closes=None, *, error=None, version=1, listed=None):
        self.name = name
        self.closes = {} if closes is None else closes
        self.error = error
        self.token = version
        self.listed = listed
        self.reads = 0

    def symbols(self):
        if self.error:
            raise self.error
        return self.listed or list(self.closes)

    def instrument(self, symbol):
        return None

    async def version(self, symbol, timeframe):
        return self.token

    async def bars(self, symbol, timeframe) -> Bars:
        self.reads += 1
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        if symbol not in self.closes:
            raise UnknownSymbol(f"{self.name} has no {symbol}")
        times = np.datetime64("2020-01-01") + np.arange(3)
        return checked_bars(symbol, timeframe, self.name, times, np.full(3, self.closes[symbol]))


DOWN = SourceUnavailable("the vendor does not answer", retry_after=7)


async def test_the_first_source_that_knows_the_symbol_answers_alone():
    first, second = FakeSource("first", {"AAPL": 1.0}), FakeSource("second", {"AAPL": 2.0, "MSFT": 3.0})
    chain = SourceChain([first, second])
    assert (await chain.bars("AAPL", "1d")).provider == "first"
    assert second.reads == 0
    assert (await chain.bars("MSFT", "1d")).provider == "second"
    assert (await SourceChain([second, first]).bars("AAPL", "1d")).provider == "second"


async def test_a_source_that_is_down_is_stepped_over():
    chain = SourceChain([FakeSource("down", error=DOWN), FakeSource("up", {"AAPL": 1.0})])
    assert (await chain.bars("AAPL", "1d")).provider == "up"


async def test_when_all_answer_and_none_knows_the_symbol_it_is_unknown():
    with pytest.raises(UnknownSymbol, match="no data source has 1h bars of NONE"):
        await SourceChain([FakeSource("a"), FakeSource("b")]).bars("NONE", "1h")


async def test_when_one_is_down_and_none_knows_the_symbol_nobody_can_tell():
    slow = SourceUnavailable("throttled", retry_after=60)
    chain = SourceChain([FakeSource("a", error=slow), FakeSource("b", error=DOWN), FakeSource("c")])
    with pytest.raises(SourceUnavailable) as failure:
        await chain.bars("NONE", "1d")
    assert failure.value.retry_after == 7
    assert [(d.field, d.problem) for d in failure.value.details] == [
        ("a", "throttled"),
        ("b", "the vendor does not answer"),
    ]


async def test_a_bad_series_is_not_replaced_by_that_of_another_source():
    bad = FakeSource("bad", error=UnusableSeries("AAPL: there are no 1d bars"))
    with pytest.raises(UnusableSeries):
        await SourceChain([bad, FakeSource("good", {"AAPL": 1.0})]).bars("AAPL", "1d")


async def test_what_is_not_a_symbol_reaches_no_source():
    source = FakeSource(closes={"../x": 1.0})
    with pytest.raises(UnknownSymbol):
        await SourceChain([source]).bars("../x", "1d")
    assert source.reads == 0


async def test_the_same_object_is_returned_until_the_version_changes():
    source = FakeSource(closes={"AAPL": 1.0})
    chain = SourceChain([source])
    first = await chain.bars("AAPL", "1d")
    assert await chain.bars("AAPL", "1d") is first
    assert await chain.bars("AAPL", "1h") is not first
    source.token, source.closes["AAPL"] = 2, 5.0
    assert list((await chain.bars("AAPL", "1d")).close) == [5, 5, 5]
    assert source.reads == 3


async def test_callers_at_the_same_time_share_one_read_of_each_series():
    source = FakeSource(closes={"AAPL": 1.0, "MSFT": 2.0})
    chain = SourceChain([source])
    answers = await asyncio.gather(*(chain.bars(symbol, "1d") for symbol in ["AAPL", "MSFT"] * 50))
    assert source.reads == 2
    assert [bars.symbol for bars in answers] == ["AAPL", "MSFT"] * 50
    assert len({id(bars) for bars in answers}) == 2


async def test_callers_at_the_same_time_share_a_failure_and_the_next_one_tries_again():
    source = FakeSource(error=DOWN)
    chain = SourceChain([source])
    answers = await asyncio.gather(*(chain.bars("AAPL", "1d") for _ in range(10)), return_exceptions=True)
    assert source.reads == 1
    assert all(isinstance(answer, SourceUnavailable) for answer in answers)
    source.error, source.closes = None, {"AAPL": 1.0}
    assert len(await chain.bars("AAPL", "1d")) == 3


async def test_a_caller_that_leaves_does_not_take_the_read_with_it():
    source = FakeSource(closes={"AAPL": 1.0})
    chain = SourceChain([source])
    leaving, staying = (asyncio.create_task(chain.bars("AAPL", "1d")) for _ in range(2))
    await asyncio.sleep(0.001)
    leaving.cancel()
    assert len(await staying) == 3
    assert source.reads == 1


async def test_a_failure_that_nobody_waits_for_is_not_reported_as_lost():
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    caller = asyncio.create_task(SourceChain([FakeSource(error=DOWN)]).bars("AAPL", "1d"))
    await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.sleep(0.05)
    assert complaints == []


async def test_only_the_series_used_last_are_kept():
    source = FakeSource(closes={"A": 1.0, "B": 2.0, "C": 3.0})
    chain = SourceChain([source], room=2 * 3 * 16)
    for symbol in ("A", "B", "A", "C", "A"):
        await chain.bars(symbol, "1d")
    assert source.reads == 3
    await chain.bars("B", "1d")
    assert source.reads == 4


async def test_health_tells_unused_ok_and_failing_apart_and_forgets_a_failure_that_is_over():
    down, up, idle = FakeSource("down", error=DOWN), FakeSource("up", {"AAPL": 1.0}), FakeSource("idle")
    chain = SourceChain([down, up, idle])
    assert {(report.state, report.latency_ms) for report in await chain.health()} == {("unused", None)}
    await chain.bars("AAPL", "1d")
    first, second, third = await chain.health()
    assert (first.name, first.state, first.detail) == ("down", "failing", "the vendor does not answer")
    assert (second.name, second.state, second.detail) == ("up", "ok", None)
    assert second.latency_ms is not None
    assert 9 < second.latency_ms < 1000
    assert third.state == "unused"
    down.error = None
    await chain.bars("AAPL", "1d")
    assert (await chain.health())[0].state == "ok"


def test_symbols_are_those_of_all_sources_that_can_be_described():
    first, second = (
        FakeSource("first", {"MSFT": 1.0, "AAPL": 1.0}),
        FakeSource("second", {"AAPL": 1.0, "X.ZZ": 1.0}),
    )
    assert SourceChain([first, second, FakeSource("down", error=DOWN)]).symbols() == ["AAPL", "MSFT"]


def test_an_instrument_comes_from_the_first_source_that_knows_more_than_its_spelling():
    class Knowing(FakeSource):
        def instrument(self, symbol):
            return replace(plain, name=self.name) if symbol == "AAPL" else None

    plain = Instrument("AAPL", AssetClass.EQUITY, "XNYS", "USD")
    assert SourceChain([FakeSource()]).instrument("AAPL") == plain
    chain = SourceChain([FakeSource(), Knowing("first"), Knowing("second")])
    assert chain.instrument("AAPL").name == "first"
    assert chain.instrument("BTC-USD").calendar == "24/7"
    with pytest.raises(UnknownSymbol):
        chain.instrument("X.ZZ")


def test_two_sources_of_one_name_are_a_mistake():
    with pytest.raises(ValueError, match="same name"):
        SourceChain([FakeSource("a"), FakeSource("a")])


async def test_a_file_that_appears_changes_or_goes_is_noticed_without_a_restart(tmp_path):
    chain = SourceChain([FilesSource(tmp_path), FakeSource("other", {"NEW": 1.0})])
    assert (await chain.bars("NEW", "1d")).provider == "other"
    path = tmp_path / "NEW.csv"
    path.write_text("date,close\n2020-01-02,10\n")
    first = await chain.bars("NEW", "1d")
    assert (first.provider, list(first.close)) == ("files", [10])
    assert await chain.bars("NEW", "1d") is first
    path.write_text("date,close\n2020-01-02,10\n2020-01-03,11\n")
    assert list((await chain.bars("NEW", "1d")).close) == [10, 11]
    path.unlink()
    assert (await chain.bars("NEW", "1d")).provider == "other"
