"""Health, models and symbols."""

from __future__ import annotations

import httpx
import pytest

from contracts import AssetClass, Instrument
from errors import InvalidRequest
from gateway.paging import page_of
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import HEALTHY, MODELS, SYMBOLS, FakeBackend, health_with


async def test_health_says_what_it_read(stranger: httpx.AsyncClient) -> None:
    body = (await stranger.get("/api/v1/health")).json()
    assert body["status"] == "ok"
    assert body["models_version"] == "1"
    assert body["uptime_seconds"] == 12.5
    assert [check["name"] for check in body["checks"]["runners"]] == list(MODELS)
    assert body["checks"]["sources"][0]["latency_ms"] == 0.1


@pytest.mark.parametrize(
    ("runner", "source", "status"),
    [("ok", "unused", "ok"), ("failing", "ok", "down"), ("ok", "failing", "down")],
)
async def test_health_is_503_only_when_no_forecast_can_be_made(
    stranger: httpx.AsyncClient, backend: FakeBackend, runner: str, source: str, status: str
) -> None:
    backend.facts = health_with(runner, source)
    response = await stranger.get("/api/v1/health")
    assert response.json()["status"] == status
    if status == "ok":
        assert response.status_code == 200
        return
    assert_error(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert len(response.json()["checks"]["runners"]) == 3


async def test_health_is_degraded_when_one_of_several_fails(stranger: httpx.AsyncClient, backend: FakeBackend) -> None:
    runners = [*HEALTHY.checks.runners]
    runners[0] = runners[0].model_copy(update={"state": "failing"})
    backend.facts = HEALTHY.model_copy(update={"checks": HEALTHY.checks.model_copy(update={"runners": runners})})
    response = await stranger.get("/api/v1/health")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


async def test_models_are_listed_and_found(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/v1/models")).json()
    assert [member["name"] for member in listed["members"]] == list(MODELS)
    assert listed["members"][0]["training_window"] == ["1990-01-02", "2015-12-31"]
    assert (await client.get("/api/v1/models/lstm")).json() == listed["members"][1]
    error = assert_error(await client.get("/api/v1/models/nope"), 404, "unknown_model")
    assert fields_of(error) == ["name"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
async def test_pages_together_are_the_whole_list(client: httpx.AsyncClient, limit: int) -> None:
    found: list[str] = []
    params: dict[str, str | int] = {"limit": limit}
    for _ in SYMBOLS:
        page = (await client.get("/api/v1/symbols", params=params)).json()
        assert page["total"] == len(SYMBOLS)
        assert len(page["symbols"]) <= limit
        found += [symbol["symbol"] for symbol in page["symbols"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    assert found == sorted(SYMBOLS)


@pytest.mark.parametrize(("text", "found"), [("aa", ["AAPL"]), ("-usd", ["BTC-USD"]), ("zz", []), (" jpm ", ["JPM"])])
async def test_search_is_by_part_in_any_case(client: httpx.AsyncClient, text: str, found: list[str]) -> None:
    page = (await client.get("/api/v1/symbols", params={"q": text})).json()
    assert [symbol["symbol"] for symbol in page["symbols"]] == found


def test_search_looks_at_names_and_a_cursor_survives_changes() -> None:
    def known(symbol: str, name: str | None = None) -> Instrument:
        return Instrument(symbol, AssetClass.EQUITY, "XNYS", "USD", None, name)

    listed = [known("C"), known("A", "Apple Inc."), known("B")]
    assert [it.symbol for it in page_of(listed, "APPLE", 50, None).symbols] == ["A"]
    cursor = page_of(listed, "", 2, None).next_cursor
    without_b = [known("C"), known("A"), known("AA"), known("D")]
    assert [it.symbol for it in page_of(without_b, "", 2, cursor).symbols] == ["C", "D"]


@pytest.mark.parametrize("cursor", ["!", "_w", "a", "\u00e9"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page_of([], "", 1, cursor)
    assert caught.value.details[0].field == "cursor"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"q": "x" * 65}, "q"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "x" * 65}, "cursor"),
    ],
)
async def test_a_wrong_query_names_the_field(client: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    response = await client.get("/api/v1/symbols", params=params)
    assert fields_of(assert_error(response, 422, "invalid_request")) == [field]


async def test_a_symbol_with_its_bars(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/symbols/%5Egspc")).json()
    assert (body["symbol"], body["bars"], body["last_bar"]) == ("^GSPC", 8313, "2022-12-28")
    assert_error(await client.get("/api/v1/symbols/ZZZZ"), 404, "unknown_symbol")
    error = assert_error(await client.get("/api/v1/symbols/not a symbol"), 422, "invalid_request")
    assert fields_of(error) == ["symbol"]
