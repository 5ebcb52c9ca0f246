"""`"explain": true` on its way in, and the explanation on its way out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import httpx
import pytest

from contracts import (
    AttentionExplanation,
    AttentionLayer,
    Effect,
    Explanation,
    FeatureEffect,
    Forecast,
    Patch,
    TreeExplanation,
)
from gateway.schemas import PredictResponse
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import FakeBackend

ONE, TWO = Effect(0.1, 1.0, 0.5, 4.0), Effect(0.2, 2.0, 1.0, 8.0)
EXPLANATION = Explanation(
    TreeExplanation("xgboost", 0.5, ONE, (FeatureEffect("momentum_1", 0.3, ONE),), None, TWO, "in words"),
    AttentionExplanation(
        "transformer",
        (Patch(date(2022, 12, 1), date(2022, 12, 12)), Patch(date(2022, 12, 13), date(2022, 12, 28))),
        (AttentionLayer(1, (0.5, 0.5), ((0.25, 0.75), (0.75, 0.25))),),
        "in words",
    ),
    {},
)


def explained(forecast: Forecast) -> Forecast:
    return replace(forecast, explanation=EXPLANATION)


async def test_it_is_asked_for_only_in_so_many_words(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    for body, wanted in (({}, False), ({"explain": False}, False), ({"explain": True}, True)):
        response = await client.post("/api/v1/predict", json={"symbol": "AAPL", **body})
        assert response.status_code == 200
        assert backend.asked[-1].explain is wanted


@pytest.mark.parametrize("wrong", [1, "true", None, []])
async def test_anything_but_a_boolean_is_refused(client: httpx.AsyncClient, wrong: object) -> None:
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL", "explain": wrong})
    assert fields_of(assert_error(response, 422, "invalid_request")) == ["explain"]


async def test_an_answer_without_one_has_no_such_field(client: httpx.AsyncClient) -> None:
    body = (await client.post("/api/v1/predict", json={"symbol": "AAPL"})).json()
    assert "explanation" not in body


async def test_it_comes_as_documented(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.alter = explained
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL", "explain": True})
    parsed = PredictResponse.model_validate_json(response.content).explanation
    assert parsed is not None
    body = response.json()["explanation"]
    assert body["tree"]["features"] == [
        {
            "feature": "momentum_1",
            "value": 0.3,
            "effect": {"median_z": 0.1, "width_z": 1.0, "median_price": 0.5, "width_price": 4.0},
        }
    ]
    assert body["attention"]["patches"][1] == {"first": "2022-12-13", "last": "2022-12-28"}
    assert body["attention"]["layers"] == [{"layer": 1, "mean": [0.5, 0.5], "weights": [[0.25, 0.75], [0.75, 0.25]]}]


async def test_what_is_missing_says_why(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.alter = lambda forecast: replace(forecast, explanation=Explanation(None, None, {"tree": "is away"}))
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL", "explain": True})
    assert response.json()["explanation"] == {"tree": None, "attention": None, "missing": {"tree": "is away"}}
    PredictResponse.model_validate_json(response.content)


async def test_in_a_batch_each_item_has_its_own(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    items = [{"symbol": "AAPL", "explain": True}, {"symbol": "MSFT"}]
    await client.post("/api/v1/predict/batch", json={"requests": items})
    assert [request.explain for request in backend.asked] == [True, False]
