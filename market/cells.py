"""Text cells of a price file to arrays, and the word for a file that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from contracts import Floats, Timeframe, Times

PRICE_COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MISSING = frozenset(("", "nan", "null", "none", "n/a"))
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Unchecked columns as a file has them: ``times`` and every column (n_rows,), missing values NaN."""

    times: Times
    columns: dict[str, Floats]


class BadCell(ValueError):
    """A cell, counted from 0 within its column, that is not what the column holds."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index
        self.problem = problem


def column_key(name: str) -> str:
    """``Adj Close`` -> ``adj_close``: column names are compared without case, blanks count as underscores."""
    return name.strip().lower().replace(" ", "_")


def numbers(texts: Sequence[str]) -> Floats:
    """(n_rows,) floats; an empty cell, NaN, null, none or N/A is NaN. Raises BadCell."""
    cells = ["nan" if text.strip().lower() in _MISSING else text for text in texts]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        raise _first_bad(cells, float, "is not a number") from None


def times(texts: Sequence[str], timeframe: Timeframe) -> Times:
    """(n_rows,) datetime64: days for 1d, UTC seconds for 1h. Raises BadCell."""
    if timeframe == "1d":
        return _days(texts)
    try:
        moments = [_moment(text) for text in texts]
    except ValueError:
        raise _first_bad(texts, _moment, "is not a time like 2024-01-31T15:00:00Z") from None
    return np.array(moments, dtype="datetime64[s]")


def _days(texts: Sequence[str]) -> Times:
    try:
        return np.array([_day(text) for text in texts], dtype="datetime64[D]")
    except ValueError:
        wanted = "is not a date like 2024-01-31"
        raise _first_bad(texts, lambda text: np.datetime64(_day(text), "D"), wanted) from None


def _day(text: str) -> str:
    if not _DAY.fullmatch(text.strip()):
        raise ValueError(text)
    return text.strip()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        # Vendors write New York time without saying so; taking it for UTC would shift every bar.
        raise ValueError(text)
    return moment.astimezone(UTC).replace(tzinfo=None)


def _first_bad(texts: Sequence[str], parse: Callable[[str], object], wanted: str) -> BadCell:
    for index, text in enumerate(texts):
        try:
            parse(text)
        except ValueError:
            return BadCell(index, f"{text[:_SHOWN]!r} {wanted}")
    raise AssertionError("called without a bad cell")
