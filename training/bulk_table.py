"""The files of bulk forecasting: requests from a CSV, outcomes as the table that the client's command line writes."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

from contracts import Forecast, ForecastRequest, Timeframe
from errors import ConfigurationError, DeepFinanceError
from pipeline import Outcome

ASKED = ("symbol", "horizon", "timeframe", "models", "confidence_level")
FORMATS = (".csv", ".parquet")
# Those of deepfinance_client.columns, where they are described; a test holds them equal.
COLUMNS: Mapping[str, type] = {
    "symbol": str,
    "horizon": int,
    "timeframe": str,
    "confidence_level": float,
    "models": str,
    "status": int,
    "error_code": str,
    "error_message": str,
    "forecast_id": str,
    "as_of": date,
    "target_date": date,
    "current_price": float,
    "currency": str,
    "price_target": float,
    "expected_return": float,
    "direction": str,
    "probability_up": float,
    "confidence": float,
    "lower": float,
    "upper": float,
    "q05": float,
    "q25": float,
    "q50": float,
    "q75": float,
    "q95": float,
    "coverage": float,
    "samples": int,
    "skill_vs_random_walk": float,
    "p_value": float,
    "beats_random_walk": bool,
    "provider": str,
    "last_bar": date,
    "stale": bool,
    "degraded": str,
    "models_version": str,
}
_QUANTILES = {"q05": "0.05", "q25": "0.25", "q50": "0.5", "q75": "0.75", "q95": "0.95"}


def read_requests(path: Path, usual: ForecastRequest) -> list[ForecastRequest]:
    """A request a line; ``usual`` says what a line does not. Raises ConfigurationError, which names line and column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file, restval="")
            names = [name.strip() for name in lines.fieldnames or ()]
            if "symbol" not in names or not set(names) <= set(ASKED):
                raise ConfigurationError(f"{path.name}: expected a column symbol, and beside it {', '.join(ASKED[1:])}")
            lines.fieldnames = names
            return [_request(line, usual, f"{path.name}, line {lines.line_num}") for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def _request(cells: Mapping[str, str], usual: ForecastRequest, where: str) -> ForecastRequest:
    said = {name: text.strip() for name, text in cells.items() if name in ASKED and text and text.strip()}
    if "symbol" not in said:
        raise ConfigurationError(f"{where}, column symbol: it is empty")
    return request_of(said, usual, where)


def request_of(said: Mapping[str, str], usual: ForecastRequest, where: str) -> ForecastRequest:
    """``usual`` with what these texts say instead; raises ConfigurationError, which begins with ``where``."""
    found: dict[str, Any] = {}
    for name, text in said.items():
        try:
            found[name] = _READERS[name](text)
        except ValueError:
            raise ConfigurationError(f"{where}, column {name}: expected {_EXPECTED[name]}, got {text!r}") from None
    return replace(usual, **found)


def _horizon(text: str) -> int:
    return _within(int(text), 1, 90)


def _confidence_level(text: str) -> float:
    return _within(float(text), 0.5, 0.99)


def _within(number: Any, lowest: float, highest: float) -> Any:
    if not lowest <= number <= highest:
        raise ValueError
    return number


def _timeframe(text: str) -> str:
    if text not in get_args(Timeframe):
        raise ValueError
    return text


def _models(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"[^\s+,;]+", text)))


_READERS: Mapping[str, Any] = {
    "symbol": str.upper,
    "horizon": _horizon,
    "timeframe": _timeframe,
    "models": _models,
    "confidence_level": _confidence_level,
}
_EXPECTED = {
    "horizon": "a whole number from 1 to 90",
    "timeframe": " or ".join(get_args(Timeframe)),
    "confidence_level": "a number from 0.5 to 0.99",
}


def row_of(request: ForecastRequest, outcome: Outcome) -> list[Any]:
    """Every column of one request."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: getattr(request, name) for name in ("symbol", "horizon", "timeframe", "confidence_level")}
    row["models"] = "+".join(request.models or ()) or None
    row |= _forecast(outcome) if isinstance(outcome, Forecast) else _error(outcome)
    return list(row.values())


def _error(error: DeepFinanceError) -> dict[str, Any]:
    words = "; ".join([error.message, *(f"{it.field}: {it.problem}" for it in error.details)])
    return {"status": error.status, "error_code": error.code, "error_message": words}


def _forecast(forecast: Forecast) -> dict[str, Any]:
    evidence = ("coverage", "samples", "skill_vs_random_walk", "p_value", "beats_random_walk")
    parts: Sequence[tuple[object, Sequence[str]]] = (
        (forecast, ("forecast_id", "as_of", "target_date", "current_price", "currency", "price_target")),
        (forecast, ("expected_return", "direction", "probability_up", "confidence", "lower", "upper")),
        (forecast.evidence, evidence),
        (forecast.data, ("provider", "last_bar", "stale")),
        (forecast, ("models_version",)),
    )
    return {
        "status": 200,
        **{name: getattr(part, name) for part, names in parts for name in names},
        **{name: forecast.quantiles[level] for name, level in _QUANTILES.items()},
        "degraded": "+".join(forecast.degraded) or None,
    }


def write_rows(rows: Sequence[Sequence[Any]], path: Path) -> None:
    """``.csv`` or ``.parquet``. The file is whole, or what it was before; the same rows give the same bytes."""
    partial = path.with_name(f".{path.name}.partial")
    (_write_csv if path.suffix == ".csv" else _write_parquet)(rows, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _write_csv(rows: Sequence[Sequence[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        lines.writerows([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in rows)


def _write_parquet(rows: Sequence[Sequence[Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), date: pa.date32()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
