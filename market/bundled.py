"""Real daily prices that come inside packages we depend on: 20 American shares and two indexes.

The shares (skfolio, 1990-01-02 to 2022-12-28) have closes only, adjusted for splits and dividends and
rounded to 3 decimals. ``close`` is therefore that adjusted price and ``adj_close`` None: a current price
answered from here is not the price that was traded (AAPL on 2022-12-28: 125.674 here, 126.04 on the
exchange), and the cheapest early prices are coarse. The S&P 500 (skfolio) has closes over the same days; the NASDAQ
Composite (arch, 1999-01-04 to 2018-12-31) has open, high, low, close and volume. Of the S&P 500 there is such a series
as well, which models are fitted on; what is served reaches as far as the shares, as a benchmark must.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np

from contracts import Bars, Instrument, Timeframe
from errors import SourceUnavailable, UnknownSymbol
from market.calendars import describe
from market.cells import PRICE_COLUMNS, PriceTable, column_key, numbers
from market.quality import checked_bars

_STOCKS_FILE = ("skfolio", "datasets/data/sp500_dataset.csv.gz")
_INDEX_CLOSES = {"^GSPC": ("skfolio", "datasets/data/sp500_index.csv.gz")}
_INDEX_FILES = {
    "^GSPC": ("arch", "data/sp500/sp500.csv.gz"),
    "^IXIC": ("arch", "data/nasdaq/nasdaq.csv.gz"),
}

# symbol -> name, exchange
_LISTINGS: dict[str, tuple[str, str | None]] = {
    "AAPL": ("Apple Inc.", "NASDAQ"),
    "AMD": ("Advanced Micro Devices, Inc.", "NASDAQ"),
    "BAC": ("Bank of America Corporation", "NYSE"),
    "BBY": ("Best Buy Co., Inc.", "NYSE"),
    "CVX": ("Chevron Corporation", "NYSE"),
    "GE": ("General Electric Company", "NYSE"),
    "HD": ("The Home Depot, Inc.", "NYSE"),
    "JNJ": ("Johnson & Johnson", "NYSE"),
    "JPM": ("JPMorgan Chase & Co.", "NYSE"),
    "KO": ("The Coca-Cola Company", "NYSE"),
    "LLY": ("Eli Lilly and Company", "NYSE"),
    "MRK": ("Merck & Co., Inc.", "NYSE"),
    "MSFT": ("Microsoft Corporation", "NASDAQ"),
    "PEP": ("PepsiCo, Inc.", "NASDAQ"),
    "PFE": ("Pfizer Inc.", "NYSE"),
    "PG": ("The Procter & Gamble Company", "NYSE"),
    "RRC": ("Range Resources Corporation", "NYSE"),
    "UNH": ("UnitedHealth Group Incorporated", "NYSE"),
    "WMT": ("Walmart Inc.", "NYSE"),
    "XOM": ("Exxon Mobil Corporation", "NYSE"),
    "^GSPC": ("S&P 500", None),
    "^IXIC": ("NASDAQ Composite", "NASDAQ"),
}


class BundledSource:
    """Daily bars of 22 symbols, no network. Packages are located, never imported: that would cost seconds.

    With ``candles`` every index is the series with open, high, low and volume, which ends in 2018."""

    name = "bundled"

    def __init__(self, candles: bool = False) -> None:
        self._closes = {} if candles else _INDEX_CLOSES
        self._parsing = Lock()

    def symbols(self) -> Sequence[str]:
        return sorted(_LISTINGS)

    def instrument(self, symbol: str) -> Instrument | None:
        if symbol not in _LISTINGS:
            return None
        name, exchange = _LISTINGS[symbol]
        return replace(describe(symbol), name=name, exchange=exchange)

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        """Always the same: installed packages do not change while a process runs."""
        _require_bundled(symbol, timeframe)
        return "installed"

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        _require_bundled(symbol, timeframe)
        return await asyncio.to_thread(self._read, symbol)

    def _read(self, symbol: str) -> Bars:
        if symbol in self._closes:
            table = _closes_table(symbol)
        elif symbol in _INDEX_FILES:
            table = _index_table(symbol)
        else:
            table = self._stock_table(symbol)
        return checked_bars(symbol, "1d", self.name, table.times, **table.columns, now=None)

    def _stock_table(self, symbol: str) -> PriceTable:
        with self._parsing:
            stocks = self._stocks
        return PriceTable(stocks.times, {"close": stocks.columns[symbol]})

    @cached_property
    def _stocks(self) -> PriceTable:
        """All 20 in one pass, the columns named by symbol."""
        titles, rows = _rows(*_STOCKS_FILE)
        prices = np.array([row[1:] for row in rows], dtype=np.float64)
        days = np.array([row[0] for row in rows], dtype="datetime64[D]")
        return PriceTable(days, dict(zip(titles[1:], prices.T, strict=True)))


def _require_bundled(symbol: str, timeframe: Timeframe) -> None:
    if symbol not in _LISTINGS or timeframe != "1d":
        raise UnknownSymbol(f"there are no bundled {timeframe} bars of {symbol}")


def _closes_table(symbol: str) -> PriceTable:
    _, rows = _rows(*_INDEX_CLOSES[symbol])
    days = np.array([row[0] for row in rows], dtype="datetime64[D]")
    return PriceTable(days, {"close": np.array([row[1] for row in rows], dtype=np.float64)})


def _index_table(symbol: str) -> PriceTable:
    titles, rows = _rows(*_INDEX_FILES[symbol])
    columns = {column_key(title): [row[at] for row in rows] for at, title in enumerate(titles)}
    days = np.array([_iso_date(text) for text in columns["date"]], dtype="datetime64[D]")
    return PriceTable(days, {name: numbers(columns[name]) for name in PRICE_COLUMNS})


def _iso_date(text: str) -> str:
    """``1/4/1999`` (month first) -> ``1999-01-04``."""
    month, day, year = text.split("/")
    return f"{year}-{month:0>2}-{day:0>2}"


def _rows(package: str, file: str) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a gzipped CSV file inside an installed package; raises SourceUnavailable."""
    spec = find_spec(package)
    try:
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(package)
        path = Path(spec.submodule_search_locations[0], file)
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            titles, *rows = csv.reader(text)
    except OSError as error:
        raise SourceUnavailable(f"the prices bundled with {package} are not installed", retry_after=3600) from error
    return titles, rows
