"""Answers as pandas data frames. Needs ``deepfinance-client[pandas]``."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepfinance_client.body import Body
from deepfinance_client.columns import COLUMNS, row_of
from deepfinance_client.responses import BatchError, BatchForecast

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

TABLE_OF: Mapping[str, str] = {
    "PredictResponse": "path",
    "HistoryReport": "forecasts",
    "RiskResponse": "value_at_risk",
    "ReturnsResponse": "value_at_risk",
    "OptionChainResponse": "results",
    "ImpliedVolatilityChainResponse": "results",
    "ModelsReport": "members",
    "LiveScoreboard": "rows",
    "SymbolPage": "symbols",
}
"""The list in an answer that has a row each in its data frame; an answer that is not here is one row."""

KINDS = {str: "string", int: "Int64", float: "float64", bool: "boolean", datetime.date: "datetime64[s]"}


def frame_of(answer: Body) -> pd.DataFrame:
    """The rows of an answer; what is inside another record gets its name before a dot (``interval.lower``)."""
    import pandas as pd

    listed = TABLE_OF.get(type(answer).__name__)
    rows: Sequence[Body] = [answer] if listed is None else getattr(answer, listed)
    flat = [dict(_flat(row, "")) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    return pd.DataFrame({name: _series([row.get(name) for row in flat]) for name in names})


def forecasts_frame(
    requests: Sequence[Mapping[str, Any]], results: Sequence[BatchForecast | BatchError]
) -> pd.DataFrame:
    """A row for each request, in order: the columns of ``columns.COLUMNS``, with the same types whatever came."""
    import pandas as pd

    rows = [row_of(request, result) for request, result in zip(requests, results, strict=True)]
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=KINDS[kind]) for name, kind in COLUMNS.items()}
    )


def _series(values: Sequence[Any]) -> pd.Series:
    """A column of the type that all its values have; objects where they differ or there are none."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    kind = KINDS.get(kinds.pop(), "object") if len(kinds) == 1 else "float64" if kinds == {int, float} else "object"
    return pd.Series(values, dtype=kind)


def _flat(record: Body, before: str) -> Iterator[tuple[str, Any]]:
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Body):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value
