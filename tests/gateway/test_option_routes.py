"""The option routes through the whole gateway, with the real desk behind them."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from errors import Unavailable
from gateway import option_examples as examples
from gateway.option_schemas import (
    ImpliedVolatilityAnswer,
    ImpliedVolatilityChainResponse,
    OptionChainResponse,
    OptionContract,
    OptionPrice,
    PriceBody,
    QuoteBody,
)
from offload import Offload
from options_desk import OptionsDesk
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import FakeBackend
from tests.inline import Inline

PRICE, VOLATILITY = "/api/v1/options/price", "/api/v1/options/implied-volatility"
CALL = examples.CONTRACT
AMERICAN = {**CALL, "style": "american"}
TWO_BOUNDARIES = {**AMERICAN, "type": "put", "rate": -0.02, "dividend_yield": -0.06}
QUOTE = examples.QUOTE


@pytest.fixture(autouse=True)
def desk(backend: FakeBackend) -> OptionsDesk:
    backend.options = OptionsDesk(Inline())
    return backend.options


async def test_one_european_contract(client: httpx.AsyncClient) -> None:
    answer = (await client.post(PRICE, json=CALL)).json()
    assert answer["price"] == pytest.approx(examples.PRICE["price"], abs=1e-4)
    assert answer["greeks"] == pytest.approx(examples.PRICE["greeks"], rel=1e-4)
    assert answer["unavailable"] == {}


async def test_one_american_contract(client: httpx.AsyncClient) -> None:
    answer = (await client.post(PRICE, json=examples.AMERICAN)).json()
    assert answer["price"] == pytest.approx(examples.AMERICAN_PRICE["price"], abs=1e-4)
    assert answer["greeks"] == pytest.approx(examples.AMERICAN_PRICE["greeks"], rel=1e-4)
    assert "Andersen" in answer["method"]


async def test_each_of_a_chain_has_its_answer_or_its_own_error_in_order(client: httpx.AsyncClient) -> None:
    contracts = [CALL, {**CALL, "strike": -1}, AMERICAN, "nonsense", {**CALL, "type": "put"}]
    results = (await client.post(PRICE, json={"contracts": contracts})).json()["results"]
    assert [result["status"] for result in results] == [200, 422, 200, 422, 200]
    assert fields_of(results[1]["error"]) == ["strike"]
    for at in (0, 2, 4):
        alone = (await client.post(PRICE, json=contracts[at])).json()
        assert results[at] == {"status": 200, **alone}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"spot": 0}, "spot"),
        ({"spot": 1e300}, "spot"),
        ({"spot": "100"}, "spot"),
        ({"strike": None}, "strike"),
        ({"rate": 2}, "rate"),
        ({"dividend_yield": -1.5}, "dividend_yield"),
        ({"volatility": -0.1}, "volatility"),
        ({"time_to_expiry": 101}, "time_to_expiry"),
        ({"type": "straddle"}, "type"),
        ({"style": "bermudan"}, "style"),
        ({"delta": 0.5}, "delta"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, changed: dict[str, Any], field: str) -> None:
    error = assert_error(await client.post(PRICE, json={**CALL, **changed}), 422, "invalid_request")
    assert fields_of(error) == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_what_is_no_finite_number_is_refused(client: httpx.AsyncClient, number: str) -> None:
    body = json.dumps(CALL).replace("105.0", number)
    response = await client.post(PRICE, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)


@pytest.mark.parametrize(
    "body", [[], "call", 1, None, {"contracts": []}, {"contracts": [CALL] * 1001}, {"contracts": 1}]
)
async def test_a_body_of_another_shape_is_refused(client: httpx.AsyncClient, body: Any) -> None:
    assert_error(await client.post(PRICE, json=body), 422, "invalid_request")


@pytest.mark.parametrize("style", ["european", "american"])
async def test_at_the_strike_on_the_last_day_greeks_are_null_with_a_reason(
    client: httpx.AsyncClient, style: str
) -> None:
    contract = {**CALL, "style": style, "strike": 100.0, "time_to_expiry": 0}
    answer = (await client.post(PRICE, json=contract)).json()
    assert answer["price"] == 0
    assert answer["greeks"]["delta"] is None
    assert set(answer["unavailable"]) == {name for name, value in answer["greeks"].items() if value is None}


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize("kind", ["call", "put"])
async def test_extremes_are_answered_with_finite_numbers(client: httpx.AsyncClient, style: str, kind: str) -> None:
    contracts = [
        {
            **CALL,
            "style": style,
            "type": kind,
            "spot": spot,
            "rate": rate,
            "volatility": volatility,
            "time_to_expiry": time,
        }
        for spot in (1e-8, 100.0, 1e12)
        for rate in (-1.0, 0.0, 1.0)
        for volatility in (0.0, 1e-9, 10.0)
        for time in (0.0, 1e-9, 1.0, 100.0)
    ]
    response = await client.post(PRICE, json={"contracts": contracts})
    assert response.status_code == 200
    for result in response.json()["results"]:
        assert result["status"] in (200, 422)
        if result["status"] == 200:
            assert math.isfinite(result["price"])
            assert all(value is None or math.isfinite(value) for value in result["greeks"].values())


@pytest.mark.parametrize("style", ["european", "american"])
async def test_the_volatility_of_a_price_gives_the_price_back(client: httpx.AsyncClient, style: str) -> None:
    implied = (await client.post(VOLATILITY, json={**QUOTE, "style": style})).json()
    contract = {**CALL, "style": style, "volatility": implied["implied_volatility"]}
    assert (await client.post(PRICE, json=contract)).json()["price"] == pytest.approx(QUOTE["price"], rel=1e-9)
    assert implied["reason"] is None


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize(("spot", "price", "reason"), [(120.0, 10.0, "is below"), (100.0, 101.0, "is not below")])
async def test_where_there_is_no_volatility_the_reason_is_said(
    client: httpx.AsyncClient, style: str, spot: float, price: float, reason: str
) -> None:
    response = await client.post(VOLATILITY, json={**QUOTE, "style": style, "spot": spot, "price": price})
    assert response.status_code == 200
    assert response.json()["implied_volatility"] is None
    assert reason in response.json()["reason"]


async def test_a_chain_of_prices(client: httpx.AsyncClient) -> None:
    results = (await client.post(VOLATILITY, json=examples.QUOTES)).json()["results"]
    assert [result["status"] for result in results] == [200, 200, 422]
    assert results[0]["implied_volatility"] == pytest.approx(0.20851, abs=1e-5)
    assert "without any volatility" in results[1]["reason"]


async def test_where_quantlib_cannot_answer_all_else_of_the_chain_is_priced(
    client: httpx.AsyncClient, backend: FakeBackend
) -> None:
    backend.options = OptionsDesk(Inline(Unavailable("the process that computes this died, twice")))
    results = (await client.post(PRICE, json={"contracts": [CALL, TWO_BOUNDARIES, AMERICAN]})).json()["results"]
    assert [result["status"] for result in results] == [200, 503, 200]
    assert_error(await client.post(PRICE, json=TWO_BOUNDARIES), 503, "unavailable")


async def test_two_exercise_boundaries_are_for_quantlib_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("options_desk.PATIENCE", 300.0)  # a busy machine takes its time to start one
    contracts = [OptionContract(**it) for it in (AMERICAN, TWO_BOUNDARIES, CALL, examples.AMERICAN)]
    here = await OptionsDesk(Inline()).prices(contracts)
    offload = Offload()
    try:
        assert await OptionsDesk(offload).prices(contracts) == here
        assert offload.pid is not None
    finally:
        await offload.close()


async def test_the_volatility_of_two_boundaries_is_found_too(client: httpx.AsyncClient) -> None:
    price = (await client.post(PRICE, json=TWO_BOUNDARIES)).json()
    assert "two exercise boundaries" in price["method"]
    quote = {name: value for name, value in TWO_BOUNDARIES.items() if name != "volatility"}
    implied = (await client.post(VOLATILITY, json={**quote, "price": price["price"]})).json()
    assert implied["implied_volatility"] == pytest.approx(TWO_BOUNDARIES["volatility"], rel=1e-6)


async def test_a_large_chain_is_priced_in_a_thread_as_its_contracts_are(client: httpx.AsyncClient) -> None:
    contracts = [{**AMERICAN, "type": kind, "strike": 80.0 + at} for at in range(20) for kind in ("call", "put")]
    results = (await client.post(PRICE, json={"contracts": contracts})).json()["results"]
    for contract, result in zip(contracts, results, strict=True):
        assert result == {"status": 200, **(await client.post(PRICE, json=contract)).json()}


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (PriceBody, examples.CONTRACT),
        (QuoteBody, examples.QUOTE),
        (OptionPrice, examples.PRICE),
        (OptionPrice, examples.AMERICAN_PRICE),
        (OptionChainResponse, examples.CHAIN_ANSWER),
        (ImpliedVolatilityAnswer, examples.VOLATILITY),
        (ImpliedVolatilityChainResponse, examples.VOLATILITIES),
    ],
)
def test_examples_fit(model: Any, example: dict[str, Any]) -> None:
    TypeAdapter(model).validate_python(example)


async def test_the_answers_are_those_that_the_documentation_describes(client: httpx.AsyncClient) -> None:
    chain = (await client.post(PRICE, json=examples.CHAIN)).json()
    OptionChainResponse.model_validate(chain)
    assert [set(result) for result in chain["results"]] == [set(it) for it in examples.CHAIN_ANSWER["results"]]
