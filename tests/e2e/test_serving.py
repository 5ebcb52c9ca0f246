"""The whole service as it is served: processes, sockets, batching."""

from __future__ import annotations

import asyncio
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openapi_spec_validator import validate

from tests.e2e.server import A_WHILE, Server, command_of, eventually

pytestmark = pytest.mark.e2e

_LISTED = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM"
SYMBOLS = tuple(_LISTED.split())
HORIZONS = (1, 5, 20, 90)
MODELS = ("xgboost", "lstm", "transformer")
"""Models of which each has a process; others answer in the gateway or share one of these."""


def numbers(answer: dict[str, Any]) -> list[float]:
    """Everything in a forecast that the models have a say in."""
    steps = [step[name] for step in answer["path"] for name in ("lower", "median", "upper")]
    targets = [it["price_target"] for it in answer["members"] if it["status"] == "ok"]
    return [*answer["quantiles"].values(), *steps, *targets]


def predict(client: httpx.Client, symbol: str, horizon: int) -> dict[str, Any]:
    response = client.post("/api/v1/predict", json={"symbol": symbol, "horizon": horizon})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.fixture(scope="module")
def one_by_one(server: Server) -> dict[tuple[str, int], dict[str, Any]]:
    with server.client() as client:
        return {(symbol, h): predict(client, symbol, h) for symbol in SYMBOLS for h in HORIZONS}


def test_it_is_ready_with_seconds_of_work(server: Server, record_property: Any):
    """Time of processors, until it was ready: what others do on the machine meanwhile does not count."""
    record_property("seconds_to_ready", server.seconds_to_ready)
    record_property("cpu_to_ready", server.cpu_to_ready)
    assert server.cpu_to_ready < max(20, 15 * _imports())  # 10 s, of five processes


