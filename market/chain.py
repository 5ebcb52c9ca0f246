"""Several sources, asked in order, as the one ``contracts.MarketData`` that the pipeline sees.

A series comes wholly from one source: the first, in the configured order, that knows the symbol. Two
sources are never spliced, and a series that its source finds unusable is not silently replaced by another
source's. Bars name the sources before theirs that could not tell (``skipped``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic, perf_counter

from contracts import Bars, Instrument, SourceHealth, Timeframe
from errors import ErrorDetail, SourceUnavailable, UnknownSymbol, UnusableSeries
from market.calendars import describe
from market.kept import Kept, KeptSeries, SeriesKey, remember
from market.remote import RemoteSource
from market.source import LatestPrice, Source, require_symbol

ROOM = 160 * 2**20
"""Bytes of series kept: 1,190 of ten years with all columns."""
PATIENCE = 1.5
"""Seconds for which one request waits for sources that do not answer while others might."""
LONGEST_WAIT = 4.5
"""The same where no other can."""
PROBE_PATIENCE = 0.1
"""Seconds that the request waits which finds a failed source due for another try."""


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


class _StillReading(SourceUnavailable):
    """A source that has not answered yet; ``read`` goes on."""

    def __init__(self, name: str, read: asyncio.Task[Bars]) -> None:
        super().__init__(f"{name} has not answered yet", retry_after=2)
        self.read = read


_Failures = list[tuple[Source, SourceUnavailable]]


class SourceChain:
    """Bars from the first source that has them, parsed once.

    While a source's version token stays the same, the very same ``Bars`` object is returned, for the series used last
    (``room`` bytes of them). Where the period of a live source is over, its bars are served for another one while new
    ones are fetched; where they cannot be, its last good ones are served, unless a later source has newer ones.
    Concurrent requests for one series share one read; a caller that goes away does not stop it for the others. Belongs
    to one event loop.
    """

    def __init__(self, sources: Sequence[Source], *, room: int = ROOM, patience: float = PATIENCE) -> None:
        self._sources = tuple(sources)
        self._records = {source.name: _Record() for source in self._sources}
        if len(self._records) < len(self._sources):
            raise ValueError("two sources have the same name")
        self._kept = KeptSeries(room)
        self._patience = patience
        self._served: OrderedDict[str, Source] = OrderedDict()
        self._reads: dict[tuple[SeriesKey, Hashable], asyncio.Task[Bars]] = {}

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        """The series from the first source that knows it.

        Raises UnknownSymbol when every source answered and none knows it, SourceUnavailable when one that
        could have known it failed and no other knows it, UnusableSeries when the source that has it finds
        it bad.
        """
        require_symbol(symbol)
        started = monotonic()
        failures: _Failures = []
        for source in self._sources:
            try:
                bars = await self._from_source(source, symbol, timeframe, started + self._patience)
            except UnknownSymbol:
                continue
            except SourceUnavailable as failure:
                failures.append((source, failure))
                continue
            except UnusableSeries:
                if (last_good := await self._last_good(failures, symbol, timeframe)) is None:
                    raise
                return self._given(last_good, failures)
            if failures and (last_good := await self._last_good(failures, symbol, timeframe)) is not None:
                bars = max(bars, last_good, key=lambda it: it.times[-1].astype("datetime64[s]"))
            return self._given(bars, failures)
        if not failures:
            raise UnknownSymbol(f"no data source has {timeframe} bars of {symbol}")
        return await self._in_spite_of(failures, symbol, timeframe, started + LONGEST_WAIT)

    def instrument(self, symbol: str) -> Instrument:
        """What the source that gave the bars says, else the first that knows more than the spelling.

        The currency is only told by the source that gave the bars, or by the spelling: sources may differ in unit.
        Does not promise that there are bars. Raises UnknownSymbol where even the calendar cannot be told.
        """
        giver = self._served.get(symbol)
        if giver is not None and (told := giver.instrument(symbol)) is not None:
            return told
        hints = (source.instrument(symbol) for source in self._sources)
        hint = next((hint for hint in hints if hint is not None), None)
        if hint is None or giver is None:
            return hint or describe(symbol)
        return replace(describe(symbol), name=hint.name, exchange=hint.exchange)

    def symbols(self) -> Sequence[str]:
        """All symbols that the sources list and that can be described, sorted."""
        listed = {symbol for source in self._sources for symbol in self._listed_by(source)}
        return sorted(symbol for symbol in listed if self._is_describable(symbol))

    def latest(self, symbol: str, timeframe: Timeframe) -> LatestPrice | None:
        """What the source that gave the bars saw paid last, in their unit; asks nobody. None where it does not say."""
        giver = self._served.get(symbol)
        return giver.latest(symbol, timeframe) if isinstance(giver, RemoteSource) else None

    async def health(self) -> Sequence[SourceHealth]:
        """How the last use of each source went; fetches nothing. ``latency_ms`` is of the last full read."""
        return [_health(source, self._records[source.name]) for source in self._sources]

    async def close(self) -> None:
        """Give up the reads that go on, and the connections of live sources."""
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await asyncio.gather(*(source.close() for source in self._sources if isinstance(source, RemoteSource)))

    async def _from_source(self, source: Source, symbol: str, timeframe: Timeframe, end: float) -> Bars:
        if isinstance(source, RemoteSource):
            return await self._from_remote(source, symbol, timeframe, end)
        record = self._records[source.name]
        try:
            version = await source.version(symbol, timeframe)
        except SourceUnavailable as failure:
            record.failed(failure.message)
            raise
        except UnknownSymbol:
            record.answered()
            raise
        kept = self._kept.get((source.name, symbol, timeframe))
        if kept is not None and kept.version == version:
            record.answered()
            return kept.bars
        # Shielded, so that a caller who goes away cancels its own wait and not the read of the others.
        return await asyncio.shield(self._reading(source, symbol, timeframe, version, version))

    async def _from_remote(self, source: RemoteSource, symbol: str, timeframe: Timeframe, end: float) -> Bars:
        version = await source.version(symbol, timeframe)
        kept = self._kept.get((source.name, symbol, timeframe))
        if kept is not None and kept.version == version:
            return kept.bars
        was_closed = source.state == "closed"
        read = self._reading(source, symbol, timeframe, version, "in flight")
        if kept is not None and was_closed and _serves_meanwhile(kept, source):
            return kept.bars
        left = end - monotonic() if was_closed else min(PROBE_PATIENCE, end - monotonic())
        await asyncio.wait({read}, timeout=max(0.0, left))
        if not read.done():
            raise _StillReading(source.name, read)
        return read.result()

    def _reading(
        self, source: Source, symbol: str, timeframe: Timeframe, version: Hashable, shared_by: Hashable
    ) -> asyncio.Task[Bars]:
        """The read that goes on for this series, or a new one."""
        key = ((source.name, symbol, timeframe), shared_by)
        if (read := self._reads.get(key)) is not None:
            return read
        read = asyncio.create_task(self._read(source, symbol, timeframe, version))
        self._reads[key] = read

        def finished(task: asyncio.Task[Bars]) -> None:
            del self._reads[key]
            if not task.cancelled():
                task.exception()  # seen, also where nobody waits any more

        read.add_done_callback(finished)
        return read

    async def _read(self, source: Source, symbol: str, timeframe: Timeframe, version: Hashable) -> Bars:
        record, key = self._records[source.name], (source.name, symbol, timeframe)
        started = perf_counter()
        try:
            bars = await source.bars(symbol, timeframe)
        except SourceUnavailable as failure:
            record.failed(failure.message)
            if (kept := self._kept.get(key)) is not None:
                kept.refresh_failed = True
            raise
        except UnknownSymbol:
            record.answered()
            raise
        record.answered()
        record.latency_ms = (perf_counter() - started) * 1000
        self._kept.put(key, version, bars)
        return bars

    async def _last_good(self, failures: _Failures, symbol: str, timeframe: Timeframe) -> Bars | None:
        """The newest of what the sources that fail now gave before."""
        found: list[Bars] = []
        for source, _ in failures:
            if not isinstance(source, RemoteSource):
                continue
            kept = self._kept.get((source.name, symbol, timeframe))
            bars = await source.last_good(symbol, timeframe) if kept is None else kept.bars
            if bars is not None:
                found.append(bars)
        return max(found, key=lambda it: it.times[-1].astype("datetime64[s]"), default=None)

    async def _in_spite_of(self, failures: _Failures, symbol: str, timeframe: Timeframe, end: float) -> Bars:
        """No source answered: last good bars, or the first of the reads that go on to succeed. Raises
        SourceUnavailable."""
        if (last_good := await self._last_good(failures, symbol, timeframe)) is not None:
            return self._given(last_good, failures)
        for i, (source, failure) in enumerate(failures):
            if not isinstance(failure, _StillReading):
                continue
            await asyncio.wait({failure.read}, timeout=max(0.0, end - monotonic()))
            try:
                if failure.read.done():
                    return self._given(failure.read.result(), failures[:i])
            except UnknownSymbol:
                continue
            except SourceUnavailable as outcome:
                failures[i] = source, outcome
        raise _no_source_answered(symbol, failures)

    def _given(self, bars: Bars, failures: _Failures) -> Bars:
        """The same, saying who could not; its giver is who is asked what the symbol is."""
        giver = next(source for source in self._sources if source.name == bars.provider)
        remember(self._served, bars.symbol, giver)
        return replace(bars, skipped=tuple(source.name for source, _ in failures)) if failures else bars

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


def _serves_meanwhile(kept: Kept, source: RemoteSource) -> bool:
    """Whether these bars may be served while newer ones are fetched."""
    fetched_at: datetime | None = kept.bars.fetched_at
    return not kept.refresh_failed and fetched_at is not None and source.age(fetched_at) < source.grace


def _no_source_answered(symbol: str, failures: _Failures) -> SourceUnavailable:
    details = [ErrorDetail(source.name, failure.message) for source, failure in failures]
    wait = min(failure.retry_after for _, failure in failures)
    return SourceUnavailable(f"no data source can answer for {symbol} now", details, retry_after=wait)


def _health(source: Source, record: _Record) -> SourceHealth:
    if not record.used:
        return SourceHealth(source.name, "unused", None)
    if isinstance(source, RemoteSource) and source.state != "closed":
        return SourceHealth(source.name, source.state, record.latency_ms, record.failure)
    if record.failure is not None:
        return SourceHealth(source.name, "failing", record.latency_ms, record.failure)
    return SourceHealth(source.name, "ok", record.latency_ms)
