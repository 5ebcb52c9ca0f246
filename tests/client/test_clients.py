"""Both clients against a server with faults: what is asked again, what is not, and what is raised."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import httpx
import pytest

from deepfinance_client import (
    AsyncClient,
    Client,
    DeepFinanceError,
    Forbidden,
    InvalidRequest,
    MemberEvent,
    NoAnswerInTime,
    NotFound,
    RateLimited,
    Refused,
    Retries,
    ServiceFailed,
    Timeout,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnknownModel,
    UnknownSymbol,
    Unreachable,
)
from deepfinance_client.responses import PredictResponse
from tests.client.faulty import KEY, PATIENCE, Fault, FaultyServer, forecast, refused

QUICK = Retries(attempts=4, first=0.01, longest=0.02, patience=2)


class Either:
    """Either client, called the same way: what the asynchronous one gives is waited for."""

    def __init__(self, url: str, is_async: bool, **options: Any) -> None:
        self._options = {"url": url, "key": KEY, "retries": QUICK, "timeout": PATIENCE, **options}
        self._is_async = is_async

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._is_async:
                with Client(**self._options) as client:
                    answer = getattr(client, name)(*args, **kwargs)
                    return list(answer) if inspect.isgenerator(answer) else answer
            return asyncio.run(self._called(name, args, kwargs))

        return call

    async def _called(self, name: str, args: Any, kwargs: Any) -> Any:
        async with AsyncClient(**self._options) as client:
            answer = getattr(client, name)(*args, **kwargs)
            return [event async for event in answer] if inspect.isasyncgen(answer) else await answer


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def client(request: pytest.FixtureRequest, faulty: FaultyServer) -> Either:
    return Either(faulty.url, request.param)


def test_a_forecast_is_read_and_only_what_was_said_is_sent(client: Either, faulty: FaultyServer) -> None:
    answer = client.predict("AAPL", horizon=7)
    assert isinstance(answer, PredictResponse)
    assert (answer.symbol, answer.horizon, answer.interval.upper) == ("AAPL", 7, 110 + 7 / 3)
    assert faulty.bodies == [{"symbol": "AAPL", "horizon": 7}]
    assert faulty.keys == [KEY]


@pytest.mark.parametrize(
    "fault",
    [refused(429, "rate_limited"), refused(503, "unavailable"), Fault(502, body=b"<html>"), Fault(drop=True)],
    ids=["429", "503", "a proxy", "dropped"],
)
def test_what_passes_is_asked_again(client: Either, faulty: FaultyServer, fault: Fault) -> None:
    faulty.faults.extend([fault, fault])
    assert client.predict("AAPL").symbol == "AAPL"
    assert len(faulty.paths) == 3


def test_retry_after_is_not_undercut(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.append(refused(429, "rate_limited", Retry_After="1"))
    client.predict("AAPL")
    assert faulty.times[1] - faulty.times[0] >= 1


def test_who_asks_for_more_patience_than_there_is_is_not_waited_for(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.append(refused(429, "rate_limited", Retry_After="3"))
    with pytest.raises(RateLimited) as caught:
        client.predict("AAPL")
    assert caught.value.retry_after == 3
    assert len(faulty.paths) == 1


def test_attempts_come_to_an_end(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.extend([refused(503, "unavailable")] * 9)
    with pytest.raises(Unavailable):
        client.predict("AAPL")
    assert len(faulty.paths) == QUICK.attempts


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "malformed_body", InvalidRequest),
        (401, "unauthorized", Unauthorized),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (404, "unknown_symbol", UnknownSymbol),
        (404, "unknown_model", UnknownModel),
        (413, "payload_too_large", InvalidRequest),
        (422, "unusable_series", InvalidRequest),
        (500, "internal_error", ServiceFailed),
    ],
)
def test_a_refusal_is_raised_at_once(
    client: Either, faulty: FaultyServer, status: int, code: str, kind: type[Refused]
) -> None:
    faulty.faults.append(refused(status, code))
    with pytest.raises(Refused, match=r"in words \[.*\] \(request r-1\)") as caught:
        client.predict("AAPL")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "r-1")
    assert len(faulty.paths) == 1


def test_a_504_is_asked_again_and_then_raised(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.extend([refused(504, "timeout")] * 4)
    with pytest.raises(Timeout):
        client.predict("AAPL")
    assert len(faulty.paths) == 4


def test_a_slow_answer_is_not_waited_for_for_ever(faulty: FaultyServer) -> None:
    faulty.may_answer = lambda number: False
    with pytest.raises(NoAnswerInTime), Client(faulty.url, KEY, timeout=0.5) as client:
        client.predict("AAPL")
    faulty.may_answer = lambda number: True
    assert faulty.wait_until(lambda: len(faulty.paths) == 1)


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Unreachable), Client("http://127.0.0.1:9", retries=QUICK) as client:
        client.predict("AAPL")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"symbol": "AAPL"}'])
def test_what_is_no_answer_of_the_service_is_not_taken_for_one(
    client: Either, faulty: FaultyServer, body: bytes
) -> None:
    faulty.faults.append(Fault(body=body))
    with pytest.raises(UnexpectedAnswer):
        client.predict("AAPL")


def test_every_error_of_the_connection_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [it for it in vars(httpx).values() if isinstance(it, type) and issubclass(it, httpx.TransportError)]
    for kind in kinds:

        def fail(*_: Any, kind: type[Exception] = kind, **__: Any) -> None:
            raise kind("broken")

        client = Client(retries=Retries(attempts=1), transport=httpx.MockTransport(fail))
        with client, pytest.raises(DeepFinanceError):
            client.predict("AAPL")


def test_connections_are_used_again(faulty: FaultyServer) -> None:
    with Client(faulty.url, KEY) as client:
        for _ in range(5):
            client.predict("AAPL")
    assert len(faulty.connections) == 1


def test_a_service_that_cannot_forecast_still_tells_its_health(client: Either, faulty: FaultyServer) -> None:
    down = (
        b'{"status":"down","checks":{"runners":[],"sources":[]},"models_version":null,"uptime_seconds":1.0,"error":{}}'
    )
    faulty.faults.append(Fault(503, body=down))
    assert client.health().status == "down"


def test_a_503_of_something_else_is_not_its_health(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.extend([Fault(503, body=b"<html>")] * 4)
    with pytest.raises(Unavailable):
        client.health()


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


MEMBER = _event("member", b'{"model":"har","version":"1","status":"ok","price_target":1.5,"error":null}')


def test_a_stream_gives_members_and_then_the_forecast(client: Either, faulty: FaultyServer) -> None:
    whole = json.dumps(forecast({"symbol": "AAPL"})).encode()
    faulty.faults.append(Fault(body=MEMBER + b": a comment\n\n" + MEMBER + _event("forecast", whole)))
    *members, last = client.stream("AAPL", horizon=5)
    assert [it.model for it in members if isinstance(it, MemberEvent)] == ["har", "har"]
    assert isinstance(last, PredictResponse)


@pytest.mark.parametrize(
    ("code", "kind"), [("timeout", Timeout), ("runner_unavailable", Unavailable), ("internal_error", ServiceFailed)]
)
def test_an_error_at_the_end_of_a_stream_is_raised(
    client: Either, faulty: FaultyServer, code: str, kind: type[Refused]
) -> None:
    faulty.faults.append(Fault(body=MEMBER + _event("error", refused(500, code).body or b"")))
    with pytest.raises(Refused) as caught:
        client.stream("AAPL")
    assert type(caught.value) is kind


def test_a_stream_that_ends_early_is_no_answer(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.append(Fault(body=MEMBER))
    with pytest.raises(UnexpectedAnswer, match="ended before the forecast"):
        client.stream("AAPL")


def test_a_refused_stream_is_raised(client: Either, faulty: FaultyServer) -> None:
    faulty.faults.append(refused(404, "unknown_symbol"))
    with pytest.raises(UnknownSymbol):
        client.stream("NOPE")
