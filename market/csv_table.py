"""Price tables from CSV, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

from contracts import Timeframe
from errors import UnusableSeries
from market.cells import PRICE_COLUMNS, BadCell, PriceTable, column_key, numbers, times

_Array = TypeVar("_Array")


def read_csv(path: Path, timeframe: Timeframe) -> PriceTable:
    """The columns of ``market.cells.PRICE_COLUMNS`` that the file has; others are ignored.

    Raises UnusableSeries naming file, line and column, and OSError where the file cannot be opened.
    """
    try:
        with _open_text(path) as text:
            header, lines, rows = _read_rows(text, path.name)
    except UnicodeDecodeError as error:
        raise UnusableSeries(f"{path.name} is not UTF-8 text") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnusableSeries(f"{path.name} is not a complete gzip file") from error
    except csv.Error as error:
        raise UnusableSeries(f"{path.name} is not CSV: {error}") from error
    columns = {name: [row[at] for row in rows] for name, at in header.items()}

    def parsed(name: str, parse: Callable[[Sequence[str]], _Array]) -> _Array:
        try:
            return parse(columns[name])
        except BadCell as cell:
            message = f"{path.name}, line {lines[cell.index]}, column {name}: {cell.problem}"
            raise UnusableSeries(message) from cell

    stamps = parsed("date", lambda texts: times(texts, timeframe))
    return PriceTable(stamps, {name: parsed(name, numbers) for name in PRICE_COLUMNS if name in columns})


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read_rows(text: TextIO, label: str) -> tuple[dict[str, int], list[int], list[list[str]]]:
    """Where each column stands, the line number of each row, and the rows; blank lines are skipped."""
    reader = csv.reader(text)
    titles = next(reader, [])
    header = find_columns(titles, label)
    lines, rows = [], []
    for row in reader:
        if not row:
            continue
        if len(row) != len(titles):
            raise UnusableSeries(f"{label}, line {reader.line_num}: {len(row)} cells under {len(titles)} column titles")
        lines.append(reader.line_num)
        rows.append(row)
    return header, lines, rows


def find_columns(titles: Sequence[str], label: str) -> dict[str, int]:
    """Known column name -> position; raises UnusableSeries where date or close is missing or one is twice."""
    keys = [column_key(title) for title in titles]
    for name in ("date", "close"):
        if name not in keys:
            raise UnusableSeries(f"{label}, line 1: there is no column {name}")
    known = {name: keys.index(name) for name in ("date", *PRICE_COLUMNS) if name in keys}
    for name in known:
        if keys.count(name) > 1:
            raise UnusableSeries(f"{label}, line 1: column {name} comes twice")
    return known
