"""The typed answers are those of the service, and every route that a client needs is there."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import deepfinance_client
from deepfinance_client import AsyncClient, Client, responses, routes
from deepfinance_client.calls import MAX_BATCH, Request
from gateway import examples, risk_examples
from gateway.schemas import MAX_BATCH as MAX_BATCH_OF_THE_SERVICE
from tests.client.write_responses import FILE, written
from tests.gateway.tiny_service import SERVICE

SPEC: dict[str, Any] = SERVICE.openapi_spec.asdict()
SCHEMAS: dict[str, Any] = SPEC["components"]["schemas"]
METHODS = [name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")]


def test_the_types_are_made_from_what_is_served() -> None:
    assert FILE.read_text() == written(), "python -m tests.client.write_responses writes them anew"


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (responses.PredictResponse, examples.FORECAST),
        (responses.BatchResponse, examples.BATCH_RESPONSE),
        (responses.ErrorBody, examples.ERROR),
        (responses.HistoryReport, examples.HISTORY),
        (responses.LiveScoreboard, examples.LIVE_SCOREBOARD),
        (responses.RiskResponse, risk_examples.RISK_RESPONSE),
    ],
)
def test_examples_of_the_service_are_read(model: Any, example: Mapping[str, Any]) -> None:
    read = model.model_validate(example).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert read == example


def test_a_field_of_a_newer_service_is_left_out_and_not_refused() -> None:
    assert responses.PredictResponse.model_validate({**examples.FORECAST, "new": 1}).symbol == "AAPL"


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_have_the_same_methods(name: str) -> None:
    one, other = (inspect.signature(getattr(it, name), eval_str=True) for it in (Client, AsyncClient))
    assert list(one.parameters.values()) == list(other.parameters.values())
    if name not in ("stream", "subscribe"):  # an iterator, and an asynchronous one
        assert one.return_annotation == other.return_annotation


def test_neither_client_has_more_methods() -> None:
    others = [name for name, _ in inspect.getmembers(AsyncClient, inspect.isfunction) if not name.startswith("_")]
    assert others == METHODS


@pytest.mark.parametrize(
    ("method", "schema"),
    [
        ("predict", "PredictRequest"),
        ("stream", "PredictRequest"),
        ("risk", "RiskRequest"),
        ("risk_returns", "ReturnsRequest"),
        ("portfolio", "PortfolioRequest"),
    ],
)
def test_what_can_be_asked_can_be_said(method: str, schema: str) -> None:
    parameters = set(inspect.signature(getattr(Client, method)).parameters) - {"self"}
    assert parameters == set(SCHEMAS[schema]["properties"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("history", "/api/v1/predict/{symbol}/history"),
        ("symbols", "/api/v1/symbols"),
        ("symbol", "/api/v1/symbols/{symbol}"),
        ("live_scoreboard", "/api/v1/scoreboard/live"),
    ],
)
def test_what_can_be_looked_up_can_be_said(method: str, path: str) -> None:
    parameters = {it.rstrip("_") for it in inspect.signature(getattr(Client, method)).parameters} - {"self"}
    assert parameters == {it["name"] for it in SPEC["paths"][path]["get"]["parameters"]}


def test_a_method_is_described_as_its_route() -> None:
    signature = str(inspect.signature(Client.predict))
    assert signature.startswith("(self, symbol: 'str', *, horizon: 'int | None' = None")
    assert signature.endswith("-> 'PredictResponse'")
    assert (Client.predict.__name__, Client.predict.__doc__) == ("predict", routes.predict.__doc__)


def test_a_request_of_a_batch_is_typed_as_the_service_reads_it() -> None:
    assert set(Request.__annotations__) == set(SCHEMAS["PredictRequest"]["properties"])
    assert MAX_BATCH == MAX_BATCH_OF_THE_SERVICE


def test_the_version_is_said_once_more_and_the_same() -> None:
    assert (
        f'version = "{deepfinance_client.__version__}"'
        in (Path(__file__).parents[2] / "client/pyproject.toml").read_text()
    )
