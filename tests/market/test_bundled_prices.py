"""The prices that come with the packages are there, whole and as described."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from errors import SourceUnavailable, UnknownSymbol
from market import bundled
from market.bundled import BundledSource

SOURCE = BundledSource()
INDEXES = ("^GSPC", "^IXIC")
STOCKS = tuple(symbol for symbol in SOURCE.symbols() if symbol not in INDEXES)


@pytest.mark.parametrize("symbol", STOCKS)
async def test_a_share_has_33_years_of_adjusted_closes_and_nothing_else(symbol):
    bars = await SOURCE.bars(symbol, "1d")
    assert (len(bars), str(bars.times[0]), str(bars.times[-1])) == (8313, "1990-01-02", "2022-12-28")
    assert (bars.adj_close, bars.volume, bars.open) == (None, None, None)
    assert np.array_equal(bars.close, np.round(bars.close, 3))


@pytest.mark.parametrize(("symbol", "last"), [("^GSPC", 2506.850098), ("^IXIC", 6635.279785)])
async def test_an_index_has_20_years_of_all_columns(symbol, last):
    bars = await BundledSource(candles=True).bars(symbol, "1d")
    assert (len(bars), str(bars.times[0]), str(bars.times[-1])) == (5031, "1999-01-04", "2018-12-31")
    assert bars.close[-1] == last
    assert bars.has_ranges
    assert bars.volume is not None
    assert bars.issues == ()


async def test_the_served_benchmark_reaches_as_far_as_the_shares():
    bars, share = await SOURCE.bars("^GSPC", "1d"), await SOURCE.bars("AAPL", "1d")
    assert np.array_equal(bars.times, share.times)
    assert (bars.close[-1], bars.has_ranges, bars.issues) == (3783.22, False, ())
    candles = await BundledSource(candles=True).bars("^GSPC", "1d")
    overlap = np.isin(bars.times, candles.times)
    np.testing.assert_allclose(bars.close[overlap], candles.close, rtol=1e-4)


async def test_each_share_gets_its_own_column():
    last = {symbol: (await SOURCE.bars(symbol, "1d")).close[-1] for symbol in ("AAPL", "MSFT", "XOM")}
    assert last == {"AAPL": 125.674, "MSFT": 233.434, "XOM": 106.627}


async def test_no_bar_is_dropped_and_the_two_great_falls_are_kept():
    issues = {symbol: (await SOURCE.bars(symbol, "1d")).issues for symbol in STOCKS}
    found = {symbol: [(i.time, i.problem) for i in kept] for symbol, kept in issues.items() if kept}
    assert found == {
        "AAPL": [("2000-09-29", "kept: a jump of -52% in one bar")],
        "RRC": [("1990-04-10", "kept: a jump of -67% in one bar")],
    }


async def test_two_readings_are_the_same_series():
    first, again = await SOURCE.bars("KO", "1d"), await BundledSource().bars("KO", "1d")
    assert first.fingerprint == again.fingerprint
    assert await SOURCE.version("KO", "1d") == await BundledSource().version("KO", "1d")


def test_listings_carry_name_exchange_calendar_and_currency():
    listed = {symbol: SOURCE.instrument(symbol) for symbol in SOURCE.symbols()}
    assert len(listed) == 22
    assert all(i and i.name and i.calendar == "XNYS" and i.currency == "USD" for i in listed.values())
    apple = listed["AAPL"]
    assert apple is not None
    assert (apple.name, apple.exchange, apple.asset_class) == ("Apple Inc.", "NASDAQ", "equity")
    assert SOURCE.instrument("TSLA") is None


@pytest.mark.parametrize(("symbol", "timeframe"), [("TSLA", "1d"), ("AAPL", "1h")])
async def test_what_is_not_bundled_is_unknown(symbol, timeframe):
    for ask in (SOURCE.bars, SOURCE.version):
        with pytest.raises(UnknownSymbol):
            await ask(symbol, timeframe)


@pytest.mark.parametrize("place", [("no_such_package", "x.gz"), ("numpy", "no_such_file.csv.gz")])
async def test_without_the_package_the_source_cannot_answer(monkeypatch, place):
    monkeypatch.setattr(bundled, "_STOCKS_FILE", place)
    with pytest.raises(SourceUnavailable, match=f"bundled with {place[0]} are not installed"):
        await BundledSource().bars("AAPL", "1d")


def test_reading_imports_neither_the_packages_nor_pandas():
    program = """
import asyncio, sys
from market.bundled import BundledSource
import market.calendars, market.chain, market.files
for symbol in ("AAPL", "^GSPC"):
    asyncio.run(BundledSource().bars(symbol, "1d"))
print(sorted({"skfolio", "arch", "pandas", "pyarrow", "exchange_calendars"} & set(sys.modules)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
