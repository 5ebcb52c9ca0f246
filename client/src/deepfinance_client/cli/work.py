"""What a file asks for: its rows as requests, and what is written beside the answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepfinance_client.cli.tables import Table
from deepfinance_client.cli.wrong import WrongInput
from deepfinance_client.columns import COLUMNS

ASKED = ("symbol", "horizon", "timeframe", "models", "confidence_level")
"""Columns of a file that say what to forecast. Only ``symbol`` is needed; an empty cell means the default."""


@dataclass(frozen=True)
class Work:
    """``requests`` in the order of the file. ``kept`` are its other columns, written as they are before the answers."""

    requests: Sequence[Mapping[str, Any]]
    kept: Mapping[str, Sequence[Any]]
    kinds: Mapping[str, Any]
    """Of all columns that are written, the kept ones first."""

    @property
    def name(self) -> str:
        """A hash of everything that is asked and of the columns of an answer: equal where the answers can be."""
        asked = json.dumps([list(COLUMNS), list(self.requests)], default=str)
        return hashlib.sha256(asked.encode()).hexdigest()


def work_of(table: Table, defaults: Mapping[str, Any]) -> Work:
    """The rows of a table; ``defaults`` for what a row does not say. A cell that makes no sense is sent as it is: the
    service names what is wrong with it, and the answer of that row says so. Raises WrongInput for the whole table.
    """
    if "symbol" not in table.columns:
        raise WrongInput(f"a column `symbol` is needed; there are: {', '.join(table.columns) or 'none'}")
    kept = {name: values for name, values in table.columns.items() if name not in ASKED}
    if taken := [name for name in kept if name in COLUMNS]:
        raise WrongInput(
            f"the column `{taken[0]}` would be written twice: the answers have one of that name; rename it"
        )
    columns = {name: table.columns[name] for name in ASKED if name in table.columns}
    requests = [
        _request({name: values[row] for name, values in columns.items()}, defaults) for row in range(table.length)
    ]
    return Work(requests, kept, {**{name: table.kinds.get(name, str) for name in kept}, **COLUMNS})


def _request(cells: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: _READERS[name](value) for name, value in cells.items() if not _is_empty(value)}
    return {"symbol": "", **defaults, **said}


def _is_empty(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _text(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", value) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value  # pandas writes 5.0 beside a gap


def _fraction(value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return number if abs(number) < float("inf") else str(value)


def names_in(value: Any) -> Any:
    """Names of models: a list, or text with ``+``, ``,``, ``;`` or blanks between them."""
    return re.findall(r"[^\s+,;]+", value) if isinstance(value, str) else value


_READERS = {"symbol": _text, "timeframe": _text, "horizon": _whole, "confidence_level": _fraction, "models": names_in}
