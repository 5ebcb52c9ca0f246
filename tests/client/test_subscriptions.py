"""``subscribe`` of both clients, against a WebSocket server that breaks off, refuses, and comes back."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from http import HTTPStatus
from typing import Any

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from deepfinance_client import (
    AsyncClient,
    Change,
    Client,
    InvalidRequest,
    NoForecast,
    Retries,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
    Update,
)
from tests.client.faulty import KEY, error, forecast

QUICK = Retries(attempts=3, first=0.01, longest=0.02)


class Service:
    """Answers each connection by the next of ``scripts``: how many messages it waits for, what it sends, after which it
    closes. ``refusals``: of the next connections, None for one that is let in.
    """

    def __init__(self) -> None:
        self.scripts: deque[list[Any]] = deque()
        self.heard: list[list[Any]] = []
        self.refusals: deque[tuple[int, bytes] | None] = deque()
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.socket.getsockname()[1]}/"

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.keys.append(request.headers.get("X-API-Key"))
        self.paths.append(request.path)
        refused = self.refusals.popleft() if self.refusals else None
        return refused and connection.respond(HTTPStatus(refused[0]), refused[1].decode())

    def handle(self, connection: ServerConnection) -> None:
        expected, *script = self.scripts.popleft()
        self.heard.append([json.loads(connection.recv()) for _ in range(expected)])
        for message in script:
            if message == "drop":
                connection.socket.shutdown(socket.SHUT_RDWR)
                return
            connection.send(message if isinstance(message, str) else json.dumps(message))


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with serve(service.handle, "127.0.0.1", 0, process_request=service.check) as server:
        service.server = server
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield service
        server.shutdown()
        thread.join()


Take = Callable[[str, list[Any], int], Any]


async def _synchronous(url: str, requests: list[Any], count: int) -> list[Change]:
    with Client(url, KEY, retries=QUICK) as client, closing(client.subscribe(requests)) as changes:  # type: ignore[type-var]
        return [next(changes) for _ in range(count)]


async def _asynchronous(url: str, requests: list[Any], count: int) -> list[Change]:
    async with AsyncClient(url, KEY, retries=QUICK) as client:
        changes: AsyncIterator[Change] = client.subscribe(requests)
        async with aclosing(changes):  # type: ignore[type-var]
            return [await anext(changes) for _ in range(count)]


@pytest.fixture(params=[_synchronous, _asynchronous], ids=["sync", "async"])
def take(request: pytest.FixtureRequest) -> Take:
    """The first so many changes, by either client."""
    return request.param


def told(symbol: str, horizon: int = 5) -> dict[str, Any]:
    whole = forecast({"symbol": symbol, "horizon": horizon})
    return {"type": "forecast", "symbol": symbol, "horizon": horizon, "latest_price": None, "forecast": whole}


SUBSCRIBED = {"type": "subscribed", "symbol": "AAPL", "horizon": 5}
HEARTBEAT = {"type": "heartbeat", "time": "2026-01-02T03:04:05.678+00:00"}


async def test_a_symbol_or_a_request_is_subscribed_to(take: Take, service: Service) -> None:
    service.scripts.append([2, SUBSCRIBED, HEARTBEAT, told("AAPL"), told("JPM", 20)])
    first, second = await take(service.url, ["AAPL", {"symbol": "JPM", "horizon": 20}], 2)
    assert isinstance(first, Update)
    assert (first.symbol, first.forecast.symbol, first.latest_price) == ("AAPL", "AAPL", None)
    assert (second.symbol, second.horizon) == ("JPM", 20)
    assert service.heard == [
        [{"action": "subscribe", "symbol": "AAPL"}, {"action": "subscribe", "symbol": "JPM", "horizon": 20}]
    ]
    assert (service.keys, service.paths) == ([KEY], ["/api/v1/stream"])


@pytest.mark.parametrize("end", [["drop"], [], [{"type": "closing", "reason": "too slow"}]], ids=str)
async def test_a_connection_that_ends_is_opened_again(take: Take, service: Service, end: list[Any]) -> None:
    service.scripts.extend([[1, told("AAPL"), *end]] * 2 + [[1, told("AAPL")]])
    changes = await take(service.url, ["AAPL"], 3)
    assert [it.symbol for it in changes] == ["AAPL"] * 3
    assert service.heard == [[{"action": "subscribe", "symbol": "AAPL"}]] * 3


async def test_a_symbol_that_has_no_forecast_costs_the_others_nothing(take: Take, service: Service) -> None:
    nope = {"type": "error", "symbol": "NOPE", "error": {**error("unknown_symbol", "no")["error"], "request_id": None}}
    service.scripts.append([2, nope, told("AAPL")])
    first, second = await take(service.url, ["NOPE", "AAPL"], 2)
    assert isinstance(first, NoForecast)
    assert (first.symbol, first.error.code) == ("NOPE", "unknown_symbol")
    assert isinstance(second, Update)


async def test_a_wrong_request_is_raised(take: Take, service: Service) -> None:
    service.scripts.append([1, {"type": "error", **error("invalid_request", "1 field is wrong")}])
    with pytest.raises(InvalidRequest, match="1 field is wrong"):
        await take(service.url, [{"symbol": "AAPL", "horizon": 200}], 1)


async def test_a_key_that_is_refused_is_raised_at_once_and_in_the_words_of_the_service(
    take: Take, service: Service
) -> None:
    service.refusals.append((401, json.dumps(error("unauthorized", "an API key is needed")).encode()))
    with pytest.raises(Unauthorized, match="an API key is needed"):
        await take(service.url, ["AAPL"], 1)
    assert len(service.paths) == 1


async def test_a_key_that_expires_while_connected_is_told_by_the_next_connection(take: Take, service: Service) -> None:
    service.scripts.append([1, told("AAPL"), {"type": "closing", "reason": "the API key has expired"}])
    service.refusals.extend([None, (401, json.dumps(error("unauthorized", "the API key has expired")).encode())])
    with pytest.raises(Unauthorized, match="the API key has expired"):
        await take(service.url, ["AAPL"], 2)


async def test_who_was_connected_once_waits_longer(take: Take, service: Service) -> None:
    service.scripts.extend([[1, told("AAPL")], [1, told("AAPL")]])
    service.refusals.extend([None, *[(503, b"")] * QUICK.attempts])
    assert len(await take(service.url, ["AAPL"], 2)) == 2


async def test_a_503_passes(take: Take, service: Service) -> None:
    service.refusals.extend([(503, b"")] * 2)
    service.scripts.append([1, told("AAPL")])
    assert len(await take(service.url, ["AAPL"], 1)) == 1
    assert len(service.paths) == 3


async def test_attempts_come_to_an_end(take: Take, service: Service) -> None:
    service.scripts.extend([[1]] * 9)
    with pytest.raises(Unreachable, match="closed the connection"):
        await take(service.url, ["AAPL"], 1)
    assert len(service.paths) == QUICK.attempts


async def test_nobody_there_is_unreachable(take: Take) -> None:
    with pytest.raises(Unreachable):
        await take("http://127.0.0.1:9", ["AAPL"], 1)


@pytest.mark.parametrize("text", ["<html>", "[]", "{}", '{"type": "forecast"}', '{"type": "error"}'])
async def test_what_is_no_message_of_the_service_is_not_taken_for_one(take: Take, service: Service, text: str) -> None:
    service.scripts.append([1, text])
    with pytest.raises(UnexpectedAnswer):
        await take(service.url, ["AAPL"], 1)
