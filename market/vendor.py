"""What a source behind HTTP is made of: a vendor, which knows one wire format, and what it reads from a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from contracts import Floats, Timeframe, Times
from market.guard import Guard
from market.source import LatestPrice


@dataclass(frozen=True, slots=True)
class Split:
    """``ratio`` new shares for an old one, from the session of ``day`` on."""

    day: np.datetime64
    ratio: float


@dataclass(frozen=True, slots=True)
class Series:
    """A reply as numbers, unchecked: ``times`` (n_rows,), session days for 1d and UTC seconds for 1h, and columns
    (n_rows,) named as in ``Bars``, missing values NaN. The newest row may still be forming.

    ``splits`` are those the vendor announces. ``adjusts_splits`` is False where prices are as they were traded.
    """

    times: Times
    columns: Mapping[str, Floats]
    currency: str | None = None
    exchange: str | None = None
    name: str | None = None
    latest: LatestPrice | None = None
    splits: tuple[Split, ...] = ()
    adjusts_splits: bool = True


class Vendor(Protocol):
    """One wire format. Has no clock and keeps no prices."""

    @property
    def name(self) -> str: ...

    def covers(self, symbol: str, timeframe: Timeframe) -> bool:
        """Whether it makes sense to ask; costs nothing."""
        ...

    async def series(self, guard: Guard, symbol: str, timeframe: Timeframe, now: datetime) -> Series:
        """Raises UnknownSymbol or SourceUnavailable."""
        ...


def column(values: Any) -> Floats:
    """(n_rows,) floats from a JSON list of numbers, number texts and nulls."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def same_length(*columns: Any) -> None:
    """A reply whose columns differ in length cannot be told which price belongs to which day."""
    if len({len(each) for each in columns}) > 1:
        raise ValueError("columns differ in length")
