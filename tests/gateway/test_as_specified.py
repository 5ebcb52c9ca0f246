"""What schemathesis once found: each a place where the specification and the service did not agree."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway.calling import assert_error, fields_of
from tests.gateway.tiny_service import SERVICE

SPEC: dict[str, Any] = SERVICE.openapi_spec.asdict()


def _schema(name: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = SPEC["components"]["schemas"][name]["properties"][field]
    return found


async def test_a_whole_number_may_be_written_with_a_point(client: httpx.AsyncClient):
    answer = await client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 5.0})
    assert (answer.status_code, answer.json()["horizon"]) == (200, 5)
    refused = await client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 5.5})
    assert fields_of(assert_error(refused, 422, "invalid_request")) == ["horizon"]


@pytest.mark.parametrize("schema", ["PredictRequest", "RiskRequest", "ReturnsRequest", "PortfolioRequest"])
def test_its_bounds_are_stated_all_the_same(schema: str):
    horizon = _schema(schema, "horizon")
    assert (horizon["type"], horizon["minimum"], horizon["maximum"]) == ("integer", 1, 90)


def test_models_are_stated_to_be_named_once():
    models, _ = _schema("PredictRequest", "models")["anyOf"]
    assert models["uniqueItems"] is True


def test_a_portfolio_is_stated_to_have_weights_or_positions_of_symbols_alone():
    assert len(SPEC["components"]["schemas"]["PortfolioRequest"]["oneOf"]) == 2
    for field in ("weights", "positions", "shocks"):
        by_symbol, _ = _schema("PortfolioRequest", field)["anyOf"]
        assert by_symbol["additionalProperties"] is False


@pytest.mark.parametrize("day", ["0", "1700000000", "2024-03-15T00:00:00", "20240315"])
async def test_a_day_is_spelt_out(client: httpx.AsyncClient, day: str):
    refused = await client.get("/api/v1/predict/AAPL/history", params={"to": day})
    assert fields_of(assert_error(refused, 422, "invalid_request")) == ["to"]


async def test_levels_in_an_address_have_the_bounds_of_those_in_a_body(client: httpx.AsyncClient):
    refused = await client.get("/api/v1/risk/AAPL", params={"confidence_levels": "0"})
    assert fields_of(assert_error(refused, 422, "invalid_request")) == ["confidence_levels[0]"]
    parameters = SPEC["paths"]["/api/v1/risk/{symbol}"]["get"]["parameters"]
    (levels,) = (it["schema"]["anyOf"][0] for it in parameters if it["name"] == "confidence_levels")
    assert (levels["maxItems"], levels["items"]["exclusiveMinimum"]) == (10, 0.5)


@pytest.mark.parametrize("path", ["/api/v1/risk", "/api/v1/risk/portfolio", "/api/v1/options/price"])
async def test_a_body_that_is_not_even_text_is_not_json(client: httpx.AsyncClient, path: str):
    headers = {"Content-Type": "application/json"}
    assert_error(await client.post(path, content=b"\xff\xfe\x00", headers=headers), 400, "malformed_body")


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "/api/v1/risk/portfolio"), ("GET", "/api/v1/models/reload")])
async def test_the_methods_of_an_address_are_its_own(client: httpx.AsyncClient, method: str, path: str):
    refused = await client.request(method, path)
    assert_error(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


def test_what_any_request_may_be_refused_for_is_stated():
    for item in SPEC["paths"].values():
        for operation in item.values():
            assert {"414", "431"} <= set(operation["responses"])
            assert "requestBody" not in operation or {"400", "413", "415"} <= set(operation["responses"])
