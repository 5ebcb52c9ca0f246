"""Regular work: by one gateway at a time, and nothing older than it is to be kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from records import HistoryQuery, ScoreQuery
from storage.history.database import Database
from storage.history.metrics import history_metrics
from storage.history.queries import page_of, scores_of
from storage.history.settlement import Settlement
from storage.history.store import HistoryOptions, HistoryStore
from storage.history.upkeep import Upkeep, delete_before, lease
from storage.history.writer import Writer
from tests.storage.history.making import AS_OF, MADE_AT, Market, at, daily, forecast, until

NOW = datetime(2023, 2, 1, 12, tzinfo=UTC)


async def test_one_gateway_at_a_time_has_the_lease(database: Database):
    minute = timedelta(minutes=1)
    taken = await asyncio.gather(*(lease(database, "upkeep", NOW, minute) for _ in range(3)))
    assert sorted(taken) == [False, False, True]
    assert not await lease(database, "upkeep", NOW + minute / 2, minute)
    assert await lease(database, "other", NOW + minute / 2, minute)
    assert await lease(database, "upkeep", NOW + minute, minute)


async def test_what_is_older_is_deleted_in_small_pieces(
    writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.history.upkeep.DELETED_AT_ONCE", 7)
    made = [forecast() for _ in range(40)]
    for i, each in enumerate(made):
        writer.put(each, at(i))
    await writer.drain(5)
    assert await delete_before(database, at(30)) == 30
    left = (await page_of(database, HistoryQuery("AAPL", 200))).entries
    assert [entry.record.forecast_id for entry in left] == [each.forecast_id for each in made[:29:-1]]


async def test_a_round_settles_and_deletes(writer: Writer, database: Database):
    market = Market({"AAPL": daily([100.0, 1, 1, 1, 1, 97], AS_OF + timedelta(days=5))})
    settlement = Settlement(database, market, history_metrics())
    for moment in (MADE_AT, MADE_AT - timedelta(days=300)):
        writer.put(forecast(), moment)
    await writer.drain(5)
    upkeep = Upkeep(database, settlement, lambda: NOW, interval=60, keep=timedelta(days=100))
    await upkeep.round()
    await upkeep.round()  # not its turn
    (entry,) = (await page_of(database, HistoryQuery("AAPL"))).entries
    assert entry.state == "settled"
    assert [score.n for score in await scores_of(database, ScoreQuery("1", model="ensemble"))] == [1]


async def test_the_history_as_a_whole_stores_settles_and_answers(url: str, tmp_path: Path):
    market = Market({"AAPL": daily([100.0, 1, 1, 1, 1, 97], AS_OF + timedelta(days=5))})
    history = HistoryStore(HistoryOptions(tmp_path, url, settle_every=0.1), market, lambda: NOW)
    made = forecast()
    history.record(made, MADE_AT)
    await history.start()

    async def settled() -> bool:
        return bool((await history.page(HistoryQuery("AAPL", settled=True))).entries)

    await until(settled)
    health = await history.health()
    assert (health.name, health.state) == ("history", url.partition(":")[0])
    assert health.latency_ms is not None
    assert [score.n for score in await history.scores(ScoreQuery("1", "AAPL", 5, "ensemble"))] == [1]
    await history.close()
