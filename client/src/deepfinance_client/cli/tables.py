"""Tables in files: CSV with the standard library, Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

from deepfinance_client.cli.wrong import WrongInput

FORMATS = (".csv", ".parquet")
ROW_GROUP = 50_000


@dataclass(frozen=True)
class Table:
    """``columns`` by name, all of ``length``; those of a CSV hold text, None where a cell is empty. ``kinds`` are the
    arrow types of a Parquet file."""

    columns: Mapping[str, Sequence[Any]]
    length: int
    kinds: Mapping[str, Any]


def format_of(path: Path) -> str:
    """``.csv`` or ``.parquet``. Raises WrongInput for any other ending, and for Parquet without pyarrow."""
    if path.suffix.lower() not in FORMATS:
        raise WrongInput(f"{path.name} should end in {' or '.join(FORMATS)}")
    if path.suffix.lower() == ".parquet":
        if not find_spec("pyarrow"):
            raise WrongInput("Parquet needs pyarrow: pip install 'deepfinance-client[parquet]'; or use .csv")
        Thread(target=_pyarrow, daemon=True).start()  # it takes a while, which is there while the service answers
    return path.suffix.lower()


def read_table(path: Path) -> Table:
    """A whole file. Raises WrongInput where it cannot be read as what its name says."""
    kind = format_of(path)
    try:
        return _read_csv(path) if kind == ".csv" else _read_parquet(path)
    except OSError as error:
        raise WrongInput(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise WrongInput(f"{path} should be UTF-8 text") from None


def _read_csv(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        names = [name.strip() for name in next(lines, [])]
        if len(set(names)) != len(names):
            raise WrongInput(f"{path.name} has a column twice: {','.join(names)}")
        rows = []
        for row in lines:
            if row and len(row) != len(names):
                raise WrongInput(f"{path.name}, line {lines.line_num}: {len(row)} cells, expected {len(names)}")
            if row:
                rows.append(row)
    columns = {name: [row[at] or None for row in rows] for at, name in enumerate(names)}
    return Table(columns, len(rows), {})


def _read_parquet(path: Path) -> Table:
    arrow = _pyarrow()
    try:
        table = arrow.parquet.read_table(path)
    except arrow.ArrowInvalid as error:
        raise WrongInput(f"{path.name} is not a Parquet file: {error}") from None
    if len(set(table.column_names)) != len(table.column_names):
        raise WrongInput(f"{path.name} has a column twice: {','.join(table.column_names)}")
    kinds = {field.name: field.type for field in table.schema}
    return Table(table.to_pydict(), table.num_rows, kinds)


def write_table(path: Path, kinds: Mapping[str, Any], rows: Iterable[Sequence[Any]]) -> None:
    """All rows, in the order of ``kinds`` (Python or arrow types). The file is complete or, if this is interrupted,
    what it was before. The same rows give the same bytes.
    """
    partial = path.with_name(f".{path.name}.partial")
    if format_of(path) == ".csv":
        _write_csv(partial, kinds, rows)
    else:
        _write_parquet(partial, kinds, rows)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _write_csv(path: Path, kinds: Mapping[str, Any], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(kinds)
        lines.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _write_parquet(path: Path, kinds: Mapping[str, Any], rows: Iterable[Sequence[Any]]) -> None:
    arrow = _pyarrow()
    known = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
        datetime.date: arrow.date32(),
    }
    schema = arrow.schema([(name, known.get(kind, kind)) for name, kind in kinds.items()])
    remaining = iter(rows)
    with arrow.parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(remaining, ROW_GROUP)):
            columns = zip(*group, strict=True)
            arrays = [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _pyarrow() -> ModuleType:
    import pyarrow
    import pyarrow.parquet

    pyarrow.array([])  # the first one imports pandas, where that is installed
    return pyarrow
