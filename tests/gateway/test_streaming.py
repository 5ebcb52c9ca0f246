"""Server-sent events and sockets over a fake backend: order, failures, fan-out, slow readers, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from contracts import Forecast, ForecastRequest, MemberEvent, Timeframe
from errors import RunnerUnavailable, SourceUnavailable, UnknownSymbol
from gateway.backend import SeriesState
from gateway.broadcast import Broadcaster, Listener
from gateway.events import add_stream
from gateway.guard import Guard
from gateway.routes import answer_errors_in_our_shape
from gateway.sockets import SocketLimits, add_sockets
from tests.gateway.fakes import MODELS, FakeBackend


@dataclass
class LiveBackend(FakeBackend):
    """``state`` is what the market looks like; ``fails`` is raised instead of a forecast."""

    state: int = 1
    fails: Exception | None = None
    price: float | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def series_state(self, symbol: str, timeframe: Timeframe) -> SeriesState:
        if symbol == "NOPE":
            raise UnknownSymbol("no data source has it")
        return SeriesState(f"sha256:{self.state}", "1", self.price)

    async def predict(self, requests):
        if self.fails:
            return [self.fails]
        return await super().predict(requests)

    async def predict_watched(self, request: ForecastRequest, told):
        if request.symbol == "NOPE":
            raise UnknownSymbol("no data source has it")
        for name in MODELS:
            told(MemberEvent(name, "1", "ok", 100.25))
            await asyncio.sleep(0)
        await self.gate.wait()
        if self.fails:
            raise self.fails
        return (await self.predict([request]))[0]


@pytest.fixture
def live() -> LiveBackend:
    return LiveBackend()


@pytest.fixture
async def app(live: LiveBackend) -> AsyncIterator[Any]:
    api, broadcaster = FastAPI(), Broadcaster(live, poll_s=0.01)
    answer_errors_in_our_shape(api)
    add_stream(api, lambda: live)
    add_sockets(api, lambda: live, lambda: broadcaster, LIMITS)
    api.state.broadcaster = broadcaster
    yield api
    await broadcaster.close()


LIMITS = SocketLimits(heartbeat_s=0.2, patience_s=0.2, subscriptions=3, message_chars=500, mistakes=2, unread=5)


class Socket:
    """The other side of a websocket; ``reads`` cleared, the server can send nothing more."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self.outbox.put_nowait(message)

    def say(self, **message: Any) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def hear(self) -> dict[str, Any]:
        """The next message but heartbeats."""
        while True:
            raw = await asyncio.wait_for(self.outbox.get(), 30)
            if raw["type"] != "websocket.send":
                return raw
            message: dict[str, Any] = orjson.loads(raw["text"])
            if message["type"] != "heartbeat":
                return message


@asynccontextmanager
async def connected(app: Any, **scope: Any) -> AsyncIterator[Socket]:
    socket = Socket({"type": "websocket", "path": "/stream", "query_string": b"", "headers": [], **scope})
    socket.inbox.put_nowait({"type": "websocket.connect"})
    task = asyncio.create_task(app(socket.scope, socket.inbox.get, socket.send))
    assert (await socket.hear())["type"] == "websocket.accept"
    try:
        yield socket
    finally:
        socket.reads.set()
        socket.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(task, 30)


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    parts = [part.split("\n") for part in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))) for name, data in parts]


async def streamed(app: Any, body: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Guard(app)), base_url="http://test") as client:
        return await client.post("/predict/stream", json=body)


async def test_members_come_as_they_answer_and_the_forecast_last(app: Any, live: LiveBackend):
    live.gate.set()
    response = await streamed(app, {"symbol": "AAPL", "horizon": 3})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    *members, (last, forecast) = events_of(response.text)
    assert [(name, body["model"]) for name, body in members] == [("member", name) for name in MODELS]
    assert (last, forecast["symbol"], forecast["horizon"]) == ("forecast", "AAPL", 3)


