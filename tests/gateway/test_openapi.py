"""The specification: valid by an independent judge, ours alone, and true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import examples
from gateway.answers import answer_of
from gateway.auth import PUBLIC_PATHS
from gateway.openapi import API_VERSION, specification_of
from gateway.operations import NATIVE
from gateway.schemas import (
    BatchRequest,
    BatchResponse,
    ErrorBody,
    PredictRequest,
    PredictResponse,
)
from tests.gateway.fakes import forecast_for
from tests.gateway.tiny_service import SERVICE

SPEC: dict[str, Any] = SERVICE.openapi_spec.asdict()
OPERATIONS = [(path, method) for path, item in SPEC["paths"].items() for method in item]


def _operation(path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = SPEC["paths"][path][method]
    return found


async def test_what_is_served_is_valid_and_what_is_built(stranger: httpx.AsyncClient) -> None:
    served = (await stranger.get("/docs.json")).json()
    assert served == SPEC
    assert list(OpenAPIV31SpecValidator(served).iter_errors()) == []


def test_it_survives_the_yaml_of_a_build() -> None:
    text = yaml.dump(SERVICE.openapi_spec)
    assert "&id" not in text
    built = yaml.safe_load(text)
    assert built == SPEC
    assert list(OpenAPIV31SpecValidator(built).iter_errors()) == []


def test_it_is_ours() -> None:
    assert SPEC["openapi"] == "3.1.0"
    assert SPEC["info"]["title"] == "DeepFinance"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert SPEC["info"]["version"] == API_VERSION == project["version"]
    assert not re.search(r"bento|root_input|HTTPValidationError|TaskStatus", str(SPEC), re.IGNORECASE)


def test_every_route_of_the_service_is_there() -> None:
    assert {api.route for api in SERVICE.apis.values()} <= set(SPEC["paths"])
    assert {"/api/v1/health", "/api/v1/models", "/api/v1/symbols", "/api/v1/symbols/{symbol}"} <= set(SPEC["paths"])


def test_the_models_of_the_documentation_are_those_of_the_routes() -> None:
    for api in SERVICE.apis.values():
        assert issubclass(api.input_spec, NATIVE[api.route].request)
        assert issubclass(api.output_spec, NATIVE[api.route].response)


def test_a_native_route_that_nobody_documented_stops_the_build() -> None:
    undocumented = SimpleNamespace(apis={"x": SimpleNamespace(route="/api/v1/secret")}, mount_apps=[])
    with pytest.raises(KeyError, match="secret"):
        specification_of(undocumented)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_only_public_routes_are_open(path: str, method: str) -> None:
    operation = _operation(path, method)
    assert (operation.get("security") == []) == (path in PUBLIC_PATHS)
    for status in ("401", "403", "429"):
        assert (status in operation["responses"]) == (path not in PUBLIC_PATHS)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_error_has_our_shape(path: str, method: str) -> None:
    for status, response in _operation(path, method)["responses"].items():
        assert {"X-Request-ID", "X-Response-Time"} <= set(response["headers"])
        if int(status) >= 400:
            schema = response["content"]["application/json"]["schema"]
            assert schema["$ref"].rsplit("/", 1)[1] in ("ErrorBody", "HealthDown")


def test_operations_have_names_of_their_own() -> None:
    names = [_operation(path, method)["operationId"] for path, method in OPERATIONS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def test_every_field_of_a_forecast_is_described() -> None:
    for schema in ("PredictRequest", "PredictResponse", "Prediction", "Interval", "Step", "EvidenceBody"):
        for name, field in SPEC["components"]["schemas"][schema]["properties"].items():
            referred = field.get("$ref", "").rsplit("/", 1)[-1]
            described = SPEC["components"]["schemas"].get(referred, field)
            assert described.get("description"), f"{schema}.{name}"


def test_a_batch_item_is_described_as_a_request() -> None:
    items = SPEC["components"]["schemas"]["BatchRequest"]["properties"]["requests"]["items"]
    assert items == {"$ref": "#/components/schemas/PredictRequest"}


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (PredictRequest, examples.REQUEST),
        (PredictResponse, examples.FORECAST),
        (ErrorBody, examples.ERROR),
        (BatchRequest, examples.BATCH_REQUEST),
        (BatchResponse, examples.BATCH_RESPONSE),
    ],
)
def test_examples_fit(model: Any, example: dict[str, Any]) -> None:
    model.model_validate(example, strict=False)
    assert list(_misfits(model.__name__, example)) == []


def test_a_real_answer_fits_the_schema_of_the_documentation() -> None:
    request = PredictRequest(symbol="AAPL", horizon=90)
    body = orjson.loads(answer_of(forecast_for(_asked(request)), 0.0).body)
    assert list(_misfits("PredictResponse", body)) == []
    body["surprise"] = 1
    assert list(_misfits("PredictResponse", body)) != []


def _asked(body: PredictRequest) -> Any:
    return SimpleNamespace(**{**body.model_dump(), "models": None, "weights": None})


def _misfits(name: str, body: dict[str, Any]) -> Iterator[Any]:
    schema = {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}
    yield from Draft202012Validator(schema).iter_errors(body)
