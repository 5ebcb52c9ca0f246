"""The OpenAPI 3.1 description, made from our own schemas and routes.

BentoML's generator is not used: it stamps 3.0.2 on constructs of 3.1, adds fields of its own and describes
errors that we do not give.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson
import yaml
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import examples
from gateway.auth import PUBLIC_PATHS, SCOPE_OF_PATH, UNCOUNTED_PATHS
from gateway.conditional import is_conditional
from gateway.operations import NATIVE, Examples, Operation
from gateway.responses import problem_for_status
from gateway.schemas import ErrorBody, PredictRequest

API_VERSION: Final = "0.1.0"
TITLE: Final = "DeepFinance"
DESCRIPTION: Final = (
    "Price forecasts with the evidence for them. Returns, weights, probabilities and levels are fractions, "
    "not percent; prices are in the asset's own currency; dates are trading days of its exchange. Send the "
    "API key in `X-API-Key` or as `Authorization: Bearer`. Every response carries `X-Request-ID` (yours if "
    "you send one) and `X-Response-Time` in seconds; every error has the same shape."
)
_REF: Final = "#/components/schemas/{model}"
_ERROR_SCHEMA: Final = {"$ref": "#/components/schemas/ErrorBody"}
_HEADERS: Final = {
    "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"},
    "X-Response-Time": {"$ref": "#/components/headers/X-Response-Time"},
}
_LIMITS: Final = {
    f"X-RateLimit-{it}": {"$ref": f"#/components/headers/X-RateLimit-{it}"} for it in ("Limit", "Remaining", "Reset")
}
_TAGS: Final = {
    "Forecasts": "Ask for a forecast.",
    "Models": "What is published, and how it scored.",
    "Symbols": "What can be asked for.",
    "Risk": "What can be lost, and how well that was told in the past.",
    "Options": "What contracts are worth.",
    "Operations": "For those who run the service.",
}
Json = dict[str, Any]


class Specification(dict[str, Any]):
    """The document. BentoML asks a specification for ``asdict`` and hands it to YAML when it builds."""

    def asdict(self) -> Json:
        return dict(self)


def _as_yaml(dumper: yaml.Dumper, specification: Specification) -> yaml.Node:
    return dumper.represent_dict(specification)


yaml.add_representer(Specification, _as_yaml)


def specification_of(service: Any) -> Specification:
    """Describe a BentoML service: its native routes, the FastAPI apps mounted on it, and the probes."""
    schemas = _schemas_of(NATIVE.values())
    paths: dict[str, Json] = {api.route: {"post": _native(NATIVE[api.route])} for api in service.apis.values()}
    for app, prefix, _ in service.mount_apps:
        if isinstance(app, FastAPI):
            _add_mounted(app, prefix, paths, schemas)
    paths.update(_probes())
    for path, item in paths.items():
        for method, operation in item.items():
            _finish(operation, method, path)
    # Through JSON and back: nothing is shared between places, so YAML needs no anchors.
    return Specification(orjson.loads(orjson.dumps(_document(paths, schemas))))


def _document(paths: Json, schemas: Json) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": API_VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/", "description": "This server"}],
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": _header_components(),
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _header_components() -> Json:
    return {
        "X-Request-ID": {
            "description": "Name of this request: the one you sent, or a new one.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        },
        "X-Response-Time": {
            "description": "Time until the response began, in seconds.",
            "schema": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+$"},
        },
        "ETag": {
            "description": "Name of these very bytes, for `If-None-Match`.",
            "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(-0)?"$'},
        },
        "X-RateLimit-Limit": _whole("Requests that this key may make in its window."),
        "X-RateLimit-Remaining": _whole("Requests that it may still make now."),
        "X-RateLimit-Reset": _whole("Seconds until more remain, rounded up."),
        "Retry-After": _whole("Seconds after which asking again makes sense."),
    }


def _whole(description: str) -> Json:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


def _schemas_of(operations: Iterable[Operation]) -> Json:
    """Every schema that the native routes refer to: requests as read, responses as written."""
    used: list[tuple[type[BaseModel], Any]] = [(PredictRequest, "validation"), (ErrorBody, "serialization")]
    for operation in operations:
        used += [(operation.request, "validation"), (operation.response, "serialization")]
    _, definitions = models_json_schema(list(dict.fromkeys(used)), ref_template=_REF)
    return dict(definitions["$defs"])


def _native(operation: Operation) -> Json:
    return {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "requestBody": {
            "required": True,
            "content": _content(operation.request, operation.request_examples),
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": _content(operation.response, operation.response_examples),
            },
            **{str(status): _error(status) for status in operation.errors},
        },
    }


def _content(model: type[BaseModel], shown: Examples) -> Json:
    return {
        "application/json": {
            "schema": {"$ref": _REF.format(model=model.__name__)},
            "examples": {name: {"summary": summary, "value": value} for name, (summary, value) in shown.items()},
        }
    }


def _error(status: int) -> Json:
    message = problem_for_status(status).message
    content: Json = {"schema": _ERROR_SCHEMA}
    if status == 422:
        content["example"] = examples.ERROR
    return {"description": message[0].upper() + message[1:] + ".", "content": {"application/json": content}}


def _add_mounted(app: FastAPI, prefix: str, paths: dict[str, Json], schemas: Json) -> None:
    described = get_openapi(title=TITLE, version=API_VERSION, routes=app.routes)
    for path, item in described["paths"].items():
        paths.setdefault(prefix.rstrip("/") + path, {}).update(item)
    for name, schema in described.get("components", {}).get("schemas", {}).items():
        if _without_nulls(schemas.setdefault(name, schema)) != _without_nulls(schema):
            raise ValueError(f"two different schemas are called {name}")


def _without_nulls(schema: Any) -> Any:
    """FastAPI leaves out a default of null, pydantic writes it: no difference to a reader."""
    if isinstance(schema, dict):
        return {name: _without_nulls(value) for name, value in schema.items() if value is not None}
    return [_without_nulls(value) for value in schema] if isinstance(schema, list) else schema


def _probes() -> dict[str, Json]:
    metrics = "Prometheus metrics"
    return {
        "/livez": _probe("livez", "Whether the process is alive"),
        "/readyz": _probe("readyz", "Whether it can take requests", 503),
        "/healthz": _probe("healthz", "The same as /livez"),
        "/metrics": _probe("metrics", metrics),
        "/api/v1/metrics": _probe("api_metrics", metrics),
    }


def _probe(name: str, summary: str, *errors: int) -> Json:
    operation = {
        "operationId": name,
        "summary": summary,
        "tags": ["Operations"],
        "responses": {
            "200": {"description": "Yes.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **{str(status): _error(status) for status in errors},
        },
    }
    return {"get": operation}


def _finish(operation: Json, method: str, path: str) -> None:
    """What holds for every route: who may call it, and the headers of its responses."""
    responses: Json = operation["responses"]
    headers = dict(_HEADERS)
    if path in PUBLIC_PATHS:
        operation["security"] = []
    else:
        for refusal in (401, 403, 429):
            responses.setdefault(str(refusal), _error(refusal))
        needed = f"Needs a key with the scope `{SCOPE_OF_PATH.get(path, 'read')}`."
        operation["description"] = "\n\n".join(filter(None, (operation.get("description"), needed)))
        headers |= {} if path in UNCOUNTED_PATHS else _LIMITS
    for refusal in (414, 431, *((400, 413, 415) if "requestBody" in operation else ())):
        responses.setdefault(str(refusal), _error(refusal))
    if "200" in responses and is_conditional(method.upper(), path):
        responses["304"] = {"description": "You have it already: its ETag is in the `If-None-Match` you sent."}
        responses["200"]["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
    for status, response in responses.items():
        retry = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}} if status in ("429", "503") else {}
        response["headers"] = response.get("headers", {}) | headers | retry
    operation["responses"] = dict(sorted(responses.items()))
