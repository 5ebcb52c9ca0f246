"""Series kept in memory, the ones used last, bounded by what they weigh."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

from contracts import Bars, Timeframe

KNOWN = 8192
"""How many symbols something small is remembered of."""

SeriesKey = tuple[str, str, Timeframe]
"""Source, symbol, timeframe."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Kept:
    """``refresh_failed``: the last try to renew them did."""

    version: Hashable
    bars: Bars
    refresh_failed: bool = False


class KeptSeries:
    """At most ``room`` bytes of columns, and always the series put last."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._kept: OrderedDict[SeriesKey, Kept] = OrderedDict()

    def get(self, key: SeriesKey) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: SeriesKey, version: Hashable, bars: Bars) -> None:
        if (before := self._kept.pop(key, None)) is not None:
            self._used -= weight(before.bars)
        self._kept[key] = Kept(version, bars)
        self._used += weight(bars)
        while self._used > self._room and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._used -= weight(gone.bars)


def weight(bars: Bars) -> int:
    """Bytes of the columns."""
    columns = (bars.times, bars.close, bars.open, bars.high, bars.low, bars.adj_close, bars.volume)
    return sum(column.nbytes for column in columns if column is not None)


def remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep the ``KNOWN`` newest."""
    known[key] = value
    known.move_to_end(key)
    while len(known) > KNOWN:
        known.popitem(last=False)
