"""A forecast as a row of the table, a line of the journal, and a record again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from contracts import Forecast, MemberAnswer
from records import ForecastRecord, HistoryEntry, MemberRecord, Settlement

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATES = ("as_of", "target_date")
_SAME_NAME = (
    "forecast_id",
    "symbol",
    "timeframe",
    "as_of",
    "horizon",
    "target_date",
    "current_price",
    "currency",
    "price_target",
    "expected_return",
    "direction",
    "probability_up",
    "confidence",
    "confidence_level",
    "lower",
    "upper",
    "models_version",
)


def microseconds(at: datetime) -> int:
    """Since 1970 UTC; ``at`` is aware."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at: int) -> datetime:
    """The aware moment so many microseconds after 1970 UTC."""
    return _EPOCH + at * _MICROSECOND


def row_of(forecast: Forecast, made_at: datetime) -> Row:
    """What is stored of a forecast, by column; nothing of how it came out."""
    return {
        **{name: getattr(forecast, name) for name in _SAME_NAME},
        "made_at": microseconds(made_at),
        "quantiles": dict(forecast.quantiles),
        "members": [_member(member) for member in forecast.members],
        "provider": forecast.data.provider,
        "fingerprint": forecast.data.fingerprint,
        "degraded": list(forecast.degraded),
    }


def _member(member: MemberAnswer) -> dict[str, Any]:
    return {
        "model": member.model,
        "version": member.version,
        "weight": member.weight,
        "price_target": member.price_target,
        "status": member.status,
    }


def to_line(row: Row) -> bytes:
    """One line of JSON, its end included."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def from_line(line: bytes) -> Row:
    """Raises ValueError or KeyError for a line that is no whole row."""
    row: Row = orjson.loads(line)
    return row | {name: date.fromisoformat(row[name]) for name in _DATES}


def record_of(row: Mapping[Any, Any]) -> ForecastRecord:
    """A row of the table, as it was made."""
    return ForecastRecord(
        **{name: row[name] for name in _SAME_NAME},
        made_at=instant(row["made_at"]),
        quantiles=row["quantiles"],
        members=tuple(MemberRecord(**member) for member in row["members"]),
        provider=row["provider"],
        fingerprint=row["fingerprint"],
        degraded=tuple(row["degraded"]),
    )


def entry_of(row: Mapping[Any, Any]) -> HistoryEntry:
    """A row of the table, with how it came out."""
    settlement = _settlement(row) if row["state"] == "settled" else None
    return HistoryEntry(record_of(row), row["state"], settlement, row["reason"])


def _settlement(row: Mapping[Any, Any]) -> Settlement:
    values = {field.name: row[field.name] for field in fields(Settlement)}
    return Settlement(**{**values, "settled_at": instant(row["settled_at"])})
