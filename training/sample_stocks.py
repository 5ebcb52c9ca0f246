"""Five shares with open, high, low and volume from 2000 to 2013, to learn from what ranges say.

From bokeh_sampledata (Quandl WIKI, public domain). Not served: the prices end in 2013.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Hashable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from contracts import Bars, Instrument, Timeframe
from errors import SourceUnavailable
from market.quality import checked_bars

_COLUMNS = {"open": "Open", "high": "High", "low": "Low", "adj_close": "Adj Close", "volume": "Volume"}


class SampleStocks:
    """A market source (see market/source.py) of AAPL, FB, GOOG, IBM and MSFT as they stood in 2013."""

    name = "sample_stocks"

    def symbols(self) -> Sequence[str]:
        return tuple(dict.fromkeys(row["Ticker"] for row in self._rows))

    def instrument(self, symbol: str) -> Instrument | None:
        return None

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        return "installed"

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        rows = [row for row in self._rows if row["Ticker"] == symbol]
        columns = {name: np.array([float(row[title]) for row in rows]) for name, title in _COLUMNS.items()}
        close = np.array([float(row["Close"]) for row in rows])
        days = np.array([row["Date"] for row in rows], dtype="datetime64[D]")
        return checked_bars(symbol, timeframe, self.name, days, close, now=None, **columns)

    @cached_property
    def _rows(self) -> list[dict[str, str]]:
        spec = find_spec("bokeh_sampledata")
        if spec is None or not spec.submodule_search_locations:
            raise SourceUnavailable("bokeh_sampledata is not installed; it comes with requirements/training.txt")
        with gzip.open(Path(spec.submodule_search_locations[0], "_data/stocks.csv.gz"), "rt", newline="") as text:
            return list(csv.DictReader(text))
