"""A vendor behind HTTP as a ``Source``: cache periods, the bar still forming, checks, one fetch for all processes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Any
from zlib import crc32

import numpy as np

from contracts import BarIssue, Bars, Calendar, Instrument, SharedCache, Timeframe
from errors import UnknownSymbol, UnusableSeries
from market.breaker import BreakerState
from market.breaks import mended
from market.calendars import describe
from market.forming import completed
from market.guard import Guard
from market.kept import remember
from market.packing import Fetched, packed, unpacked
from market.quality import checked_bars
from market.source import LatestPrice, require_symbol, utc_now
from market.vendor import Series, Vendor

LAST_GOOD_SECONDS = 7 * 86400.0
CLAIM_SECONDS = 8.0
SHARED_PATIENCE = 2.0
_POLL = 0.05

_Key = tuple[str, Timeframe]


class RemoteSource:
    """``ttl`` is the length of a cache period in seconds: a series is fetched at most once in one, by one of the
    processes that share ``shared``; 0 fetches every time. Periods of different symbols do not end together. Belongs to
    one event loop."""

    def __init__(
        self,
        vendor: Vendor,
        guard: Guard,
        calendar: Calendar,
        *,
        ttl: float,
        clock: Callable[[], datetime] = utc_now,
        shared: SharedCache | None = None,
    ) -> None:
        self.name = vendor.name
        self._vendor = vendor
        self._guard = guard
        self._calendar = calendar
        self._ttl = ttl
        self._clock = clock
        self._shared = shared
        self._always_new = count()
        self._instruments: OrderedDict[str, Instrument] = OrderedDict()
        self._latest: OrderedDict[_Key, LatestPrice] = OrderedDict()
        self._refusals: OrderedDict[_Key, tuple[int, UnknownSymbol | UnusableSeries]] = OrderedDict()

    @property
    def state(self) -> BreakerState:
        return self._guard.state

    @property
    def grace(self) -> float:
        """Seconds for which bars of a period that is over may still be served while new ones are fetched."""
        return 2 * self._ttl

    def age(self, fetched_at: datetime) -> float:
        """Seconds since then."""
        return (self._clock() - fetched_at).total_seconds()

    def symbols(self) -> Sequence[str]:
        return ()

    def instrument(self, symbol: str) -> Instrument | None:
        """Known once bars were fetched."""
        return self._instruments.get(symbol)

    def latest(self, symbol: str, timeframe: Timeframe) -> LatestPrice | None:
        """The price of the last fetch, which may be of the bar still forming."""
        return self._latest.get((symbol, timeframe))

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        """The number of the cache period. Raises UnknownSymbol or UnusableSeries if ``bars`` did in this period."""
        require_symbol(symbol)
        if not self._vendor.covers(symbol, timeframe):
            raise self._has_not(symbol, timeframe)
        self._raise_refusal(symbol, timeframe)
        return next(self._always_new) if self._ttl == 0 else self._period(symbol)

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        describe(symbol)  # without a calendar there is nothing to forecast: not worth a call
        if self._shared is None or self._ttl == 0:
            return self._remembered(await self._fetch(symbol, timeframe)).bars
        return self._remembered(await self._fetch_shared(self._shared, symbol, timeframe)).bars

    async def last_good(self, symbol: str, timeframe: Timeframe) -> Bars | None:
        """What any process fetched last, however old, where processes share it."""
        found = None if self._shared is None else await self._look_up(self._shared, symbol, timeframe)
        return None if found is None else self._remembered(found).bars

    async def close(self) -> None:
        await self._guard.close()

    def _period(self, symbol: str) -> int:
        if self._ttl == 0:
            return 0
        return int((self._clock().timestamp() + crc32(symbol.encode()) % max(1, int(self._ttl))) // self._ttl)

    def _raise_refusal(self, symbol: str, timeframe: Timeframe) -> None:
        """What the vendor does not have, or has in a bad state, is not asked for again in the same period."""
        period, refusal = self._refusals.get((symbol, timeframe), (None, None))
        if refusal is not None and self._ttl > 0 and period == self._period(symbol):
            raise type(refusal)(refusal.message, refusal.details)

    def _has_not(self, symbol: str, timeframe: Timeframe) -> UnknownSymbol:
        return UnknownSymbol(f"{self.name} has no {timeframe} bars of {symbol}")

    async def _fetch_shared(self, shared: SharedCache, symbol: str, timeframe: Timeframe) -> Fetched:
        """From the process that fetched it, is fetching it, or from the vendor."""
        period, work = self._period(symbol), f"fetch:{self._shared_key(symbol, timeframe)}"
        end, is_ours = monotonic() + SHARED_PATIENCE, False
        while not is_ours and monotonic() < end:
            if (found := await self._look_up(shared, symbol, timeframe, period)) is not None:
                return found
            is_ours = await shared.claim(work, CLAIM_SECONDS)
            await asyncio.sleep(0.0 if is_ours else _POLL)
        try:
            # another process may have put it, and let go of its claim, since we looked
            if is_ours and (found := await self._look_up(shared, symbol, timeframe, period)) is not None:
                return found
            fetched = await self._fetch(symbol, timeframe)
            await shared.put(self._shared_key(symbol, timeframe), packed(fetched), LAST_GOOD_SECONDS)
        finally:
            if is_ours:
                await shared.release(work)
        return fetched

    async def _look_up(
        self, shared: SharedCache, symbol: str, timeframe: Timeframe, period: int | None = None
    ) -> Fetched | None:
        """What is kept of the series; where a period is given, of that one alone."""
        content = await shared.get(self._shared_key(symbol, timeframe))
        found = None if content is None else unpacked(content)
        if found is None or (found.bars.symbol, found.bars.timeframe, found.bars.provider) != (
            symbol,
            timeframe,
            self.name,
        ):
            return None
        return found if period in (None, found.period) else None

    def _shared_key(self, symbol: str, timeframe: Timeframe) -> str:
        return f"bars:{self.name}:{symbol}:{timeframe}"

    async def _fetch(self, symbol: str, timeframe: Timeframe) -> Fetched:
        now, period = self._clock(), self._period(symbol)
        try:
            series = await self._vendor.series(self._guard, symbol, timeframe, now)
            return await asyncio.to_thread(self._checked, symbol, timeframe, series, now, period)
        except (UnknownSymbol, UnusableSeries) as refusal:
            remember(self._refusals, (symbol, timeframe), (period, refusal.with_traceback(None)))
            raise

    def _checked(self, symbol: str, timeframe: Timeframe, series: Series, now: datetime, period: int) -> Fetched:
        told = describe(symbol)
        instrument = replace(
            told,
            currency=series.currency or told.currency,
            exchange=series.exchange or told.exchange,
            name=series.name or told.name,
        )
        series, done = mended(series)
        over = completed(series.times, timeframe, told.calendar, self._calendar, now)
        if not over.any():
            raise self._has_not(symbol, timeframe)
        columns = {name: values[over] for name, values in series.columns.items()}
        bars = checked_bars(symbol, timeframe, self.name, series.times[over], **columns, now=now)
        bars = _without_unconfirmed_jump(bars)
        bars = replace(bars, issues=(*done, *bars.issues), fetched_at=now)
        return Fetched(bars, instrument, series.latest or _newest(series, now), period)

    def _remembered(self, fetched: Fetched) -> Fetched:
        bars = fetched.bars
        remember(self._instruments, bars.symbol, fetched.instrument)
        if fetched.latest is not None:
            remember(self._latest, (bars.symbol, bars.timeframe), fetched.latest)
        return fetched


def _without_unconfirmed_jump(bars: Bars) -> Bars:
    """A jump in the newest bar may be a misprint: it waits for the next bar to confirm it. Raises UnusableSeries."""
    newest = str(bars.times[-1])
    jumps = [issue for issue in bars.issues if issue.time == newest and issue.problem.startswith("kept: a jump")]
    if not jumps:
        return bars
    if len(bars) < 2:
        raise UnusableSeries(f"{bars.symbol}: its only bar cannot be trusted")
    what = jumps[0].problem.removeprefix("kept: ")
    dropped = BarIssue(newest, f"dropped: {what}, the newest, which no later bar confirms")
    columns: dict[str, Any] = {
        name: None if getattr(bars, name) is None else getattr(bars, name)[:-1].copy()
        for name in ("times", "close", "open", "high", "low", "adj_close", "volume")
    }
    issues = (*(issue for issue in bars.issues if issue not in jumps), dropped)
    return replace(bars, **columns, issues=issues, fingerprint="")


def _newest(series: Series, now: datetime) -> LatestPrice | None:
    price = float(series.columns["close"][-1])
    return LatestPrice(price, now) if np.isfinite(price) and price > 0 else None
