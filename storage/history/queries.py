"""What is asked of the history: a page of one symbol, and scores of the settled forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from records import ENSEMBLE, HistoryPage, HistoryQuery, LiveScore, Position, ScoreQuery
from storage.history.database import Database
from storage.history.rows import entry_of, microseconds
from storage.history.tables import FORECASTS, OUTCOMES


async def page_of(database: Database, query: HistoryQuery) -> HistoryPage:
    """Newest first by when they were made, then by id. Raises HistoryUnavailable."""
    async with database.transaction() as connection:
        rows = (await connection.execute(_page(query))).mappings().all()
    entries = tuple(entry_of(row) for row in rows[: query.limit])
    if len(rows) <= query.limit:
        return HistoryPage(entries, None)
    last = entries[-1].record
    return HistoryPage(entries, Position(last.made_at, last.forecast_id))


def _page(query: HistoryQuery) -> sa.Select[Any]:
    """One row more than the page has, to see whether another page follows."""
    columns = FORECASTS.c
    where = [columns.symbol == query.symbol]
    if query.horizon is not None:
        where.append(columns.horizon == query.horizon)
    if query.settled is not None:
        where.append(columns.state == "settled" if query.settled else columns.state != "settled")
    if query.first is not None:
        where.append(columns.as_of >= query.first)
    if query.last is not None:
        where.append(columns.as_of <= query.last)
    if query.after is not None:
        here = sa.tuple_(columns.made_at, columns.forecast_id)
        where.append(here < sa.tuple_(microseconds(query.after.made_at), query.after.forecast_id))
    newest_first = (columns.made_at.desc(), columns.forecast_id.desc())
    return sa.select(FORECASTS).where(*where).order_by(*newest_first).limit(query.limit + 1)


async def scores_of(database: Database, query: ScoreQuery) -> Sequence[LiveScore]:
    """By horizon, the ensembles first, then the members by name. Raises HistoryUnavailable."""
    async with database.transaction() as connection:
        rows = (await connection.execute(_scores(query))).mappings().all()
    found = [
        LiveScore(**{**row, "members": tuple(row["members"].split(",")) if row["members"] else ()}) for row in rows
    ]
    return sorted(found, key=lambda row: (row.horizon, row.model != ENSEMBLE, row.model, -row.n, row.members))


def _scores(query: ScoreQuery) -> sa.Select[Any]:
    columns = OUTCOMES.c
    where = [columns.models_version == query.models_version]
    asked = {name: getattr(query, name) for name in ("symbol", "horizon", "model")}
    where += [columns[name] == wanted for name, wanted in asked.items() if wanted is not None]
    has_both = columns.pinball_random_walk.is_not(None)
    return (
        sa.select(
            columns.model,
            columns.members,
            columns.horizon,
            sa.func.count().label("n"),
            sa.func.count(columns.symbol.distinct()).label("symbols"),
            sa.func.min(columns.as_of).label("first"),
            sa.func.max(columns.as_of).label("last"),
            sa.func.avg(columns.error).label("mean_error"),
            sa.func.avg(sa.func.abs(columns.error)).label("absolute_error"),
            sa.func.avg(sa.func.abs(columns.random_walk_error)).label("absolute_error_random_walk"),
            _share(columns.inside_50).label("coverage_50"),
            _share(columns.inside_90).label("coverage_90"),
            sa.func.avg(sa.case((has_both, columns.pinball))).label("pinball"),
            sa.func.avg(columns.pinball_random_walk).label("pinball_random_walk"),
        )
        .where(*where)
        .group_by(columns.horizon, columns.model, columns.members)
    )


def _share(column: sa.ColumnElement[int]) -> sa.ColumnElement[float]:
    return sa.func.avg(sa.cast(column, sa.Double))
