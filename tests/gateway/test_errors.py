"""Every way to fail becomes an answer in the one shape, at once, and tells nothing it should not."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

import errors
from errors import ConfigurationError, DeepFinanceError, ErrorDetail, InvalidRequest, RateLimited, Unavailable
from gateway.door import Door
from gateway.field_problems import details_of
from gateway.guard import Guard
from gateway.options import GatewayOptions
from gateway.outgoing import Outgoing
from gateway.responses import ERROR_PREFIX, Problem, error_body, problem_for_status, problem_of
from tests.gateway.calling import assert_error, caller, fields_of
from tests.gateway.fakes import FakeBackend

ALL = [it for _, it in inspect.getmembers(errors, inspect.isclass) if issubclass(it, DeepFinanceError)]
SECRET = "/srv/secret/path hunter2"


@pytest.mark.parametrize("error_class", ALL)
def test_every_error_of_ours_has_its_answer(error_class: type[DeepFinanceError]) -> None:
    problem = problem_of(error_class("words for the caller", [ErrorDetail("here", "wrong")]))
    if issubclass(error_class, ConfigurationError):
        assert (problem.status, problem.code) == (500, "internal_error")
        assert "words" not in problem.message
        return
    assert (problem.status, problem.code) == (error_class.status, error_class.code)
    assert problem.message == "words for the caller"
    assert problem.details == (ErrorDetail("here", "wrong"),)
    assert ("Retry-After" in problem.headers) == issubclass(error_class, (Unavailable, RateLimited))


def test_retry_after_is_at_least_a_second() -> None:
    assert problem_of(Unavailable("later", retry_after=0)).headers["Retry-After"] == "1"


@pytest.mark.parametrize("exc", [TimeoutError(SECRET), asyncio.CancelledError()])
def test_a_timeout_is_504(exc: BaseException) -> None:
    assert problem_of(exc).status == 504


@pytest.mark.parametrize("exc", [RuntimeError(SECRET), KeyError(SECRET), OSError(2, SECRET)])
def test_what_nobody_foresaw_is_500_and_tells_nothing(exc: Exception) -> None:
    body = error_body(problem_of(exc))
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert b"secret" not in body
    assert type(exc).__name__.encode() not in body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 413, 415, 418, 422, 429, 500, 501, 502, 503, 504])
def test_a_bare_status_keeps_itself_and_its_headers(status: int) -> None:
    problem = problem_of(HTTPException(status, SECRET, headers={"Allow": "GET"}))
    assert problem.status == status
    assert problem.headers["Allow"] == "GET"
    assert SECRET not in problem.message
    assert ("Retry-After" in problem.headers) == (status in (429, 502, 503))


def test_every_body_begins_as_the_door_expects() -> None:
    for problem in (problem_for_status(404), Problem(422, "x", 'a "quote"', (ErrorDetail("a", "b"),))):
        assert error_body(problem).startswith(ERROR_PREFIX)


def test_no_more_than_fifty_problems_and_no_endless_names() -> None:
    class Many(BaseModel, extra="forbid"):
        pass

    with pytest.raises(ValidationError) as caught:
        Many.model_validate({f"{i}{'x' * 1000}": 1 for i in range(200)})
    details = details_of(caught.value)
    assert len(details) == 50
    assert max(len(detail.field) for detail in details) <= 64


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/predict"), ("POST", "/api/v1/predict/batch"), ("GET", "/api/v1/health")],
)
async def test_a_raising_handler_is_500_at_once_logged_and_without_a_leak(
    client: httpx.AsyncClient,
    backend: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    async def fails(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(FakeBackend, "health", fails)
    backend.raises = RuntimeError(SECRET)
    body = {"symbol": "AAPL"} if path.endswith("predict") else {"requests": [{"symbol": "AAPL"}]}
    async with asyncio.timeout(1):
        response = await client.request(method, path, json=body if method == "POST" else None)
    error = assert_error(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    [record] = [it for it in caplog.records if it.levelno == logging.ERROR]
    assert error["request_id"] in record.getMessage()
    assert SECRET in caplog.text


async def test_a_dead_probe_does_not_hang(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Any) -> bytes:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("tests.gateway.conftest.OwnRegistry.generate_latest", fails)
    async with asyncio.timeout(1):
        assert_error(await client.get("/metrics"), 500, "internal_error")


async def test_a_slow_answer_is_given_up_as_504(client: httpx.AsyncClient) -> None:
    assert_error(await client.post("/api/v1/predict", json={"symbol": "SLOW"}), 504, "timeout")


async def test_work_that_was_cancelled_elsewhere_is_504(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.raises = asyncio.CancelledError()
    assert_error(await client.post("/api/v1/predict", json={"symbol": "AAPL"}), 504, "timeout")


async def test_a_wrong_query_names_its_field(client: httpx.AsyncClient) -> None:
    error = assert_error(await client.get("/api/v1/symbols", params={"limit": "many"}), 422, "invalid_request")
    assert fields_of(error) == ["limit"]


async def _plain_404(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"9"), (b"x-kept", b"1")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not ", "more_body": True})
    await send({"type": "http.response.body", "body": b"Found"})


async def test_errors_of_others_are_put_into_our_words() -> None:
    async with caller(Door(_plain_404, GatewayOptions(auth=False)), {}) as anyone:
        response = await anyone.get("/")
        assert_error(response, 404, "not_found")
        assert response.headers["x-kept"] == "1"
        assert response.headers["content-length"] == str(len(response.content))


async def test_an_endless_error_is_cut() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    outgoing = Outgoing(send, "r1", 0.0)
    await outgoing({"type": "http.response.start", "status": 500, "headers": []})
    for _ in range(100):
        await outgoing({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["body"].startswith(ERROR_PREFIX)


async def _breaks_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("gone")


async def _fails_afterwards(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"whole"})
    raise RuntimeError("a background task")


async def test_half_an_answer_is_not_passed_off_as_a_whole_one(caplog: pytest.LogCaptureFixture) -> None:
    async with caller(Door(_breaks_off, GatewayOptions(auth=False)), {}) as anyone:
        with pytest.raises(RuntimeError, match="gone"):
            await anyone.get("/")
    async with caller(Door(_fails_afterwards, GatewayOptions(auth=False)), {}) as anyone:
        assert (await anyone.get("/")).text == "whole"
    assert "a background task" in caplog.text


async def test_a_cancelled_request_stays_cancelled() -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    task = asyncio.create_task(Guard(waits)({"type": "http"}, _nothing, _nothing))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _nothing(*_: Any) -> Any:
    return {}


async def test_a_websocket_that_fails_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError(SECRET)

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Guard(fails)({"type": "websocket"}, _nothing, send)
    assert sent == [{"type": "websocket.close", "code": 1011, "reason": "internal error"}]


def test_details_are_plain_words() -> None:
    problem = problem_of(InvalidRequest("1 field is wrong", [ErrorDetail("horizon", "must be at most 90")]))
    assert json.loads(error_body(problem))["error"]["details"] == [
        {"field": "horizon", "problem": "must be at most 90"}
    ]
