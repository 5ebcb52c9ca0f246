"""The two native routes: what reaches the backend, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest

from contracts import Forecast, ForecastRequest
from errors import RunnerUnavailable
from gateway.schemas import BatchResponse, PredictResponse
from tests.gateway.calling import assert_error, assert_stamped, fields_of
from tests.gateway.fakes import MODELS, FakeBackend


async def test_only_a_symbol_is_needed(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    response = await client.post("/api/v1/predict", json={"symbol": "aapl"})
    assert response.status_code == 200
    assert_stamped(response)
    assert backend.asked == [ForecastRequest("AAPL")]
    assert response.json()["path"][4] == {
        "step": 5,
        "date": "2023-01-02",
        "median": 100.25,
        "lower": 97.5,
        "upper": 102.5,
    }


async def test_the_answer_is_the_contract_field_by_field(client: httpx.AsyncClient) -> None:
    body = (await client.post("/api/v1/predict", json={"symbol": "AAPL"})).json()
    PredictResponse.model_validate_json((await client.post("/api/v1/predict", json={"symbol": "AAPL"})).content)
    assert body["interval"] == {"confidence_level": 0.9, "lower": 97.75, "upper": 102.75}
    assert set(body["prediction"]) == {
        "price_target",
        "expected_return",
        "direction",
        "probability_up",
        "confidence",
    }
    assert body["quantiles"]["0.05"] == 98.0
    assert body["evidence"]["window"] == ["2019-01-02", "2022-12-28"]
    assert body["data"]["dropped"] == [{"time": "2020-03-09", "problem": "high below low"}]
    assert body["cached"] is False


async def test_everything_said_reaches_the_backend(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    body = {
        "symbol": "^gspc",
        "horizon": 90,
        "timeframe": "1d",
        "models": ["transformer", "xgboost"],
        "weights": {"xgboost": 3, "transformer": 1},
        "confidence_level": 0.5,
    }
    assert (await client.post("/api/v1/predict", json=body)).status_code == 200
    [request] = backend.asked
    assert request == ForecastRequest(
        "^GSPC", 90, "1d", ("xgboost", "transformer"), {"xgboost": 0.75, "transformer": 0.25}, 0.5
    )


async def test_numpy_numbers_are_written_as_numbers(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.alter = _with_numpy_price
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL"})
    assert response.json()["current_price"] == 101.5


def _with_numpy_price(forecast: Forecast) -> Forecast:
    return replace(forecast, current_price=float(np.float32(101.5)), lower=np.float64(1.0))


async def test_an_error_of_the_backend_is_the_answer(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    error = assert_error(await client.post("/api/v1/predict", json={"symbol": "ZZZZ"}), 404, "unknown_symbol")
    assert fields_of(error) == ["symbol"]
    backend.raises = RunnerUnavailable("no model can answer", retry_after=7)
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL"})
    assert_error(response, 503, "runner_unavailable")
    assert response.headers["retry-after"] == "7"


async def test_a_batch_answers_each_item_in_its_place(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    items = [{"symbol": "aapl"}, {"symbol": "ZZZZ"}, {"symbol": "AAPL", "horizon": 0}, 7, {"symbol": "msft"}]
    response = await client.post("/api/v1/predict/batch", json={"requests": items})
    assert response.status_code == 200
    parsed = BatchResponse.model_validate_json(response.content)
    assert [result.status for result in parsed.results] == [200, 404, 422, 422, 200]
    assert (parsed.count, parsed.succeeded, parsed.failed) == (5, 2, 3)
    results = response.json()["results"]
    assert [results[i]["forecast"]["symbol"] for i in (0, 4)] == ["AAPL", "MSFT"]
    assert fields_of(results[2]["error"]) == ["horizon"]
    assert fields_of(results[3]["error"]) == ["body"]
    assert results[1]["error"]["request_id"] == response.headers["x-request-id"]
    assert [request.symbol for request in backend.asked] == ["AAPL", "ZZZZ", "MSFT"]


async def test_a_batch_in_which_nothing_can_be_asked(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    response = await client.post("/api/v1/predict/batch", json={"requests": [{}, {"symbol": "AAPL", "x": 1}]})
    assert [result["status"] for result in response.json()["results"]] == [422, 422]
    assert backend.asked == []


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_of_a_wrong_size_is_refused_whole(client: httpx.AsyncClient, count: int) -> None:
    response = await client.post("/api/v1/predict/batch", json={"requests": [{"symbol": "AAPL"}] * count})
    assert fields_of(assert_error(response, 422, "invalid_request")) == ["requests"]


async def test_a_batch_of_500_is_answered(client: httpx.AsyncClient) -> None:
    items = [{"symbol": "AAPL", "horizon": 1 + i % 90} for i in range(500)]
    response = await client.post("/api/v1/predict/batch", json={"requests": items})
    horizons = [result["forecast"]["horizon"] for result in response.json()["results"]]
    assert horizons == [item["horizon"] for item in items]


async def test_members_left_out_of_the_weights_weigh_nothing(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    await client.post("/api/v1/predict", json={"symbol": "AAPL", "weights": {"lstm": 1e308, "xgboost": 1e308}})
    [request] = backend.asked
    assert request.models is None
    assert request.weights == dict(zip(MODELS, (0.5, 0.5, 0.0), strict=True))
