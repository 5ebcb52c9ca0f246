"""Prices from files that the operator puts into a directory."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic

from contracts import Bars, Instrument, Timeframe
from errors import SourceUnavailable, UnknownSymbol
from market.csv_table import read_csv
from market.looks import Looks
from market.parquet_table import read_parquet
from market.quality import checked_bars
from market.source import SYMBOL, require_symbol, utc_now

# Where a symbol has several files the first kind in this order is read.
_ENDINGS = (".csv", ".csv.gz", ".parquet")
_STEM = {"1d": "{}", "1h": "{}_1h"}


class FilesSource:
    """``<SYMBOL>.csv``, ``.csv.gz`` or ``.parquet`` for daily bars, ``<SYMBOL>_1h.…`` for hourly ones.

    Columns ``date,open,high,low,close,adj_close,volume`` in any case and order; all but date and close are
    optional, others are ignored. Daily dates are ``YYYY-MM-DD``, hourly ones ISO 8601 with an offset. A new
    file is seen at the next request, a changed one at the next after ``look_every`` seconds. A link that leads out of
    the directory is not followed.
    """

    name = "files"

    def __init__(self, directory: Path, *, clock: Callable[[], datetime] = utc_now, look_every: float = 0.0) -> None:
        self._directory = directory
        self._clock = clock
        self._look_every = look_every
        self._looked: dict[tuple[str, Timeframe], tuple[float, Hashable]] = {}
        self._looks = Looks(self._version)

    def symbols(self) -> Sequence[str]:
        """Symbols with a daily file, sorted; raises SourceUnavailable when the directory cannot be read."""
        try:
            return sorted(set(self._listed()))
        except OSError as error:
            raise _unreadable() from error

    def _listed(self) -> Iterator[str]:
        for entry in self._directory.iterdir():
            for ending in _ENDINGS:
                stem = entry.name.removesuffix(ending)
                if stem != entry.name and SYMBOL.fullmatch(stem) and self._inside(entry):
                    yield stem

    def instrument(self, symbol: str) -> Instrument | None:
        return None

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        """File name, modification time in ns and size."""
        looked_at, version = self._looked.get((symbol, timeframe), (0.0, None))
        if monotonic() - looked_at < self._look_every:
            return version
        self._looked.pop((symbol, timeframe), None)  # where it has gone, nothing stays of it
        version = await self._looks.of((symbol, timeframe))
        self._looked[symbol, timeframe] = monotonic(), version
        return version

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        return await asyncio.to_thread(self._read, symbol, timeframe)

    def _version(self, series: tuple[str, Timeframe]) -> Hashable:
        path, found = self._locate(*series)
        return path.name, found.st_mtime_ns, found.st_size

    def _read(self, symbol: str, timeframe: Timeframe) -> Bars:
        path, _ = self._locate(symbol, timeframe)
        try:
            table = (read_parquet if path.suffix == ".parquet" else read_csv)(path, timeframe)
        except OSError as error:
            raise _unreadable() from error
        return checked_bars(symbol, timeframe, self.name, table.times, **table.columns, now=self._clock())

    def _locate(self, symbol: str, timeframe: Timeframe) -> tuple[Path, os.stat_result]:
        require_symbol(symbol)
        for ending in _ENDINGS:
            path = self._directory / (_STEM[timeframe].format(symbol) + ending)
            if (found := self._looked_at(path)) is not None:
                return path, found
        if not self._directory.is_dir():
            raise _unreadable()
        raise UnknownSymbol(f"there is no file with {timeframe} bars of {symbol}")

    def _looked_at(self, path: Path) -> os.stat_result | None:
        """None where it is no file, or a link that leads out. Whatever is no link lies where it is."""
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                found = path.stat()
                if not self._inside(path):
                    return None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable() from error
        return found if stat.S_ISREG(found.st_mode) else None

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._directory.resolve())


def _unreadable() -> SourceUnavailable:
    return SourceUnavailable("the directory of price files, or a file in it, cannot be read", retry_after=30)
