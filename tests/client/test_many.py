"""Many forecasts: in order, each once, slower where the service asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from deepfinance_client import AsyncClient, Client, Retries, Unauthorized, Unavailable
from deepfinance_client.columns import COLUMNS
from deepfinance_client.many import Pace
from deepfinance_client.responses import HistoryReport
from gateway.examples import HISTORY
from tests.client.faulty import KEY, PATIENCE, FaultyServer, refused

QUICK = Retries(attempts=4, first=0.01, longest=0.02, patience=3)
ASKED: list[dict[str, Any]] = [{"symbol": f"S{at}", "horizon": at % 90 + 1} for at in range(230)]


async def _many(server: FaultyServer, requests: Any, **options: Any) -> Any:
    async with AsyncClient(server.url, KEY, retries=QUICK) as client:
        return await client.predict_many(requests, **options)


async def test_answers_come_in_the_order_of_the_requests(faulty: FaultyServer) -> None:
    answers = await _many(faulty, ASKED, chunk=20)
    assert [it.forecast.forecast_id for it in answers] == [f"{it['symbol']}-{it['horizon']}" for it in ASKED]
    assert len(faulty.asked) == len(ASKED)
    assert [len(it["requests"]) for it in faulty.bodies].count(20) == 11


async def test_no_more_batches_are_under_way_than_may_be(faulty: FaultyServer) -> None:
    faulty.delay = 0.02
    faulty.may_answer = lambda number: faulty.most_at_once >= 3
    await _many(faulty, ASKED, chunk=10, parallel=3)
    assert faulty.most_at_once == 3


async def test_an_error_belongs_to_its_row(faulty: FaultyServer) -> None:
    answers = await _many(faulty, ["AAPL", "NOPE", {"symbol": "JPM", "horizon": 3}])
    assert [it.status for it in answers] == [200, 404, 200]
    assert [(request["symbol"], it.error.code) for request, it in answers.failed] == [("NOPE", "unknown_symbol")]
    assert [it.symbol for it in answers.succeeded] == ["AAPL", "JPM"]


async def test_a_row_that_is_refused_for_the_moment_is_asked_again_alone(faulty: FaultyServer) -> None:
    faulty.item_faults = {"S3": 2}
    answers = await _many(faulty, ASKED[:10])
    assert {it.status for it in answers} == {200}
    assert [len(it["requests"]) for it in faulty.bodies] == [10, 1, 1]


async def test_a_row_that_is_refused_for_good_keeps_its_error(faulty: FaultyServer) -> None:
    faulty.item_faults = {"S3": 99}
    answers = await _many(faulty, ASKED[:10])
    assert [it.status for it in answers].count(503) == 1
    assert len(faulty.bodies) == QUICK.attempts


async def test_a_429_holds_back_those_that_are_still_to_be_sent(faulty: FaultyServer) -> None:
    faulty.delay = 0.01
    faulty.may_answer = lambda number: faulty.most_at_once == 2
    faulty.faults.append(refused(429, "rate_limited", Retry_After="1"))
    answers = await _many(faulty, ASKED, chunk=10, parallel=2)
    assert {it.status for it in answers} == {200}
    assert faulty.most_at_once == 2, "the other one was under way already"
    assert all(it - faulty.times[0] >= 1 for it in faulty.times[3:])


async def test_a_service_that_is_gone_ends_it(faulty: FaultyServer) -> None:
    faulty.faults.extend([refused(503, "unavailable")] * 99)
    with pytest.raises(Unavailable):
        await _many(faulty, ASKED, chunk=10)


async def test_a_wrong_key_is_not_tried_for_every_batch(faulty: FaultyServer) -> None:
    faulty.faults.extend([refused(401, "unauthorized")] * 99)
    with pytest.raises(Unauthorized):
        await _many(faulty, ASKED, chunk=1, parallel=4)
    assert len(faulty.paths) <= 4


async def test_the_synchronous_client_works_inside_a_running_loop(faulty: FaultyServer) -> None:
    """As in a notebook."""
    with Client(faulty.url, KEY) as client:
        assert len(client.predict_many(ASKED, chunk=50)) == len(ASKED)


def test_the_frame_has_a_row_for_each_and_the_same_types_whatever_came(faulty: FaultyServer) -> None:
    with Client(faulty.url, KEY) as client:
        good, bad = (client.predict_many([it]).to_pandas() for it in ("AAPL", "NOPE"))
        mixed = client.predict_many(["AAPL", "NOPE"]).to_pandas()
    assert list(mixed.columns) == list(COLUMNS)
    pd.testing.assert_series_equal(good.dtypes, bad.dtypes)
    pd.testing.assert_frame_equal(mixed, pd.concat([good, bad], ignore_index=True))
    assert mixed.symbol.tolist() == ["AAPL", "NOPE"]
    assert mixed.upper.isna().tolist() == [False, True]


async def test_the_pace_is_halved_and_comes_back_slowly() -> None:
    now = 0.0
    pace = Pace(8, clock=lambda: now)
    pace.slower(0)
    pace.slower(0)
    assert pace.allowed == 2
    for _ in range(8):
        pace.slower(0)
    assert pace.allowed == 1
    steps = 0
    while pace.allowed < 8:
        pace.faster()
        steps += 1
    assert 20 < steps < 60
    for _ in range(99):
        pace.faster()
    assert pace.allowed == 8


async def test_who_gives_up_waiting_gives_his_place_back() -> None:
    pace = Pace(1)
    pace.slower(60)
    waiting = asyncio.create_task(pace.__aenter__())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    pace._not_before = 0.0
    async with asyncio.timeout(PATIENCE), pace:
        pass


@pytest.mark.parametrize("attempt", [1, 2, 5, 50])
def test_waits_double_up_to_a_bound_and_differ(attempt: int) -> None:
    retries = Retries(attempts=99, first=0.2, longest=10)
    waits = {retries.backoff(attempt) for _ in range(50)}
    most = min(10, 0.2 * 2 ** (attempt - 1))
    assert all(most / 2 <= it <= most for it in waits)
    assert len(waits) > 40


def test_what_lies_inside_is_named_by_a_dot_and_typed() -> None:
    page = HistoryReport.model_validate(HISTORY).to_pandas()
    assert str(page["interval.lower"].dtype) == "float64"
    assert str(page["as_of"].dtype) == "datetime64[s]"
    assert len(page) == len(HISTORY["forecasts"])
