"""Requests whose head came before, answered by the connection itself: the same bytes, under the same conditions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import known_heads
from gateway.auth import Caller
from gateway.connection import Connection
from gateway.express import Express
from gateway.keys import ApiKey
from gateway.known_heads import KnownHeads, end_of_head
from gateway.limits import Allowance, Limit
from tests.gateway.test_express import AAPL, PREDICT, Way, exchange, parts, request, served


class Counting(Express):
    """Counts what reaches the application; the rest was answered by a connection."""

    asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        if scope["path"] == "/slow":
            await asyncio.sleep(0.1)
        await super().__call__(scope, receive, send)


class Talk:
    """One caller, one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, sent: bytes) -> None:
        self._writer.write(sent)

    async def response(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await self._reader.readexactly(int(length or 0))

    async def ask(self, sent: bytes) -> bytes:
        self.send(sent)
        return await self.response()

    def leave(self) -> None:
        self._writer.close()

    async def rest(self) -> bytes:
        """Until the server closes."""
        return await asyncio.wait_for(self._reader.read(), 1)


@asynccontextmanager
async def talking(way: Way, **more: Any) -> AsyncIterator[Talk]:
    async with served(way.app, Connection, **more) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield Talk(reader, writer)
        writer.close()


@pytest.fixture
def way() -> Way:
    way = Way(express=True)
    way.app.__class__ = Counting
    return way


CASES = {
    "plain": request(),
    "not modified": request(if_none_match="*"),
    "another tag": request(if_none_match='"x"'),
    "bearer": request(x_api_key="", authorization="Bearer many").replace(b"x-api-key: \r\n", b""),
    "kept alive": request(connection="keep-alive"),
    "spaces": request(x_request_id=" \tmine"),
    "the id first": request().replace(b"host: x", b"x-request-id: mine\r\nhost: x"),
}


@pytest.mark.parametrize("sent", CASES.values(), ids=CASES.keys())
async def test_it_sends_what_the_usual_way_sends(way: Way, sent: bytes):
    async with served((slow := Way(express=False)).app) as other:
        usual = await exchange(other, sent)
    async with talking(way) as talk:
        responses = [await talk.ask(sent) for _ in range(3)]
    assert way.app.asked == 1, "the first time alone"
    assert slow.taken == 1
    assert [parts(response) for response in responses] == [parts(usual)] * 3
    ids = {parts_of_one(response) for response in responses}
    assert ids == {b"mine"} if b"mine" in sent else len(ids) == 3


def parts_of_one(response: bytes) -> bytes:
    """The id, which is another one each time."""
    return response.partition(b"x-request-id: ")[2].partition(b"\r\n")[0]


async def test_the_headers_come_in_the_same_order(way: Way):
    async with talking(way) as talk:
        first, second = [
            [line.partition(b":")[0] for line in (await talk.ask(request())).partition(b"\r\n\r\n")[0].split(b"\r\n")]
            for _ in range(2)
        ]
    assert first == second


NOT_FOR_IT = {
    "an id that is not sane": (request(x_request_id="not sane"), b"200"),
    "an id and a blank": (request(x_request_id="mine "), b"200"),
    "an id too long": (request(x_request_id="x" * 65), b"200"),
    "two ids": (request(x_request_id="a", X_Request_Id="b"), b"200"),
    "another key": (request(key="mini"), b"401"),
    "another body": (request(b'{"symbol":"MSFT"}'), b"404"),
    "another path": (request(path="/api/v1/nowhere"), b"404"),
    "to be closed": (request(connection="close"), b"200"),
}


@pytest.mark.parametrize(("sent", "status"), NOT_FOR_IT.values(), ids=NOT_FOR_IT.keys())
async def test_what_differs_goes_to_the_application(way: Way, sent: bytes, status: bytes):
    async with talking(way) as talk:
        assert (await talk.ask(request())).startswith(b"HTTP/1.1 200")
        assert (await talk.ask(sent)).startswith(b"HTTP/1.1 " + status)
    assert way.app.asked == 2


async def test_each_new_id_is_echoed(way: Way):
    async with talking(way) as talk:
        for name in (b"one", b"two"):
            assert parts_of_one(await talk.ask(request(x_request_id=name.decode()))) == name
        assert parts_of_one(await talk.ask(request())) not in (b"one", b"two", b"")
        other_names = [request(**{name: "three"}) for name in ("X-Request-ID", "X-REQUEST-ID")]
        assert [parts_of_one(await talk.ask(sent)) for sent in other_names] == [b"three"] * 2
    assert way.app.asked == 1


async def test_of_two_ids_the_first_counts_and_the_second_is_not_taken_for_known(way: Way):
    async with talking(way) as talk:
        assert parts_of_one(await talk.ask(request(x_request_id="one", X_Request_Id="two"))) == b"one"
        response = await talk.ask(request(X_Request_Id="two"))
    assert parts_of_one(response) == b"two"


@pytest.mark.parametrize("cut", [1, 20, len(request()) - len(AAPL), len(request()) - 1])
async def test_one_in_pieces_is_parsed_and_the_next_one_is_not(way: Way, cut: int):
    async with talking(way) as talk:
        await talk.ask(request())
        talk.send(request()[:cut])
        await asyncio.sleep(0.02)
        assert parts(await talk.ask(request()[cut:])) == parts(await talk.ask(request()))
    assert way.app.asked == 2


async def test_two_at_once_are_answered_in_turn(way: Way):
    async with talking(way) as talk:
        await talk.ask(request())
        talk.send(request() + request(if_none_match="*"))
        assert (await talk.response()).startswith(b"HTTP/1.1 200")
        assert (await talk.response()).startswith(b"HTTP/1.1 304")


async def test_nothing_overtakes_what_is_under_way(way: Way):
    async with talking(way) as talk:
        await talk.ask(request())
        talk.send(request(path="/slow"))
        await asyncio.sleep(0.02)
        talk.send(request())
        assert (await talk.response()).startswith(b"HTTP/1.1 404")
        assert (await talk.response()).startswith(b"HTTP/1.1 200")


async def test_the_limit_is_counted_together(way: Way):
    async with talking(way) as talk:
        statuses = [(await talk.ask(request()))[9:12] for _ in range(7)]
    assert statuses == [b"200"] * 5 + [b"429"] * 2
    assert way.app.asked == 3, "a refusal is worded by the usual way"


async def test_an_expired_key_is_refused(way: Way, monkeypatch: pytest.MonkeyPatch):
    async with talking(way) as talk:
        await talk.ask(request())
        monkeypatch.setattr(Caller, "is_valid", lambda self: False)
        assert (await talk.ask(request())).startswith(b"HTTP/1.1 401")


async def test_while_the_process_ends_and_after_clear_it_stands_aside(way: Way):
    async with talking(way) as talk:
        await talk.ask(request())
        way.hot.clear()
        assert (await talk.ask(request())).startswith(b"HTTP/1.1 404")
        way.draining.active = True
        await talk.ask(request())
    assert way.app.asked == 3


async def test_a_silent_connection_is_closed_and_a_busy_one_is_not(way: Way):
    async with talking(way, timeout_keep_alive=0.2) as talk:
        for _ in range(4):
            await talk.ask(request())
            await asyncio.sleep(0.1)
        assert way.app.asked == 1
        assert await talk.rest() == b""


async def test_the_first_request_of_a_connection_may_be_known(way: Way, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.connection.HEAD_SECONDS", 0.1)
    async with served(way.app, Connection) as port:
        await exchange(port, request())
        response = await exchange(port, request())
    assert way.app.asked == 1
    assert response.count(b"HTTP/1.1") == 1, "nobody waits for a head that was not parsed"


def test_so_many_heads_are_kept_and_no_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(known_heads, "MOST_HEADS", 3)
    heads, caller = KnownHeads(), Caller(ApiKey("k", b""), Allowance("k", Limit(1, 1)))
    sent = [request(key=f"secret{number}") for number in range(5)]
    for each in sent:
        heads.learn(each, PREDICT, {b"content-length": b"%d" % len(AAPL)}, caller)
    assert [heads.find(each[: end_of_head(each)]) is not None for each in sent] == [False] * 2 + [True] * 3
    assert b"secret" not in b"".join(heads._known)


@pytest.mark.parametrize("name", [b"x-request-id", b"transfer-encoding", b"expect", b"upgrade"])
def test_some_heads_are_of_one_request_alone(name: bytes):
    heads, caller = KnownHeads(), Caller(ApiKey("k", b""), Allowance("k", Limit(1, 1)))
    heads.learn(request(), PREDICT, {b"content-length": b"%d" % len(AAPL), name: b"x"}, caller)
    heads.learn(request(), PREDICT, {b"content-length": b"%d" % (len(AAPL) + 1)}, caller)
    heads.learn(request(), PREDICT, {}, caller)
    assert len(heads) == 0
