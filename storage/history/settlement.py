"""Fills in how forecasts came out, symbol by symbol, a bounded piece of work at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import Bars, MarketData, Timeframe
from errors import DeepFinanceError
from records import ForecastRecord
from storage.history.database import Database
from storage.history.metrics import HistoryMetrics
from storage.history.rows import microseconds, record_of
from storage.history.scoring import Scored, Unsettleable, score
from storage.history.tables import FORECASTS, OUTCOMES

log = logging.getLogger("deepfinance.history")

SYMBOLS_A_ROUND, FORECASTS_A_ROUND, FORECASTS_A_STEP = 50, 5_000, 200

Series = tuple[str, Timeframe]


class Settlement:
    """Belongs to one event loop. Daily forecasts only: an hourly one would have to say at what time it was made.

    Any number of gateways may run it: an outcome is written where there is none, and counted in that transaction.
    """

    def __init__(self, database: Database, market: MarketData, metrics: HistoryMetrics) -> None:
        self._database, self._market, self._metrics = database, market, metrics
        self._looked_at: dict[Series, datetime] = {}

    async def round(self, now: datetime) -> int:
        """Settle what can be; how many were. Raises HistoryUnavailable. Series that were not looked at for longest come
        first, so that those without new bars do not keep others waiting."""
        due = await self._due(now)
        self._looked_at = {series: at for series, at in self._looked_at.items() if series in due}
        never = datetime.min.replace(tzinfo=now.tzinfo)
        settled = 0
        for series in sorted(due, key=lambda it: self._looked_at.get(it, never))[:SYMBOLS_A_ROUND]:
            if settled >= FORECASTS_A_ROUND:
                break
            settled += await self._settle(series, now, FORECASTS_A_ROUND - settled)
            self._looked_at[series] = now
        if settled:
            log.info("%d forecasts were settled", settled)
        return settled

    async def _due(self, now: datetime) -> Sequence[Series]:
        """Series with a forecast whose target date is over."""
        columns = FORECASTS.c
        asked = (
            sa.select(columns.symbol, columns.timeframe)
            .where(columns.state == "pending", columns.timeframe == "1d", columns.target_date < now.date())
            .distinct()
        )
        async with self._database.transaction() as connection:
            return [(symbol, timeframe) for symbol, timeframe in await connection.execute(asked)]

    async def _settle(self, series: Series, now: datetime, most: int) -> int:
        """Forecasts of one series, in the order in which their target dates came and they were made."""
        bars = await self._bars(series)
        settled = 0
        while settled < most:
            pending = await self._pending(series, now)
            outcomes = [(record, score(record, bars, now)) for record in pending]
            known = [(record, outcome) for record, outcome in outcomes if outcome is not None]
            if known:
                settled += await self._store(known, now)
            if len(known) < FORECASTS_A_STEP:  # none is left, or the series ends before their targets
                break
        return settled

    async def _bars(self, series: Series) -> Bars | None:
        try:
            return await self._market.bars(*series)
        except DeepFinanceError as error:
            log.debug("no bars of %s to settle with: %s", series[0], error.message)
            return None

    async def _pending(self, series: Series, now: datetime) -> Sequence[ForecastRecord]:
        columns = FORECASTS.c
        order = (columns.target_date, columns.made_at, columns.forecast_id)
        asked = sa.select(FORECASTS).where(
            columns.state == "pending",
            columns.symbol == series[0],
            columns.timeframe == series[1],
            columns.target_date < now.date(),
        )
        async with self._database.transaction() as connection:
            rows = (await connection.execute(asked.order_by(*order).limit(FORECASTS_A_STEP))).mappings().all()
        return [record_of(row) for row in rows]

    async def _store(self, known: Sequence[tuple[ForecastRecord, Scored | Unsettleable]], now: datetime) -> int:
        """How many of them were settled by this call, and not by another gateway."""
        done = 0
        async with self._database.transaction() as connection:
            for record, outcome in known:
                if await self._close(connection, record, outcome, now) and isinstance(outcome, Scored):
                    rows = [{**row, "settled_at": microseconds(now)} for row in outcome.outcomes]
                    await connection.execute(self._database.insert_once(OUTCOMES), rows)
                    done += 1
        self._metrics.settled(done)
        return done

    async def _close(
        self, connection: AsyncConnection, record: ForecastRecord, outcome: Scored | Unsettleable, now: datetime
    ) -> bool:
        """Whether it was open until now."""
        mine = (FORECASTS.c.forecast_id == record.forecast_id) & (FORECASTS.c.state == "pending")
        changed = await connection.execute(sa.update(FORECASTS).where(mine).values(_values(record, outcome, now)))
        return changed.rowcount == 1


def _values(record: ForecastRecord, outcome: Scored | Unsettleable, now: datetime) -> Mapping[str, Any]:
    if isinstance(outcome, Unsettleable):
        return {"state": "unsettleable", "reason": outcome.reason, "settled_at": microseconds(now)}
    members = [asdict(replace(member, error=outcome.member_errors.get(member.model))) for member in record.members]
    return asdict(outcome.settlement) | {
        "state": "settled",
        "settled_at": microseconds(now),
        "members": members,
    }
