"""Keys, ids, headers, CORS, bodies and websockets: what holds for every route, seen from outside."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import weakref
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from gateway.auth import PUBLIC_PATHS, Caller, KeyRing
from gateway.door import Door
from gateway.keys import parse_keys
from gateway.limits import Allowance, Limit
from gateway.options import GatewayOptions
from tests.gateway.calling import assert_error, assert_stamped, caller
from tests.gateway.tiny_service import KEY, ORIGIN

SECURED = [
    ("POST", "/api/v1/predict"),
    ("POST", "/api/v1/predict/batch"),
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/symbols"),
    ("GET", "/api/v1/metrics"),
    ("GET", "/metrics"),
    ("GET", "/schema.json"),
    ("GET", "/nowhere"),
    ("GET", "/docs/"),
    ("GET", "/livez/../metrics"),
    ("OPTIONS", "/api/v1/predict"),
]


@pytest.mark.parametrize(("method", "path"), SECURED)
async def test_everything_but_the_public_paths_needs_a_key(stranger: httpx.AsyncClient, method: str, path: str) -> None:
    response = await stranger.request(method, path)
    assert_error(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
async def test_public_paths_need_none(stranger: httpx.AsyncClient, path: str) -> None:
    response = await stranger.get(path)
    assert response.status_code == 200
    assert_stamped(response)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"x-api-key": "another-key"},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY}"},
    ],
)
async def test_a_right_key_opens(stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await stranger.get("/api/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": f"{KEY},another-key"},
        {"X-API-Key": hashlib.sha256(KEY.encode()).hexdigest()},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
    ],
)
async def test_a_wrong_key_does_not(stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await stranger.get("/api/v1/models", headers=headers)
    assert_error(response, 401, "unauthorized")
    assert KEY not in response.text


async def test_over_http_a_key_in_the_address_does_not_count(stranger: httpx.AsyncClient) -> None:
    assert_error(await stranger.get("/api/v1/models", params={"api_key": KEY}), 401, "unauthorized")


def test_keys_are_not_kept() -> None:
    options = GatewayOptions(api_keys=(KEY,))
    assert KEY not in repr(options)
    keys = parse_keys([f" {KEY} ;name=desk"])
    ring = KeyRing(keys, lambda key: Caller(key, Allowance("", Limit(1, 1))))
    found = ring.find(KEY.encode())
    assert found is not None
    assert found.name == "desk"
    assert KEY not in repr([keys, *(asdict(key) for key in keys), vars(ring)])


@pytest.mark.parametrize("keys", [(), ("",), ("good", " ")])
def test_a_door_without_a_lock_has_to_be_asked_for(keys: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="API key"):
        GatewayOptions(api_keys=keys)
    assert GatewayOptions(auth=False).auth is False


async def test_with_auth_off_everyone_may_come_in() -> None:
    async with caller(Door(_says_hello, GatewayOptions(auth=False)), {}) as anyone:
        assert (await anyone.get("/api/v1/models")).text == "hello"


async def _says_hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"x")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize("sent", ["abc", "A.b_c-9", "x" * 64])
async def test_a_sane_request_id_is_echoed(client: httpx.AsyncClient, sent: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": sent})
    assert response.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\tb", "<b>", 'a"', "a\u00e9", "a;b"])
async def test_an_odd_one_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    response = await client.get("/nowhere", headers={b"X-Request-ID": sent.encode("latin-1")})
    assert response.headers["x-request-id"] != sent
    assert_error(response, 404, "not_found")


async def test_requests_have_ids_of_their_own(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.get("/nowhere") for _ in range(20)))
    assert len({assert_error(it, 404, "not_found")["request_id"] for it in responses}) == 20


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/v1/predict", "POST"),
        ("HEAD", "/api/v1/predict", "POST"),
        ("DELETE", "/api/v1/predict", "POST"),
        ("POST", "/api/v1/health", "GET"),
        ("PUT", "/api/v1/symbols/AAPL", "GET"),
    ],
)
async def test_405_says_what_is_allowed(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    if method != "HEAD":
        assert_error(response, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/", "/docs.json", "/livez", "/api/v1/health", "/api/v1/symbols"])
async def test_head_is_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/api/v1/predict/", "/API/v1/predict"])
async def test_an_unknown_path_is_404_without_a_redirect(client: httpx.AsyncClient, path: str) -> None:
    assert_error(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/models", 200), ("GET", "/nowhere", 404), ("GET", "/api/v1/predict", 405)],
)
async def test_our_page_may_read_answers_and_errors(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, headers={"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in response.headers["vary"]


async def test_our_page_may_read_that_its_key_is_wrong(stranger: httpx.AsyncClient) -> None:
    response = await stranger.post("/api/v1/predict", headers={"Origin": ORIGIN})
    assert_error(response, 401, "unauthorized")
    assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ORIGIN + ".evil.example"])
async def test_other_pages_may_not(client: httpx.AsyncClient, origin: str) -> None:
    response = await client.get("/api/v1/models", headers={"Origin": origin})
    assert "access-control-allow-origin" not in response.headers


async def test_preflight_is_answered_without_a_key(stranger: httpx.AsyncClient) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type,x-request-id,authorization",
    }
    response = await stranger.options("/api/v1/predict", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert_stamped(response)
    refused = await stranger.options("/api/v1/predict", headers={**headers, "Origin": "https://evil.example"})
    assert_error(refused, 400, "bad_request")


async def test_without_an_origin_there_are_no_cors_headers() -> None:
    async with caller(Door(_says_hello, GatewayOptions(auth=False)), {"Origin": ORIGIN}) as anyone:
        response = await anyone.get("/")
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_body_that_does_not_come_is_given_up(client: httpx.AsyncClient) -> None:
    async def never() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    response = await client.post("/api/v1/predict", content=never(), headers={"Content-Type": "application/json"})
    assert_error(response, 504, "timeout")


async def test_a_length_that_is_no_number_is_refused() -> None:
    sent = await _raw(Door(_says_hello, GatewayOptions(auth=False)), headers=[(b"content-length", b"-1")])
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["code"] == "malformed_body"


async def test_an_answered_request_leaves_no_circle_for_the_garbage_collector() -> None:
    class Sending:
        async def __call__(self, message: Any) -> None:
            pass

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    send = Sending()
    gone = weakref.ref(send)
    gc.disable()
    try:
        await Door(_says_hello, GatewayOptions(auth=False))(scope, receive, send)
        del send
        assert gone() is None
    finally:
        gc.enable()


async def test_a_caller_who_left_gets_nothing() -> None:
    door = Door(_says_hello, GatewayOptions(auth=False))
    assert await _raw(door, method="POST", message={"type": "http.disconnect"}) == []


async def _raw(
    app: Any,
    method: str = "GET",
    headers: Any = (),
    message: Any = None,
) -> list[dict[str, Any]]:
    scope = {"type": "http", "method": method, "path": "/", "headers": list(headers), "query_string": b""}
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return message or {"type": "http.request", "body": b"", "more_body": False}

    async def send(answer: Any) -> None:
        sent.append(answer)

    await app(scope, receive, send)
    return sent


async def test_one_line_is_logged_per_request_and_no_key(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="deepfinance.access"):
        await client.get("/api/v1/symbols%0Afake", params={"api_key": KEY}, headers={"X-Request-ID": "r1"})
    [record] = [it for it in caplog.records if it.name == "deepfinance.access"]
    line = json.loads(record.getMessage())
    assert (line["request_id"], line["status"], line["path"]) == ("r1", 404, "/api/v1/symbols\nfake")
    assert "\n" not in record.getMessage()
    assert KEY not in caplog.text


def _websocket(headers: list[tuple[bytes, bytes]], query: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "websocket", "path": "/api/v1/stream", "headers": headers, "query_string": query, **more}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"x-api-key", KEY.encode())], b""),
        ([(b"authorization", b"Bearer " + KEY.encode())], b""),
        ([], b"api_key=" + KEY.encode()),
    ],
)
async def test_a_websocket_with_a_key_is_let_in(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert await _knock(_websocket(headers, query)) == ["websocket.accept"]


@pytest.mark.parametrize("query", [b"", b"api_key=", b"api_key=wrong"])
async def test_a_websocket_without_one_is_refused(query: bytes) -> None:
    assert await _knock(_websocket([], query)) == ["websocket.close"]
    extended = _websocket([], query, extensions={"websocket.http.response": {}})
    assert await _knock(extended) == ["websocket.http.response.start", "websocket.http.response.body"]


async def test_a_websocket_elsewhere_is_told_that_there_is_none() -> None:
    elsewhere = _websocket([], b"api_key=" + KEY.encode(), path="/api/v1/predict")
    assert await _knock(elsewhere) == ["websocket.close"]
    extended = elsewhere | {"extensions": {"websocket.http.response": {}}}
    assert await _knock(extended) == ["websocket.http.response.start", "websocket.http.response.body"]


async def _knock(scope: dict[str, Any]) -> list[str]:
    async def accepts(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await Door(accepts, GatewayOptions(api_keys=(KEY,)))(scope, receive, send)
    return sent
