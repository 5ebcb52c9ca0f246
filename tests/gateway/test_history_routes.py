"""Stored forecasts and live scores, over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts import ForecastRequest
from errors import HistoryUnavailable, UnknownSymbol
from gateway.examples import HISTORY, LIVE_SCOREBOARD
from gateway.history_reports import NOTES, LiveScoreRow, StoredForecast
from records import (
    ForecastRecord,
    HistoryEntry,
    HistoryQuery,
    LiveScore,
    MemberRecord,
    Position,
    ScoreQuery,
    Settlement,
)
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import FakeBackend, forecast_for
from tests.gateway.tiny_service import SERVICE

SPEC = SERVICE.openapi_spec.asdict()
MADE_AT = datetime(2022, 12, 28, 21, 5, 0, 123456, tzinfo=UTC)
PATH = "/api/v1/predict/AAPL/history"
SETTLEMENT = Settlement(MADE_AT, date(2023, 1, 3), 5, 101.5, 0.015, 0.0125, True, 0.01, None)


def record(number: int) -> ForecastRecord:
    made = forecast_for(ForecastRequest("AAPL"))
    names = set(ForecastRecord.__dataclass_fields__) - {
        "forecast_id",
        "made_at",
        "members",
        "provider",
        "fingerprint",
    }
    return ForecastRecord(
        **{name: getattr(made, name) for name in names},
        forecast_id=str(number),
        made_at=MADE_AT,
        members=(MemberRecord("xgboost", "1", 1.0, 100.25, "ok"),),
        provider="bundled",
        fingerprint="sha256:00",
    )


def schema_of(path: str) -> dict[str, Any]:
    shown = SPEC["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    return {**shown["schema"], "components": SPEC["components"]}


def assert_documented(path: str, body: Any) -> None:
    assert list(Draft202012Validator(schema_of(path)).iter_errors(body)) == []


HISTORY_PATH, SCORES_PATH = "/api/v1/predict/{symbol}/history", "/api/v1/scoreboard/live"


async def test_a_page_leads_to_the_next(client: httpx.AsyncClient, backend: FakeBackend):
    backend.entries = [HistoryEntry(record(i), "pending") for i in range(5)]
    found, cursor = [], ""
    for size in (2, 2, 1):
        body = (await client.get(PATH, params={"cursor": cursor})).json()
        assert_documented(HISTORY_PATH, body)
        assert len(body["forecasts"]) == size
        found += [each["forecast_id"] for each in body["forecasts"]]
        cursor = body["next_cursor"]
    assert found == ["0", "1", "2", "3", "4"]
    assert cursor is None
    assert isinstance(backend.queries[1], HistoryQuery)
    assert backend.queries[1].after == Position(MADE_AT, "2")


async def test_an_outcome_is_null_until_there_is_one(client: httpx.AsyncClient, backend: FakeBackend):
    backend.entries = [HistoryEntry(record(0), "pending"), HistoryEntry(record(1), "settled", SETTLEMENT)]
    pending, settled = (await client.get(PATH)).json()["forecasts"]
    assert set(pending) == set(settled) == set(StoredForecast.model_fields)
    outcome = ("settled_at", "realised_date", "realised_price", "realised_return", "error", "inside_interval")
    assert [pending[name] for name in outcome] == [None] * 6
    assert settled["realised_price"] == 101.5
    assert settled["inside_interval"] is True
    assert pending["interval"] == {"confidence_level": 0.9, "lower": 97.75, "upper": 102.75}


async def test_what_will_not_be_settled_says_why(client: httpx.AsyncClient, backend: FakeBackend):
    backend.entries = [HistoryEntry(record(0), "unsettleable", None, "no bar")]
    (forecast,) = (await client.get(PATH)).json()["forecasts"]
    assert (forecast["state"], forecast["reason"], forecast["realised_price"]) == ("unsettleable", "no bar", None)


async def test_filters_are_passed_on(client: httpx.AsyncClient, backend: FakeBackend):
    params = {"limit": 7, "horizon": 20, "settled": "true", "from": "2022-01-01", "to": "2022-12-31"}
    await client.get("/api/v1/predict/brk-b/history", params=params)
    assert backend.queries == [
        HistoryQuery("BRK-B", 7, 20, settled=True, first=date(2022, 1, 1), last=date(2022, 12, 31))
    ]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"horizon": "91"}, "horizon"),
        ({"settled": "perhaps"}, "settled"),
        ({"from": "yesterday"}, "from"),
        ({"cursor": "?"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "MjAyMi0xMi0yOA"}, "cursor"),  # a date without its zone
        ({"cursor": "_____w"}, "cursor"),
        ({"cursor": "A" * 201}, "cursor"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, params: dict[str, str], field: str):
    error = assert_error(await client.get(PATH, params=params), 422, "invalid_request")
    assert fields_of(error) == [field]


async def test_a_malformed_symbol_is_refused(client: httpx.AsyncClient):
    assert_error(await client.get("/api/v1/predict/A B/history"), 422, "invalid_request")


async def test_an_unknown_symbol_is_told_from_one_without_forecasts(client: httpx.AsyncClient, backend: FakeBackend):
    assert (await client.get(PATH)).json() == {"symbol": "AAPL", "forecasts": [], "next_cursor": None}
    backend.entries = UnknownSymbol("there is no such symbol")
    assert_error(await client.get(PATH), 404, "unknown_symbol")


@pytest.mark.parametrize("path", [PATH, SCORES_PATH])
async def test_without_the_database_they_say_when_to_ask_again(
    client: httpx.AsyncClient, backend: FakeBackend, path: str
):
    backend.entries = HistoryUnavailable("the history cannot be reached now")
    answer = await client.get(path)
    assert_error(answer, 503, "history_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", [PATH, SCORES_PATH])
async def test_they_need_a_key(stranger: httpx.AsyncClient, path: str):
    assert_error(await stranger.get(path), 401, "unauthorized")


SCORE = LiveScore(
    "ensemble", ("xgboost",), 5, 99, 2, date(2022, 1, 3), date(2022, 2, 1), 0.01, 0.03, 0.04, 0.5, 0.9, 0.019, 0.02
)
MEMBER = LiveScore("xgboost", (), 5, 100, 2, date(2022, 1, 3), date(2022, 2, 1), 0.01, 0.0, 0.0, None, None, None, None)


@pytest.fixture
def scored(backend: FakeBackend) -> FakeBackend:
    backend.scores = [SCORE, MEMBER]
    return backend


async def test_scores_are_compared_with_the_random_walk(client: httpx.AsyncClient, scored: FakeBackend):
    body = (await client.get(SCORES_PATH)).json()
    assert_documented(SCORES_PATH, body)
    ensemble, member = body["rows"]
    assert ensemble["skill_vs_no_change"] == pytest.approx(0.25)
    assert ensemble["skill_vs_random_walk"] == pytest.approx(0.05)
    assert (member["skill_vs_no_change"], member["skill_vs_random_walk"]) == (None, None)
    assert (body["models_version"], body["symbol"], body["notes"]) == ("1", None, NOTES)


async def test_few_outcomes_are_pointed_out(client: httpx.AsyncClient, scored: FakeBackend):
    few, enough = (await client.get(SCORES_PATH)).json()["rows"]
    assert "chance" in few["note"]
    assert enough["note"] is None


async def test_scores_can_be_of_a_symbol_horizon_model_and_set(client: httpx.AsyncClient, scored: FakeBackend):
    params = {"symbol": "msft", "horizon": 20, "model": "lstm", "models_version": "old"}
    body = (await client.get(SCORES_PATH, params=params)).json()
    assert scored.queries == [ScoreQuery("old", "MSFT", 20, "lstm")]
    assert (body["symbol"], body["models_version"]) == ("MSFT", "old")


@pytest.mark.parametrize(("path", "example"), [(HISTORY_PATH, HISTORY), (SCORES_PATH, LIVE_SCOREBOARD)])
def test_the_examples_fit_what_is_documented(path: str, example: dict[str, Any]):
    shown = SPEC["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    assert shown["example"] == example
    assert_documented(path, example)


def test_the_examples_leave_nothing_out():
    assert set(HISTORY["forecasts"][0]) == set(StoredForecast.model_fields) - {"reason"}
    assert set(LIVE_SCOREBOARD["rows"][0]) == set(LiveScoreRow.model_fields)
