"""Price tables from Parquet. pyarrow is imported when the first such file is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contracts import Floats, Timeframe, Times
from errors import SourceUnavailable, UnusableSeries
from market.cells import PRICE_COLUMNS, BadCell, PriceTable, numbers, times
from market.csv_table import find_columns


def read_parquet(path: Path, timeframe: Timeframe) -> PriceTable:
    """The same columns as from CSV. ``date`` may be a date, a timestamp or text.

    Daily timestamps must lie at midnight and, as they name a day, have no time zone; hourly ones must have
    one.

    Raises UnusableSeries naming file, row (from 1) and column; SourceUnavailable where pyarrow is not
    installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SourceUnavailable("Parquet files cannot be read here: pyarrow is not installed") from error
    try:
        with parquet.ParquetFile(path) as file:
            titles = file.schema_arrow.names
            wanted = find_columns(titles, path.name)
            table = file.read(columns=[titles[at] for at in wanted.values()])
    except pyarrow.ArrowException as error:
        raise UnusableSeries(f"{path.name} is not a readable Parquet file") from error
    columns = {name: table.column(titles[at]).combine_chunks() for name, at in wanted.items()}
    stamps = _times(columns["date"], timeframe, path.name)
    prices = {name: _numbers(columns[name], name, path.name) for name in PRICE_COLUMNS if name in columns}
    return PriceTable(stamps, prices)


def _times(column: Any, timeframe: Timeframe, label: str) -> Times:
    import pyarrow

    kind = column.type
    if pyarrow.types.is_date(kind):
        return _from_dates(column, timeframe, label)
    if pyarrow.types.is_timestamp(kind):
        return _from_timestamps(column, timeframe, label)
    texts = _texts(column)
    if texts is None:
        raise UnusableSeries(f"{label}, column date: {kind} is neither date, timestamp nor text")
    try:
        return times(texts, timeframe)
    except BadCell as cell:
        raise UnusableSeries(f"{label}, row {cell.index + 1}, column date: {cell.problem}") from cell


def _from_dates(column: Any, timeframe: Timeframe, label: str) -> Times:
    if timeframe == "1h":
        raise UnusableSeries(f"{label}, column date: hourly bars need times, not dates")
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype("datetime64[D]")


def _from_timestamps(column: Any, timeframe: Timeframe, label: str) -> Times:
    stamps = np.asarray(column.cast(_naive(column.type)).to_numpy(zero_copy_only=False))
    if timeframe == "1h":
        if column.type.tz is None:
            raise UnusableSeries(f"{label}, column date: hourly times need a time zone")
        return stamps.astype("datetime64[s]")
    days = stamps.astype("datetime64[D]")
    if column.type.tz is not None or np.any((stamps != days) & ~np.isnat(stamps)):
        raise UnusableSeries(f"{label}, column date: daily bars need dates, not moments")
    return days


def _naive(kind: Any) -> Any:
    """The timestamp type without its zone: Arrow stores UTC, so the instants stay what they are."""
    import pyarrow

    return pyarrow.timestamp(kind.unit)


def _numbers(column: Any, name: str, label: str) -> Floats:
    import pyarrow

    try:
        texts = _texts(column)
        if texts is not None:
            return numbers(texts)
        return np.asarray(column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except BadCell as cell:
        raise UnusableSeries(f"{label}, row {cell.index + 1}, column {name}: {cell.problem}") from cell
    except pyarrow.ArrowException as error:
        raise UnusableSeries(f"{label}, column {name}: {column.type} holds no numbers") from error


def _texts(column: Any) -> Sequence[str] | None:
    """The cells of a text column, null as an empty one; None for a column of another type."""
    import pyarrow

    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        return None
    return ["" if text is None else text for text in column.to_pylist()]
