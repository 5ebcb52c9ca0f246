"""The connection that uvicorn makes of ours: what it relies on, and how long it waits."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from gateway import connection
from gateway.connection import Connection, use_bounded_connections


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        body = await _body(receive) if scope["path"] == "/echo" else b""
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    return body


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server in this process, which waits for a quarter of a second."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.25)
    use_bounded_connections()
    config = uvicorn.Config(_app, log_config=None, lifespan="off")
    config.load()
    assert config.http_protocol_class is Connection
    server = uvicorn.Server(config)
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(config=config, server_state=server.server_state, app_state={}), "127.0.0.1", 0
    )
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def _talk(port: int, *pieces: bytes, pause: float = 0.05) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(_read(reader))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(1.5):
            return await reading
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            received += piece
    return received


async def test_a_head_that_drips_is_given_up(port: int):
    answer = await _talk(port, b"GET / HTTP/1.1\r\n", b"X-Slow: ", b"x", b"x", b"x", b"x", b"x")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"code":"timeout"' in answer


async def test_a_connection_that_says_nothing_is_closed(port: int):
    assert await _talk(port) == b""


async def test_the_second_request_is_waited_for_as_well(port: int):
    answer = await _talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT", b"TP/1.1\r\nHo")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


async def test_a_slow_body_and_an_open_connection_are_left_to_others(port: int):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    pieces = (head, b"a", b"b", b"c", *[b""] * 6, head.replace(b"Host: x", b"Host: x\r\nConnection: close") + b"abc")
    answer = await _talk(port, *pieces)
    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_an_endless_header_is_cut_off(port: int):
    answer = await _talk(port, b"GET / HTTP/1.1\r\nX: ", b"x" * 400_000, b"x" * 400_000, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer


async def test_what_is_no_http_is_told_so_in_our_shape(port: int):
    answer = await _talk(port, b"\x16\x03\x01hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'{"error":{"code":"bad_request"' in answer


async def test_every_refusal_says_how_long_it_took(port: int):
    for pieces, least in ((b"\x16\x03\x01hello\r\n\r\n",), 0.0), ((b"GET / HTTP/1.1\r\n",), 0.2):
        found = re.search(rb"\r\nx-response-time: ([0-9.]+)\r\n", await _talk(port, *pieces))
        assert found
        assert least <= float(found[1]) < 1.5


@pytest.mark.parametrize("offer", [b"Upgrade: h2c", b"upgrade:\th2c "])
async def test_an_offer_of_http_2_costs_no_body(port: int, offer: bytes):
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n" + offer
    request = head + b"\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: 8\r\n\r\n"
    last = request.replace(b": Upgrade,", b": close, Upgrade,")
    answer = await _talk(port, request + b"the body", last, b"the body")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"\r\n\r\nthe body") == 2


async def _never_silent(scope: Any, receive: Any, send: Any) -> None:
    """Sends until the other side stops reading, and then closes."""
    await receive()
    await send({"type": "websocket.accept"})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                await send({"type": "websocket.send", "text": "x" * 100_000})
    await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})


@asynccontextmanager
async def _unread_socket(monkeypatch: pytest.MonkeyPatch, seconds: float) -> AsyncIterator[ClientConnection]:
    """The client's end, of which nothing is read yet; the server's has been closed."""
    monkeypatch.setattr(connection, "LAST_WORD_SECONDS", seconds)
    use_bounded_connections()
    config = uvicorn.Config(_never_silent, log_config=None, lifespan="off", ws_ping_interval=None)
    config.load()
    server = uvicorn.Server(config)
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(config=config, server_state=server.server_state, app_state={}), "127.0.0.1", 0
    )
    port = listening.sockets[0].getsockname()[1]
    async with connect(f"ws://127.0.0.1:{port}", max_queue=1, ping_interval=None, close_timeout=0.1) as client:
        await asyncio.sleep(0.7)
        yield client
    listening.close()


async def _read_to_the_end(client: ClientConnection) -> None:
    async with asyncio.timeout(2):
        with contextlib.suppress(ConnectionClosedError):
            async for _ in client:
                pass


async def test_a_reader_who_stopped_finds_the_reason_when_he_reads_again(monkeypatch: pytest.MonkeyPatch):
    async with _unread_socket(monkeypatch, 5.0) as client:
        await _read_to_the_end(client)
        assert (client.close_code, client.close_reason) == (1013, "too slow")
        assert client.protocol.extensions == []


async def test_a_reader_who_does_not_is_let_go(monkeypatch: pytest.MonkeyPatch):
    async with _unread_socket(monkeypatch, 0.2) as client:
        await asyncio.sleep(0.4)
        await _read_to_the_end(client)
        assert client.close_code == 1006
