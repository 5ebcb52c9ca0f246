"""Closes of the S&P 500 from 1990 to 2022, to measure on an index what was learned from shares.

From skfolio, and what the service gives as ^GSPC. Models are fitted on the ^GSPC with open, high, low and volume, which
ends in 2018, where calibration ends; nothing later than calibration could be measured on it. Called ^SPX here, to keep
the two apart.
"""

from __future__ import annotations

import gzip
from collections.abc import Hashable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from contracts import Bars, Instrument, Timeframe
from errors import SourceUnavailable, UnknownSymbol
from market.quality import checked_bars

SYMBOL = "^SPX"


class SampleIndex:
    """A market source (see market/source.py) of one index."""

    name = "sample_index"

    def symbols(self) -> Sequence[str]:
        return (SYMBOL,)

    def instrument(self, symbol: str) -> Instrument | None:
        return None

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        return "installed"

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        if (symbol, timeframe) != (SYMBOL, "1d"):
            raise UnknownSymbol(f"{symbol} is not the index that this source has")
        lines = _lines()
        days = np.array([line.split(",")[0] for line in lines], dtype="datetime64[D]")
        closes = np.array([float(line.split(",")[1]) for line in lines])
        return checked_bars(symbol, timeframe, self.name, days, closes)


def _lines() -> list[str]:
    """``date,close`` lines, oldest first."""
    spec = find_spec("skfolio")
    if spec is None or not spec.submodule_search_locations:
        raise SourceUnavailable("skfolio is not installed; it comes with requirements/serving.txt")
    path = Path(spec.submodule_search_locations[0], "datasets/data/sp500_index.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return text.read().splitlines()[1:]
