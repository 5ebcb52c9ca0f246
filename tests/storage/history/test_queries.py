"""Pages and scores, the same from SQLite and from PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from contracts import Forecast
from records import HistoryPage, HistoryQuery, ScoreQuery
from storage.history.database import Database
from storage.history.queries import page_of, scores_of
from storage.history.tables import OUTCOMES
from storage.history.writer import Writer
from tests.storage.history.making import AS_OF, at, forecast


async def stored(writer: Writer, made: list[tuple[Forecast, float]]) -> None:
    for each, seconds in made:
        writer.put(each, at(seconds))
    await writer.drain(10)


async def all_pages(database: Database, query: HistoryQuery) -> list[str]:
    found: list[str] = []
    while True:
        page = await page_of(database, query)
        assert len(page.entries) <= query.limit
        found += [entry.record.forecast_id for entry in page.entries]
        if page.next is None:
            return found
        assert len(page.entries) == query.limit
        query = replace(query, after=page.next)


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
async def test_pages_have_every_forecast_once_newest_first(writer: Writer, database: Database, limit: int):
    made = [(forecast(), i // 3) for i in range(20)]  # three at the same moment, told apart by their ids
    await stored(writer, [*made, *((forecast("MSFT"), i) for i in range(5))])
    newest_first = sorted(made, key=lambda each: (each[1], each[0].forecast_id), reverse=True)
    assert await all_pages(database, HistoryQuery("AAPL", limit)) == [each.forecast_id for each, _ in newest_first]


async def test_what_comes_between_two_pages_moves_nothing(writer: Writer, database: Database):
    made = [(forecast(), i) for i in range(6)]
    await stored(writer, made)
    first = await page_of(database, HistoryQuery("AAPL", 2))
    await stored(writer, [(forecast(), 100)])
    second = await page_of(database, HistoryQuery("AAPL", 2, after=first.next))
    assert [entry.record.forecast_id for entry in second.entries] == [made[3][0].forecast_id, made[2][0].forecast_id]


async def test_a_page_can_be_of_one_horizon_or_of_some_days(writer: Writer, database: Database):
    days = [replace(forecast(), as_of=AS_OF + timedelta(days=i)) for i in range(5)]
    far = forecast(horizon=20)
    await stored(writer, [(each, i) for i, each in enumerate([*days, far])])
    assert await all_pages(database, HistoryQuery("AAPL", horizon=20)) == [far.forecast_id]
    between = HistoryQuery("AAPL", horizon=5, first=days[1].as_of, last=days[3].as_of)
    assert await all_pages(database, between) == [each.forecast_id for each in days[3:0:-1]]


async def test_a_symbol_without_forecasts_has_an_empty_page(database: Database):
    assert await page_of(database, HistoryQuery("AAPL")) == HistoryPage((), None)


async def test_unsettled_forecasts_are_pending(writer: Writer, database: Database):
    await stored(writer, [(forecast(), 0)])
    (entry,) = (await page_of(database, HistoryQuery("AAPL", settled=False))).entries
    assert (entry.state, entry.settlement, entry.reason) == ("pending", None, None)
    assert (await page_of(database, HistoryQuery("AAPL", settled=True))).entries == ()


def outcome(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "AAPL",
        "timeframe": "1d",
        "horizon": 5,
        "as_of": AS_OF,
        "models_version": "1",
        "model": "ensemble",
        "members": "xgboost,lstm",
        "error": 0.02,
        "random_walk_error": -0.04,
        "inside_50": 0,
        "inside_90": 1,
        "pinball": 0.01,
        "pinball_random_walk": 0.02,
        "settled_at": 0,
        **changes,
    }


async def fill(database: Database, *rows: dict[str, Any]) -> None:
    async with database.transaction() as connection:
        await connection.execute(database.insert_once(OUTCOMES), list(rows))


async def test_scores_are_means_over_the_outcomes(database: Database):
    next_day = AS_OF + timedelta(days=1)
    await fill(
        database,
        outcome(),
        outcome(as_of=next_day, error=-0.04, random_walk_error=0.02, inside_90=0, pinball=0.03),
        outcome(symbol="MSFT", error=0.05, random_walk_error=0.03, pinball=9.0, pinball_random_walk=None),
    )
    (score,) = await scores_of(database, ScoreQuery("1"))
    assert (score.n, score.symbols, score.members) == (3, 2, ("xgboost", "lstm"))
    assert (score.first, score.last) == (AS_OF, next_day)
    assert isinstance(score.first, date)
    assert score.mean_error == pytest.approx(0.01)
    assert score.absolute_error == pytest.approx(0.11 / 3)
    assert score.absolute_error_random_walk == pytest.approx(0.03)
    assert (score.coverage_50, score.coverage_90) == pytest.approx((0.0, 2 / 3))
    # only where both are known: else one would be compared over other days than the other
    assert (score.pinball, score.pinball_random_walk) == pytest.approx((0.02, 0.02))


async def test_scores_come_by_horizon_the_ensemble_first(database: Database):
    nothing = {"members": "", "inside_50": None, "inside_90": None, "pinball": None, "pinball_random_walk": None}
    await fill(
        database,
        outcome(horizon=20),
        outcome(),
        outcome(model="arima", **nothing),
        outcome(models_version="2"),
        outcome(members="xgboost"),
        outcome(members="xgboost", symbol="MSFT"),
    )
    found = [(score.horizon, score.model, score.members) for score in await scores_of(database, ScoreQuery("1"))]
    assert found == [
        (5, "ensemble", ("xgboost",)),
        (5, "ensemble", ("xgboost", "lstm")),
        (5, "arima", ()),
        (20, "ensemble", ("xgboost", "lstm")),
    ]
    (member,) = await scores_of(database, ScoreQuery("1", model="arima"))
    assert (member.coverage_50, member.coverage_90, member.pinball) == (None, None, None)
    assert [score.n for score in await scores_of(database, ScoreQuery("1", "MSFT", 5, "ensemble"))] == [1]
    assert await scores_of(database, ScoreQuery("3")) == []