async def test_a_member_is_sent_before_the_forecast_is_made(app: Any, live: LiveBackend):
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    body = [{"type": "http.request", "body": b'{"symbol": "AAPL"}'}]

    async def receive() -> Any:
        return body.pop() if body else await asyncio.Event().wait()

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict/stream", "headers": headers, "query_string": b""}
    task = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(5):
        while b"".join(sent).count(b"event: member") < len(MODELS):  # noqa: ASYNC110 - another's list is watched
            await asyncio.sleep(0.001)
    assert b"event: forecast" not in b"".join(sent)
    live.gate.set()
    await asyncio.wait_for(task, 30)
    assert b"event: forecast" in b"".join(sent)


async def test_what_is_wrong_from_the_start_has_its_usual_status(app: Any):
    assert (await streamed(app, {"symbol": "NOPE"})).status_code == 404
    assert (await streamed(app, {"symbol": "AAPL", "horizon": 0})).status_code == 422
    assert (await streamed(app, {"symbol": "AAPL", "models": ["nope"]})).status_code == 404


async def test_a_failure_after_the_first_member_is_an_event(app: Any, live: LiveBackend):
    live.fails = RunnerUnavailable("no model could answer")
    live.gate.set()
    *_, (name, body) = events_of((await streamed(app, {"symbol": "AAPL"})).text)
    assert (name, body["error"]["code"]) == ("error", "runner_unavailable")


async def test_a_subscriber_gets_a_forecast_at_once_and_on_every_change(app: Any, live: LiveBackend):
    async with connected(app) as socket:
        socket.say(action="subscribe", symbol="aapl")
        assert await socket.hear() == {"type": "subscribed", "symbol": "AAPL", "horizon": 5}
        first = await socket.hear()
        assert (first["type"], first["symbol"], first["forecast"]["symbol"]) == ("forecast", "AAPL", "AAPL")
        live.alter = _priced(101.0)
        live.state = 2
        assert (await socket.hear())["forecast"]["current_price"] == 101.0
        socket.say(action="unsubscribe", symbol="AAPL")
        assert (await socket.hear())["type"] == "unsubscribed"
        live.state = 3
        await asyncio.sleep(0.05)
        assert socket.outbox.empty()
    assert len(app.state.broadcaster) == 0


def _priced(price: float) -> Callable[[Forecast], Forecast]:
    return lambda forecast: replace(forecast, current_price=price)


async def test_another_price_is_told_while_the_bar_forms(app: Any, live: LiveBackend):
    async with connected(app) as socket:
        socket.say(action="subscribe", symbol="AAPL")
        await socket.hear()
        assert (await socket.hear())["latest_price"] is None
        live.price = 101.5
        assert (await socket.hear())["latest_price"] == 101.5


async def test_many_listeners_share_one_computation(app: Any, live: LiveBackend):
    sockets = [connected(app) for _ in range(20)]
    opened = [await each.__aenter__() for each in sockets]
    for socket in opened:
        socket.say(action="subscribe", symbol="AAPL")
    for socket in opened:
        assert [(await socket.hear())["type"], (await socket.hear())["type"]] == ["subscribed", "forecast"]
    assert len(live.asked) == 1
    for each in sockets:
        await each.__aexit__(None, None, None)


async def test_an_unknown_symbol_is_told_and_watched_no_longer(app: Any):
    async with connected(app) as socket:
        socket.say(action="subscribe", symbol="NOPE")
        await socket.hear()
        message = await socket.hear()
        assert (message["type"], message["symbol"], message["error"]["code"]) == ("error", "NOPE", "unknown_symbol")
        await asyncio.sleep(0.05)
        assert socket.outbox.empty()


async def test_a_failure_is_told_once_and_the_forecast_follows_when_it_has_passed(app: Any, live: LiveBackend):
    live.fails = SourceUnavailable("no data source can answer")
    async with connected(app) as socket:
        socket.say(action="subscribe", symbol="AAPL")
        await socket.hear()
        assert (await socket.hear())["error"]["code"] == "source_unavailable"
        await asyncio.sleep(0.05)
        assert socket.outbox.empty()
        live.fails = None
        assert (await socket.hear())["type"] == "forecast"


@pytest.mark.parametrize(
    ("message", "field"),
    [({}, "action"), ({"action": "shout"}, "action"), ({"action": "subscribe"}, "symbol"),
     ({"action": "subscribe", "symbol": "AAPL", "horizon": 91}, "horizon")],
)  # fmt: skip
async def test_a_wrong_message_is_answered_with_the_field(message: dict[str, Any], field: str, app: Any):
    async with connected(app) as socket:
        socket.say(**message)
        answer = await socket.hear()
        assert [it["field"] for it in answer["error"]["details"]] == [field]


