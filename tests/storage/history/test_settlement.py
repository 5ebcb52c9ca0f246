"""How forecasts came out: the right bar, the right scale, once, and never a guess."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from contracts import Bars, MemberAnswer
from errors import SourceUnavailable
from records import HistoryEntry, HistoryQuery, ScoreQuery
from storage.history.database import Database, database_url
from storage.history.metrics import history_metrics
from storage.history.queries import page_of, scores_of
from storage.history.rows import record_of, row_of
from storage.history.scoring import Scored, Unsettleable, score
from storage.history.settlement import Settlement
from storage.history.tables import OUTCOMES
from storage.history.writer import Writer
from tests.storage.history.making import AS_OF, MADE_AT, Market, at, daily, forecast

TARGET = AS_OF + timedelta(days=5)
NOW = datetime(2023, 2, 1, 12, tzinfo=UTC)


def record(**changes):
    return record_of(row_of(forecast(**changes), MADE_AT))


def series(*after: float, adj: list[float] | None = None) -> Bars:
    """A bar a day: 100 on AS_OF, then what is given."""
    return daily([100.0, *after], AS_OF + timedelta(days=len(after)), adj=adj)


def scored(outcome: Scored | Unsettleable | None) -> Scored:
    assert isinstance(outcome, Scored)
    return outcome


def test_it_is_compared_with_the_bar_of_the_target_date():
    found = scored(score(record(), series(101, 102, 103, 104, 97, 90, 80), NOW)).settlement
    assert (found.realised_date, found.bars_ahead) == (TARGET, 5)
    assert found.realised_price == pytest.approx(97.0)
    assert found.realised_return == pytest.approx(-0.03)
    assert found.error == pytest.approx((97 - 100.25) / 100)
    assert found.inside_interval


@pytest.mark.parametrize(("last", "inside"), [(95.0, True), (94.99, False), (106.0, True), (106.01, False)])
def test_the_ends_of_the_interval_belong_to_it(last: float, inside: bool):
    assert scored(score(record(), series(1, 1, 1, 1, last), NOW)).settlement.inside_interval is inside


def test_a_split_after_the_forecast_changes_nothing():
    before = [100.0, 101, 102, 103, 104, 97]
    split = [price / 4 for price in before]
    assert scored(score(record(), daily(split, TARGET), NOW)).settlement.realised_price == pytest.approx(97.0)


def test_adjusted_closes_are_used_where_returns_were_taken_from_them():
    closes, adjusted = [100.0, 101, 102, 103, 104, 97], [90.0, 91, 92, 93, 94, 99]
    found = scored(score(record(), daily(closes, TARGET, adj=adjusted), NOW)).settlement
    assert found.realised_return == pytest.approx(99 / 90 - 1)
    assert found.realised_price == pytest.approx(110.0)


def test_the_loss_is_that_of_the_definition():
    made = record()
    found = scored(score(made, series(1, 1, 1, 1, 97.0), NOW)).settlement
    losses = []
    for level, price in made.quantiles.items():
        miss = math.log(97.0 / 100.0) - math.log(price / 100.0)
        losses.append(float(level) * miss if miss >= 0 else (float(level) - 1) * miss)
    assert found.pinball == pytest.approx(sum(losses) / len(losses))


def test_the_random_walk_knows_what_was_known_then():
    generator = np.random.default_rng(0)
    past = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, 400)))
    past *= 100.0 / past[-1]
    made = record()
    levels = [float(level) for level in made.quantiles]
    known = [math.log(past[i + 5] / past[i]) for i in range(len(past) - 5)]
    outcome = math.log(97.0 / 100.0)
    quantiles = np.quantile(known, levels)
    losses = [max(q * (outcome - x), (q - 1) * (outcome - x)) for q, x in zip(levels, quantiles, strict=True)]
    for later in ([97.0], [97.0, 10.0, 1000.0]):
        bars = daily([*past, 100.0, 100.0, 100.0, 100.0, *later], TARGET + timedelta(days=len(later) - 1))
        found = scored(score(made, bars, NOW)).settlement
        assert found.pinball_random_walk == pytest.approx(np.mean(losses))


def test_without_a_long_past_there_is_no_random_walk():
    assert scored(score(record(), series(1, 1, 1, 1, 97.0), NOW)).settlement.pinball_random_walk is None


def test_every_member_that_answered_has_its_error():
    members = (
        MemberAnswer("xgboost", "1", 1.0, 101.0, "ok"),
        MemberAnswer("lstm", "1", 0.0, 90.0, "ok"),
        MemberAnswer("har", "1", 0.0, None, "failed", "gone"),
    )
    found = scored(score(record(members=members), series(1, 1, 1, 1, 97.0), NOW))
    assert found.member_errors == pytest.approx({"xgboost": -0.04, "lstm": 0.07})
    assert [(row["model"], row["members"]) for row in found.outcomes] == [
        ("ensemble", "xgboost"),
        ("xgboost", ""),
        ("lstm", ""),
    ]


def without(bars: Bars, *days: date) -> Bars:
    keep = ~np.isin(bars.times.astype("datetime64[D]"), np.array(days, dtype="datetime64[D]"))
    return Bars(bars.symbol, "1d", bars.times[keep], bars.close[keep], bars.provider)


def test_where_the_target_date_has_no_bar_the_next_one_counts():
    holiday = without(series(1, 2, 3, 4, 5, 6, 7, 8), TARGET)
    found = scored(score(record(), holiday, NOW)).settlement
    assert (found.realised_date, found.bars_ahead) == (TARGET + timedelta(days=1), 5)
    assert found.realised_price == pytest.approx(6.0)


def test_a_gap_of_more_than_a_week_is_not_settled():
    gap = [TARGET + timedelta(days=i) for i in range(8)]
    outcome = score(record(), without(series(*range(1, 21)), *gap), NOW)
    assert isinstance(outcome, Unsettleable)
    assert "7 days" in outcome.reason


def test_without_the_bar_that_it_was_made_from_it_is_not_settled():
    outcome = score(record(), without(series(1, 2, 3, 4, 5, 6), AS_OF), NOW)
    assert isinstance(outcome, Unsettleable)


def test_as_long_as_there_is_no_bar_of_the_target_it_waits():
    assert score(record(), series(1, 2, 3, 4), NOW) is None
    assert score(record(), None, NOW) is None


def test_a_bar_of_today_may_still_change_and_is_waited_for():
    bars = series(1, 2, 3, 4, 97)
    assert score(record(), bars, datetime.combine(TARGET, datetime.min.time(), UTC)) is None
    assert score(record(), bars, datetime.combine(TARGET + timedelta(days=1), datetime.min.time(), UTC)) is not None


@pytest.mark.parametrize("bars", [None, series(1, 2)])
def test_after_ninety_days_without_a_bar_it_is_given_up(bars: Bars | None):
    assert score(record(), bars, NOW + timedelta(days=60)) is None
    assert isinstance(score(record(), bars, NOW + timedelta(days=90)), Unsettleable)


def test_the_ninety_days_begin_when_it_was_made_where_that_was_later():
    late = record_of(row_of(forecast(), NOW))
    assert score(late, series(1, 2), NOW + timedelta(days=90)) is None


@pytest.fixture
def market() -> Market:
    return Market({"AAPL": series(101, 102, 103, 104, 97)})


@pytest.fixture
def settlement(database: Database, market: Market) -> Settlement:
    return Settlement(database, market, history_metrics())


async def entries(database: Database, symbol: str = "AAPL") -> list[HistoryEntry]:
    return list((await page_of(database, HistoryQuery(symbol, 200))).entries)


async def test_a_round_fills_in_what_can_be_told(
    writer: Writer, database: Database, settlement: Settlement, market: Market
):
    due, far = forecast(), forecast(horizon=20)
    for each in (due, far):
        writer.put(each, MADE_AT)
    await writer.drain(5)
    assert await settlement.round(NOW) == 1
    by_id = {entry.record.forecast_id: entry for entry in await entries(database)}
    settled = by_id[due.forecast_id]
    expected = scored(score(record_of(row_of(due, MADE_AT)), market.series["AAPL"], NOW))
    assert (settled.state, settled.settlement) == ("settled", expected.settlement)
    assert {member.model: member.error for member in settled.record.members} == expected.member_errors
    assert by_id[far.forecast_id].state == "pending"
    assert await settlement.round(NOW) == 0


async def test_new_bars_settle_what_had_to_wait(
    writer: Writer, database: Database, settlement: Settlement, market: Market
):
    market.series["AAPL"] = series(101, 102)
    writer.put(forecast(), MADE_AT)
    await writer.drain(5)
    assert await settlement.round(NOW) == 0
    market.series["AAPL"] = series(101, 102, 103, 104, 97)
    assert await settlement.round(NOW) == 1


async def test_no_source_is_no_reason_to_give_up(
    writer: Writer, database: Database, settlement: Settlement, market: Market
):
    writer.put(forecast(), MADE_AT)
    await writer.drain(5)
    market.error = SourceUnavailable("away")
    assert await settlement.round(NOW) == 0
    market.error = None
    assert await settlement.round(NOW) == 1


async def test_what_cannot_be_settled_says_why_and_is_not_looked_at_again(
    writer: Writer, database: Database, settlement: Settlement, market: Market
):
    market.series["AAPL"] = without(series(1, 2, 3, 4, 5, 6), AS_OF)
    writer.put(forecast(), MADE_AT)
    await writer.drain(5)
    assert await settlement.round(NOW) == 0
    (entry,) = await entries(database)
    assert (entry.state, entry.settlement) == ("unsettleable", None)
    assert entry.reason == "the series no longer has the bar that the forecast was made from"
    market.asked.clear()
    await settlement.round(NOW)
    assert market.asked == []


async def test_gateways_that_settle_together_count_each_outcome_once(
    writer: Writer, database: Database, market: Market, url: str, tmp_path
):
    for i in range(450):
        writer.put(forecast(), at(i))
    await writer.drain(10)
    other = Database(database_url(url, tmp_path))
    rounds = [Settlement(each, market, history_metrics()).round(NOW) for each in (database, other)]
    assert sum(await asyncio.gather(*rounds)) == 450
    assert {entry.state for entry in await entries(database)} == {"settled"}
    await other.close()


async def test_the_same_day_of_a_symbol_counts_once_and_the_first_forecast_of_it(
    writer: Writer, database: Database, settlement: Settlement
):
    writer.put(forecast(price_target=110.0), at(60))
    writer.put(forecast(price_target=90.0), at(0))
    writer.put(forecast(price_target=120.0), at(120))
    await writer.drain(5)
    assert await settlement.round(NOW) == 3
    (total,) = await scores_of(database, ScoreQuery("1", model="ensemble"))
    assert total.n == 1
    assert total.mean_error == pytest.approx((97 - 90) / 100)
    async with database.transaction() as connection:
        models = (await connection.execute(sa.select(OUTCOMES.c.model))).scalars().all()
    assert sorted(models) == ["ensemble", "lstm", "transformer", "xgboost"]


async def test_series_without_new_bars_do_not_keep_others_waiting(
    writer: Writer, database: Database, market: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.history.settlement.SYMBOLS_A_ROUND", 2)
    for symbol in ("A", "B", "C", "D", "E"):
        writer.put(forecast(symbol), MADE_AT)
    await writer.drain(5)
    market.series = {"E": daily([100.0, 101, 102, 103, 104, 97], TARGET, "E")}
    settlement = Settlement(database, market, history_metrics())
    settled = [await settlement.round(NOW + timedelta(minutes=i)) for i in range(3)]
    assert settled == [0, 0, 1]
    assert len(market.asked) == 6  # five symbols, and one a second time


async def test_a_round_is_bounded(
    writer: Writer, database: Database, settlement: Settlement, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.history.settlement.FORECASTS_A_ROUND", 20)
    monkeypatch.setattr("storage.history.settlement.FORECASTS_A_STEP", 10)
    for i in range(50):
        writer.put(forecast(), at(i))
    await writer.drain(5)
    assert [await settlement.round(NOW) for _ in range(4)] == [20, 20, 10, 0]


async def test_hourly_forecasts_are_left_alone(writer: Writer, database: Database, settlement: Settlement):
    writer.put(forecast(timeframe="1h"), MADE_AT)
    await writer.drain(5)
    assert await settlement.round(NOW) == 0
    assert [entry.state for entry in await entries(database)] == ["pending"]
