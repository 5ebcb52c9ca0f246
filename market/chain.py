"""Several sources, asked in order, as the one ``contracts.MarketData`` that the pipeline sees.

A series comes wholly from one source: the first, in the configured order, that knows the symbol. Two
sources are never spliced, and a series that its source finds unusable is not silently replaced by another
source's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter

from contracts import Bars, Instrument, SourceHealth, Timeframe
from errors import ErrorDetail, SourceUnavailable, UnknownSymbol
from market.calendars import describe
from market.source import Source, require_symbol

SERIES_KEPT = 128

_Series = tuple[str, str, Timeframe]


@dataclass(slots=True)
class _Record:
    """How the last use of a source went."""

    used: bool = False
    latency_ms: float | None = None
    failure: str | None = None

    def answered(self) -> None:
        self.used, self.failure = True, None

    def failed(self, why: str) -> None:
        self.used, self.failure = True, why


class SourceChain:
    """Bars from the first source that has them, parsed once.

    While a source's version token stays the same, the very same ``Bars`` object is returned, for the ``kept``
    series used last. Concurrent requests for one series share one read; a caller that goes away does not stop
    it for the others. Belongs to one event loop.
    """

    def __init__(self, sources: Sequence[Source], *, kept: int = SERIES_KEPT) -> None:
        self._sources = tuple(sources)
        self._records = {source.name: _Record() for source in self._sources}
        if len(self._records) < len(self._sources):
            raise ValueError("two sources have the same name")
        self._kept: OrderedDict[_Series, tuple[Hashable, Bars]] = OrderedDict()
        self._room = kept
        self._reads: dict[tuple[_Series, Hashable], asyncio.Task[Bars]] = {}

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        """The series from the first source that knows it.

        Raises UnknownSymbol when every source answered and none knows it, SourceUnavailable when one that
        could have known it failed and no other knows it, UnusableSeries when the source that has it finds
        it bad.
        """
        require_symbol(symbol)
        failures: list[tuple[str, SourceUnavailable]] = []
        for source in self._sources:
            try:
                return await self._from_source(source, symbol, timeframe)
            except UnknownSymbol:
                continue
            except SourceUnavailable as failure:
                failures.append((source.name, failure))
        if failures:
            raise _no_source_answered(symbol, failures)
        raise UnknownSymbol(f"no data source has {timeframe} bars of {symbol}")

    def instrument(self, symbol: str) -> Instrument:
        """What the first source that knows more than the spelling says, else what the spelling says.

        Does not promise that there are bars. Raises UnknownSymbol where even the calendar cannot be told.
        """
        hints = (source.instrument(symbol) for source in self._sources)
        return next((hint for hint in hints if hint is not None), None) or describe(symbol)

    def symbols(self) -> Sequence[str]:
        """All symbols that the sources list and that can be described, sorted."""
        listed = {symbol for source in self._sources for symbol in self._listed_by(source)}
        return sorted(symbol for symbol in listed if self._is_describable(symbol))

    async def health(self) -> Sequence[SourceHealth]:
        """How the last use of each source went; fetches nothing. ``latency_ms`` is of the last full read."""
        return [_health(name, record) for name, record in self._records.items()]

    async def _from_source(self, source: Source, symbol: str, timeframe: Timeframe) -> Bars:
        record = self._records[source.name]
        try:
            version = await source.version(symbol, timeframe)
            bars = self._kept_bars((source.name, symbol, timeframe), version)
            if bars is None:
                bars = await self._shared_read(source, symbol, timeframe, version)
        except SourceUnavailable as failure:
            record.failed(failure.message)
            raise
        except UnknownSymbol:
            record.answered()
            raise
        record.answered()
        return bars

    def _kept_bars(self, series: _Series, version: Hashable) -> Bars | None:
        known, bars = self._kept.get(series, (None, None))
        if bars is None or known != version:
            return None
        self._kept.move_to_end(series)
        return bars

    async def _shared_read(self, source: Source, symbol: str, timeframe: Timeframe, version: Hashable) -> Bars:
        key = ((source.name, symbol, timeframe), version)
        task = self._reads.get(key)
        if task is None:
            task = asyncio.create_task(self._read(source, symbol, timeframe, version))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key))
        # Shielded, so that a caller who goes away cancels its own wait and not the read of the others.
        return await asyncio.shield(task)

    async def _read(self, source: Source, symbol: str, timeframe: Timeframe, version: Hashable) -> Bars:
        started = perf_counter()
        bars = await source.bars(symbol, timeframe)
        self._records[source.name].latency_ms = (perf_counter() - started) * 1000
        self._kept[source.name, symbol, timeframe] = version, bars
        self._kept.move_to_end((source.name, symbol, timeframe))
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return bars

    def _listed_by(self, source: Source) -> Sequence[str]:
        try:
            return source.symbols()
        except SourceUnavailable as failure:
            self._records[source.name].failed(failure.message)
            return ()

    def _is_describable(self, symbol: str) -> bool:
        try:
            self.instrument(symbol)
        except UnknownSymbol:
            return False
        return True


def _no_source_answered(symbol: str, failures: list[tuple[str, SourceUnavailable]]) -> SourceUnavailable:
    details = [ErrorDetail(name, failure.message) for name, failure in failures]
    wait = min(failure.retry_after for _, failure in failures)
    return SourceUnavailable(f"no data source can answer for {symbol} now", details, retry_after=wait)


def _health(name: str, record: _Record) -> SourceHealth:
    if not record.used:
        return SourceHealth(name, "unused", None)
    if record.failure is not None:
        return SourceHealth(name, "failing", record.latency_ms, record.failure)
    return SourceHealth(name, "ok", record.latency_ms)