def _imports() -> float:
    """Seconds of a processor for what each process of the service imports: how fast this machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import bentoml, onnxruntime, xgboost"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_every_symbol_has_ordered_quantiles_and_widening_intervals(
    one_by_one: dict[tuple[str, int], dict[str, Any]],
):
    for symbol in SYMBOLS:
        widths = []
        for horizon in HORIZONS:
            answer = one_by_one[symbol, horizon]
            interval = answer["interval"]
            assert interval["lower"] < answer["quantiles"]["0.5"] < interval["upper"]
            assert answer["degraded"] == []
            assert len(answer["path"]) == horizon
            widths.append(interval["upper"] - interval["lower"])
        assert widths == sorted(widths)


def test_two_hundred_at_once_are_each_given_their_own_answer(
    server: Server, one_by_one: dict[tuple[str, int], dict[str, Any]]
):
    asked = [(SYMBOLS[i % 20], HORIZONS[i // 20 % 4]) for i in range(200)]

    async def ask_all() -> list[httpx.Response]:
        async with server.async_client() as client:
            return await asyncio.gather(
                *(client.post("/api/v1/predict", json={"symbol": s, "horizon": h}) for s, h in asked)
            )

    for (symbol, horizon), response in zip(asked, asyncio.run(ask_all()), strict=True):
        assert response.status_code == 200, response.text
        answer, alone = response.json(), one_by_one[symbol, horizon]
        assert (answer["symbol"], answer["horizon"]) == (symbol, horizon)
        assert answer["forecast_id"] == alone["forecast_id"]
        assert numbers(answer) == pytest.approx(numbers(alone), rel=1e-5)


def test_concurrent_requests_share_calls_to_the_models(server: Server):
    async def ask_all() -> list[httpx.Response]:
        async with server.async_client() as client:
            # at levels that nobody asked for before: an answer that was kept asks no model
            bodies = ({"symbol": SYMBOLS[i % 20], "confidence_level": 0.6 + i / 1000} for i in range(200))
            return await asyncio.gather(*(client.post("/api/v1/predict", json=body) for body in bodies))

    before = _calls(server)
    assert {response.status_code for response in asyncio.run(ask_all())} == {200}
    after = _calls(server)
    for model in MODELS:
        rows, calls = (after[model, what] - before[model, what] for what in ("sum", "count"))
        assert calls < rows, f"{model}: {rows:g} rows took {calls:g} calls"
        assert calls < 200


def _calls(server: Server) -> dict[tuple[str, str], float]:
    with server.client() as client:
        metrics = client.get("/metrics").text
    found = re.findall(r'deepfinance_runner_call_rows_(sum|count)\{model="(\w+)"\} (\S+)', metrics)
    return {(model, what): float(value) for what, model, value in found}


def test_a_batch_is_answered_in_order_and_as_one_by_one(
    server: Server, one_by_one: dict[tuple[str, int], dict[str, Any]]
):
    asked = [(symbol, horizon) for horizon in HORIZONS for symbol in SYMBOLS]
    items = [{"symbol": symbol, "horizon": horizon} for symbol, horizon in asked]
    items.insert(7, {"symbol": "NOSUCHSYMBOL"})
    with server.client() as client:
        body = client.post("/api/v1/predict/batch", json={"requests": items}).json()
    results = body["results"]
    assert (body["succeeded"], body["failed"]) == (len(asked), 1)
    assert results.pop(7)["error"]["code"] == "unknown_symbol"
    for key, result in zip(asked, results, strict=True):
        assert numbers(result["forecast"]) == pytest.approx(numbers(one_by_one[key]), rel=1e-5)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"symbol": "NOSUCHSYMBOL"}, 404),
        ({"symbol": "AAPL", "horizon": 0}, 422),
        ({"symbol": "AAPL", "horizon": 91}, 422),
        ({"symbol": "AAPL", "horizon": "five"}, 422),
        ({"symbol": "AAPL", "models": ["gru"]}, (404, 422)),
        ({"symbol": "AAPL", "weights": {"lstm": -1}}, 422),
        ({"symbol": "AAPL", "weights": {"lstm": 0}}, 422),
        (b'{"symbol": "AAPL", "weights": {"lstm": NaN}}', (400, 422)),
        (b"not json", 400),
        (b'{"symbol": "' + b"A" * 10_000_000 + b'"}', 413),
    ],
    ids=lambda it: str(it)[:40],
)
def test_bad_input_gets_its_status_and_the_one_error_shape(server: Server, body: Any, status: Any):
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    with server.client() as client:
        response = client.post("/api/v1/predict", headers={"Content-Type": "application/json"}, **content)
    assert response.status_code in (status if isinstance(status, tuple) else (status,)), response.text
    error = response.json()["error"]
    assert {"code", "message", "details", "request_id"} <= set(error)
    assert error["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_without_the_right_key_nothing_is_told(server: Server, headers: dict[str, str]):
    for path in ("/api/v1/models", "/api/v1/symbols", "/metrics"):
        assert httpx.get(server.url + path, headers=headers, timeout=A_WHILE).status_code == 401
    answer = httpx.post(f"{server.url}/api/v1/predict", json={"symbol": "AAPL"}, headers=headers, timeout=A_WHILE)
    assert answer.status_code == 401


def test_what_is_published_can_be_read(server: Server):
    with server.client() as client:
        models = client.get("/api/v1/models").json()
        symbols = client.get("/api/v1/symbols").json()
    assert set(MODELS) <= {it["name"] for it in models["members"]}
    assert set(SYMBOLS) <= {it["symbol"] for it in symbols["symbols"]}
    with server.client() as client:
        eventually(lambda: client.get("/api/v1/health").json()["status"] == "ok", "all is well")


def test_a_symbol_file_that_appears_is_forecast(server: Server, price_files: Path):
    closes = 40 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, 700)))
    days = np.busday_offset("2019-01-02", np.arange(700), roll="forward")
    lines = [f"{day},{close:.4f}" for day, close in zip(days, closes, strict=True)]
    with server.client() as client:
        assert client.post("/api/v1/predict", json={"symbol": "ZZTOP"}).status_code == 404
        (price_files / "ZZTOP.csv").write_text("\n".join(["date,close", *lines]))
        answer = predict(client, "ZZTOP", 20)
    assert answer["data"]["provider"] == "files"
    assert answer["current_price"] == pytest.approx(closes[-1], abs=1e-4)
    assert answer["interval"]["lower"] < answer["quantiles"]["0.5"] < answer["interval"]["upper"]


def test_the_specification_is_valid(server: Server):
    validate(httpx.get(f"{server.url}/docs.json", timeout=A_WHILE).json())


def test_all_processes_together_stay_small_under_load(
    server: Server, one_by_one: dict[tuple[str, int], dict[str, Any]], record_property: Any
):
    test_two_hundred_at_once_are_each_given_their_own_answer(server, one_by_one)
    # the process for heavy work comes when portfolios or reports are asked for, and goes two minutes later
    family = [it for it in server.family() if not any("offload" in part for part in command_of(it))]
    megabytes = sum(it.memory_full_info().pss for it in family) / 1e6
    record_property("pss_mb", round(megabytes))
    assert megabytes < 700
