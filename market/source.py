"""What one data source is, and the symbols it may be asked for."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from contracts import Bars, Instrument, Timeframe
from errors import UnknownSymbol

SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.^=-]{0,14}")


@dataclass(frozen=True, slots=True)
class LatestPrice:
    """What was last paid, in the unit of the bars: of the bar still forming, where there is one. ``time`` is aware."""

    price: float
    time: datetime


class Source(Protocol):
    """One place that bars come from; ``market.chain`` orders several of them.

    Errors of the library or the wire are translated by the source itself. Both coroutines raise
    UnknownSymbol (this source has no such series: the next one is asked) or SourceUnavailable (it cannot
    tell now: the next one is asked); ``bars`` also raises UnusableSeries (it has the series, and it is bad:
    nobody else is asked).
    """

    @property
    def name(self) -> str: ...

    def symbols(self) -> Sequence[str]:
        """The symbols with daily bars, where a source can list them; a remote one answers none."""
        ...

    def instrument(self, symbol: str) -> Instrument | None:
        """What the source knows about a symbol beyond its spelling, or None."""
        ...

    async def version(self, symbol: str, timeframe: Timeframe) -> Hashable:
        """A token that changes when ``bars`` would answer otherwise: cheap, asked for on every request.

        A file answers its modification time and size, a source behind HTTP the number of the current
        cache period.
        """
        ...

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        """The checked series, read anew and without blocking the event loop."""
        ...


def require_symbol(symbol: str) -> None:
    """Refuse, with UnknownSymbol, what is not spelt like a symbol; all that passes is safe in a file name."""
    if not SYMBOL.fullmatch(symbol):
        raise UnknownSymbol(f"{symbol[:20]!r} is not spelt like a symbol")


def utc_now() -> datetime:
    """The default clock of the sources; tests pass their own."""
    return datetime.now(UTC)
