"""Whatever is sent, the answer is a stated status in the one shape, naming the field. Never a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.calling import assert_error, fields_of
from tests.gateway.tiny_service import KEY

JSON = {"Content-Type": "application/json"}
WRONG_FIELDS: list[tuple[str, str, list[str]]] = [
    ("no symbol", "{}", ["symbol"]),
    ("symbol null", '{"symbol": null}', ["symbol"]),
    ("symbol a number", '{"symbol": 5}', ["symbol"]),
    ("symbol empty", '{"symbol": ""}', ["symbol"]),
    ("symbol too long", '{"symbol": "ABCDEFGHIJKLMNOP"}', ["symbol"]),
    ("symbol with a path in it", '{"symbol": "../etc"}', ["symbol"]),
    ("symbol with a line end", '{"symbol": "AAPL\\n"}', ["symbol"]),
    ("symbol that only upper-cases into ASCII", '{"symbol": "\\u00df"}', ["symbol"]),
    ("horizon 0", '{"symbol": "AAPL", "horizon": 0}', ["horizon"]),
    ("horizon 91", '{"symbol": "AAPL", "horizon": 91}', ["horizon"]),
    ("horizon negative", '{"symbol": "AAPL", "horizon": -1}', ["horizon"]),
    ("horizon a word", '{"symbol": "AAPL", "horizon": "five"}', ["horizon"]),
    ("horizon a digit in quotes", '{"symbol": "AAPL", "horizon": "5"}', ["horizon"]),
    ("horizon a fraction", '{"symbol": "AAPL", "horizon": 5.5}', ["horizon"]),
    ("horizon null", '{"symbol": "AAPL", "horizon": null}', ["horizon"]),
    ("horizon true", '{"symbol": "AAPL", "horizon": true}', ["horizon"]),
    ("horizon huge", f'{{"symbol": "AAPL", "horizon": {"9" * 400}}}', ["horizon"]),
    ("timeframe not published", '{"symbol": "AAPL", "timeframe": "1h"}', ["timeframe"]),
    ("timeframe unknown", '{"symbol": "AAPL", "timeframe": "5m"}', ["timeframe"]),
    ("models empty", '{"symbol": "AAPL", "models": []}', ["models"]),
    ("models a string", '{"symbol": "AAPL", "models": "lstm"}', ["models"]),
    ("models twice", '{"symbol": "AAPL", "models": ["lstm", "lstm"]}', ["models[1]"]),
    ("models with a number", '{"symbol": "AAPL", "models": ["lstm", 3]}', ["models[1]"]),
    ("weights empty", '{"symbol": "AAPL", "weights": {}}', ["weights"]),
    ("weights a list", '{"symbol": "AAPL", "weights": [1]}', ["weights"]),
    ("weights all zero", '{"symbol": "AAPL", "weights": {"lstm": 0, "xgboost": 0.0}}', ["weights"]),
    ("weight negative", '{"symbol": "AAPL", "weights": {"lstm": -0.1, "xgboost": 1}}', ["weights.lstm"]),
    ("weight NaN", '{"symbol": "AAPL", "weights": {"lstm": NaN}}', ["weights.lstm"]),
    ("weight infinite", '{"symbol": "AAPL", "weights": {"lstm": Infinity}}', ["weights.lstm"]),
    ("weight overflows", '{"symbol": "AAPL", "weights": {"lstm": 1e999}}', ["weights.lstm"]),
    ("weight true", '{"symbol": "AAPL", "weights": {"lstm": true}}', ["weights.lstm"]),
    ("weight of an endless name", f'{{"symbol": "AAPL", "weights": {{"{"x" * 65}": 1}}}}', [f"weights.{'x' * 64}"]),
    ("weight of no model", '{"symbol": "AAPL", "weights": {"nope": 1}}', ["weights.nope"]),
    (
        "weight of a model not chosen",
        '{"symbol": "AAPL", "models": ["lstm"], "weights": {"xgboost": 1}}',
        ["weights.xgboost"],
    ),
    (
        "two weights wrong",
        '{"symbol": "AAPL", "weights": {"lstm": -1, "xgboost": NaN}}',
        ["weights.lstm", "weights.xgboost"],
    ),
    ("level too low", '{"symbol": "AAPL", "confidence_level": 0.49}', ["confidence_level"]),
    ("level in percent", '{"symbol": "AAPL", "confidence_level": 90}', ["confidence_level"]),
    ("level NaN", '{"symbol": "AAPL", "confidence_level": NaN}', ["confidence_level"]),
    ("unknown field", '{"symbol": "AAPL", "horizn": 5}', ["horizn"]),
    ("two fields", '{"symbol": "AAPL", "horizon": 0, "timeframe": 1}', ["horizon", "timeframe"]),
    ("a list", "[]", ["body"]),
    ("null", "null", ["body"]),
    ("a number", "3", ["body"]),
]


@pytest.mark.parametrize(("body", "fields"), [case[1:] for case in WRONG_FIELDS], ids=[c[0] for c in WRONG_FIELDS])
async def test_a_wrong_field_is_named_alone_and_in_a_batch(
    client: httpx.AsyncClient, body: str, fields: list[str]
) -> None:
    response = await client.post("/api/v1/predict", content=body, headers=JSON)
    assert fields_of(assert_error(response, 422, "invalid_request")) == fields
    batch = f'{{"requests": [{body}, {{"symbol": "AAPL"}}]}}'
    response = await client.post("/api/v1/predict/batch", content=batch, headers=JSON)
    assert response.status_code == 200
    wrong, right = response.json()["results"]
    assert (wrong["status"], right["status"]) == (422, 200)
    assert fields_of(wrong["error"]) == fields


async def test_an_unknown_model_is_404_and_named(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/predict", json={"symbol": "AAPL", "models": ["lstm", "nope"]})
    error = assert_error(response, 404, "unknown_model")
    assert fields_of(error) == ["models[1]"]
    assert "xgboost" in error["details"][0]["problem"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"symbol=AAPL", b'{"symbol": "AAPL"', b"\xff\xfe", b'{"symbol": "\\ud800"}', b"[" * 10_000],
    ids=["empty", "brace", "form", "cut off", "not utf-8", "half a surrogate", "nested deep"],
)
@pytest.mark.parametrize("path", ["/api/v1/predict", "/api/v1/predict/batch"])
async def test_a_body_that_is_not_json_is_400(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    assert_error(await client.post(path, content=body, headers=JSON), 400, "malformed_body")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/vnd.bentoml+pickle",
        "application/jsonx",
    ],
)
async def test_another_media_type_is_415(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await client.post("/api/v1/predict", content=b'{"symbol": "AAPL"}', headers=headers)
    assert_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, identity"])
async def test_a_compressed_body_is_415(client: httpx.AsyncClient, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    for _ in range(3):  # also where the same was answered before
        await client.post("/api/v1/predict", content=b'{"symbol": "AAPL"}', headers=JSON)
        response = await client.post("/api/v1/predict", content=b'{"symbol": "AAPL"}', headers=headers)
        assert_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_any_spelling_is_taken(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(
        "/api/v1/predict", content=b'{"symbol": "AAPL"}', headers={"Content-Type": content_type}
    )
    assert response.status_code == 200


async def test_a_pickle_is_not_let_in_without_a_body_either(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/predict", headers={"Content-Type": "application/vnd.bentoml+pickle"})
    assert_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("declared", [{"Content-Length": str(10**12)}, {}], ids=["with a length", "without"])
async def test_an_endless_body_is_answered_and_cut_off(client: httpx.AsyncClient, declared: dict[str, str]) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    response = await client.post("/api/v1/predict", content=chunks(), headers={**JSON, **declared})
    assert_error(response, 413, "payload_too_large")
    assert response.headers["connection"] == "close"
    assert sent < 18 * 1_048_576


async def test_a_body_of_just_the_limit_is_read(client: httpx.AsyncClient) -> None:
    body = b'{"symbol": "AAPL"}'.ljust(1_048_576)
    assert (await client.post("/api/v1/predict", content=body, headers=JSON)).status_code == 200
    assert_error(await client.post("/api/v1/predict", content=body + b" ", headers=JSON), 413, "payload_too_large")


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
likely = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.sampled_from(["AAPL", "aapl", "ZZZZ"]) | anything,
        "horizon": st.integers(-1, 92) | anything,
        "timeframe": st.sampled_from(["1d", "1h"]) | anything,
        "models": st.lists(st.sampled_from(["lstm", "xgboost", "nope"])) | anything,
        "weights": st.dictionaries(st.sampled_from(["lstm", "xgboost", "nope"]), st.floats()) | anything,
        "confidence_level": st.floats(0.4, 1.1) | anything,
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=likely | anything)
async def test_no_json_makes_a_500(client: httpx.AsyncClient, body: Any) -> None:
    content = json.dumps(body).encode()
    for path, sent in (
        ("/api/v1/predict", content),
        ("/api/v1/predict/batch", b'{"requests": [' + content + b"]}"),
    ):
        response = await client.post(path, content=sent, headers=JSON)
        assert response.status_code in (200, 400, 404, 422), (sent, response.text)
        if response.status_code != 200:
            assert_error(response, response.status_code, response.json()["error"]["code"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
async def test_no_bytes_make_a_500(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/api/v1/predict", content=body, headers=JSON)
    assert response.status_code in (400, 422)
    assert KEY not in response.text