async def test_who_keeps_sending_nonsense_is_cut_off_with_the_reason(app: Any):
    async with connected(app) as socket:
        for _ in range(LIMITS.mistakes + 1):
            socket.inbox.put_nowait({"type": "websocket.receive", "text": "not json"})
        said = [await socket.hear() for _ in range(2)]
        while said[-1]["type"] != "websocket.close":
            said.append(await socket.hear())
        assert said[-2] == {"type": "closing", "reason": "too many wrong messages"}
        assert (said[-1]["code"], said[-1]["reason"]) == (1008, "too many wrong messages")


@pytest.mark.parametrize("message", [{"bytes": b"\xff"}, {"bytes": b"{}", "text": None}])
async def test_a_message_that_is_no_text_is_told_so(message: dict[str, Any], app: Any):
    async with connected(app) as socket:
        socket.inbox.put_nowait({"type": "websocket.receive", **message})
        assert await socket.hear() == {"type": "closing", "reason": "a message must be text"}
        closed = await socket.hear()
        assert (closed["type"], closed["code"]) == ("websocket.close", 1003)


async def test_subscriptions_are_bounded(app: Any):
    async with connected(app) as socket:
        for horizon in range(1, 5):
            socket.say(action="subscribe", symbol="AAPL", horizon=horizon)
        said = [await socket.hear() for _ in range(7)]
        (refusal,) = [it for it in said if it["type"] == "error"]
        assert "3 subscriptions" in refusal["error"]["message"]


async def test_a_reader_that_stops_is_cut_off_and_holds_nobody_else_up(app: Any, live: LiveBackend):
    async with connected(app) as quick, connected(app) as stuck:
        for socket in (quick, stuck):
            socket.say(action="subscribe", symbol="AAPL")
            assert [(await socket.hear())["type"], (await socket.hear())["type"]] == ["subscribed", "forecast"]
        stuck.reads.clear()
        for state in range(2, 6):
            live.state = state
            live.alter = _priced(float(state))
            assert (await quick.hear())["forecast"]["current_price"] == state
        (watch,) = app.state.broadcaster._watches.values()
        async with asyncio.timeout(30):
            while len(watch.listeners) != 1:  # noqa: ASYNC110 - another's list is watched
                await asyncio.sleep(0.01)
        stuck.reads.set()
        said = [await stuck.hear()]
        while said[-1]["type"] != "websocket.close":
            said.append(await stuck.hear())
        assert said[-1]["code"] == 1013
        assert "too slow" in said[-1]["reason"]


def test_a_listener_keeps_only_the_newest_of_each_topic():
    listener = Listener()
    for number in range(1000):
        listener.offer(number % 3, str(number))
    assert len(listener) == 3


class Caller:
    def __init__(self) -> None:
        self.valid, self.left = True, 1

    def is_valid(self) -> bool:
        return self.valid

    def hit(self) -> bool:
        self.left -= 1
        return self.left >= 0


async def test_a_key_that_expires_closes_its_sockets(app: Any):
    caller = Caller()
    async with connected(app, **{"deepfinance.caller": caller}) as socket:
        caller.valid = False
        while (message := await socket.hear())["type"] != "websocket.close":
            pass
        assert (message["code"], message["reason"]) == (1008, "the API key has expired")


async def test_messages_count_against_the_limit_of_the_key(app: Any):
    async with connected(app, **{"deepfinance.caller": Caller()}) as socket:
        socket.say(action="subscribe", symbol="AAPL")
        socket.say(action="subscribe", symbol="MSFT")
        said = [await socket.hear() for _ in range(3)]
        (refusal,) = [it for it in said if it["type"] == "error"]
        assert refusal["error"]["code"] == "rate_limited"


async def test_an_idle_socket_hears_a_heartbeat(app: Any):
    async with connected(app) as socket:
        raw = await asyncio.wait_for(socket.outbox.get(), 30)
        assert orjson.loads(raw["text"])["type"] == "heartbeat"
