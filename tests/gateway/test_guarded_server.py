"""Keys, limits and sizes as a real server has them, with its parser, its websockets, its logs and a real Redis."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import websockets

from tests.e2e.server import ROOT, Server, environment, eventually, free_port, serving
from tests.gateway.calling import assert_error
from tests.storage.live_redis import LiveRedis, live_redis

pytestmark = pytest.mark.e2e

MAIN, DESK, OLD, READER = "main-key-0123456789", "desk-key-0123456789", "old-key-0123456789", "reader-key-0123456789"
WRONG = "mistyped-key-0123456789"
BURST, PROBE = "burst-key-0123456789", "probe-key-0123456789"
PROVIDER, REDIS_PASSWORD = "finnhub-secret-0123456789", "redis-secret-0123456789"
ANOTHER_ADDRESS = "127.0.0.9"
"""For strangers who must not be stopped for what others did."""
KEYS = (
    f"{MAIN};name=main;limit=100000/minute,{DESK};name=desk;limit=1/hour,{BURST};name=burst;limit=50/hour,"
    f"{PROBE};name=probe;limit=199/hour,"
    f"{OLD};expires=2020-01-01,{READER};name=reader;scopes=read"
)


@pytest.fixture(scope="module")
def redis() -> Iterator[LiveRedis]:
    with live_redis() as started:
        _let_in(started)
        yield started


def _let_in(redis: LiveRedis) -> None:
    with redis.client() as client:
        client.acl_setuser("gateway", enabled=True, passwords=[f"+{REDIS_PASSWORD}"], keys="*", commands=["+@all"])


@pytest.fixture(scope="module")
def server(redis: LiveRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    address = redis.url.replace("unix://", f"unix://gateway:{REDIS_PASSWORD}@")
    home, port = tmp_path_factory.mktemp("guarded"), free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "tests.gateway.guarded_service:Guarded", "--port", str(port)]
    settings = environment(
        home,
        ML_SERVICE_API_KEY=KEYS,
        REDIS_URL=address,
        FINNHUB_API_KEY=PROVIDER,
        TRUSTED_PROXIES="127.0.0.2",
        BENTOML_DEBUG="True",  # the most that libraries ever say
    )
    with serving([*command, "--host", "127.0.0.1"], port, home, ROOT, settings) as started:
        yield started


async def ask(server: Server, count: int, key: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(
        base_url=server.url, headers={"X-API-Key": key}, timeout=60, limits=limits, trust_env=False
    ) as client:
        return await asyncio.gather(*(client.get("/api/v1/echo") for _ in range(count)))


async def test_of_many_at_once_exactly_the_limit_passes_and_redis_knows(server: Server, redis: LiveRedis):
    answers = await ask(server, 200, BURST)
    assert Counter(it.status_code for it in answers) == {200: 50, 429: 150}
    assert {it.headers["x-ratelimit-limit"] for it in answers} == {"50"}
    assert all(3500 < int(it.headers["retry-after"]) <= 3600 for it in answers if it.status_code == 429)
    with redis.client() as client:
        [key] = client.keys("*deepfinance*/50/*")
        assert client.llen(key) == 50
    assert BURST.encode() not in key


def _address(server: Server, key: str) -> str:
    return f"{server.url.replace('http', 'ws')}/api/v1/stream?api_key={key}"


@pytest.mark.parametrize(("key", "status"), [(WRONG, 401), (OLD, 401), (READER, 403), (DESK, 429)])
async def test_a_websocket_is_refused_with_our_error(server: Server, key: str, status: int):
    if status == 429:
        await ask(server, 1, DESK)
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(_address(server, key), open_timeout=60, local_addr=(ANOTHER_ADDRESS, 0))
    response = refusal.value.response
    assert response.status_code == status
    assert json.loads(response.body)["error"]["request_id"] == response.headers["x-request-id"]


async def test_messages_on_a_socket_count_against_its_key(server: Server):
    async with websockets.connect(_address(server, MAIN), open_timeout=60) as stream:
        await stream.send("hello")
        assert await stream.recv() == "yes"
    answers = await ask(server, 1, MAIN)
    assert int(answers[0].headers["x-ratelimit-remaining"]) <= 99_997


async def test_a_long_message_closes_its_socket_and_nothing_is_compressed(server: Server):
    async with websockets.connect(_address(server, MAIN), max_size=None, open_timeout=60) as stream:
        assert not stream.protocol.extensions
        await stream.send("x" * 70_000)
        with pytest.raises(websockets.ConnectionClosedError) as end:
            await stream.recv()
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1009


def _raw(server: Server, sent: bytes, more: int = 0) -> tuple[bytes, bool]:
    """What comes back for bytes, and whether the server then closes; ``more`` pieces of 64 kB are sent meanwhile."""
    port = int(server.url.rpartition(":")[2])
    received = b""
    with socket.create_connection(("127.0.0.1", port), 60, (ANOTHER_ADDRESS, 0)) as connection:
        try:
            connection.sendall(sent)
            for _ in range(more):
                connection.sendall(b"x" * 65_536)
        except OSError:
            pass
        try:
            while piece := connection.recv(65_536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionResetError:
            pass
    return received, True


HEAD = f"Host: x\r\nX-API-Key: {MAIN}\r\n".encode()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/v1/echo HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: x\r\n" % i for i in range(1000)), b"431"),
        (b"GET /api/v1/echo HTTP/1.1\r\n" + HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\n", b"431"),
        (b"GET /api/v1/echo?" + b"x" * 10_000 + b" HTTP/1.1\r\n" + HEAD, b"414"),
        (b"GET /api/v1/echo?" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HEAD, b"400"),
        (b"GET /api/v1/echo HTTP/1.1\r\n" + HEAD + b"X-Endless: " + b"x" * 2_000_000, b"431"),
        (b"GARBAGE\r\n", b"400"),
    ],
    ids=["1,000 headers", "a header of 100 kB", "a query of 10 kB", "of 100 kB", "an endless header", "garbage"],
)
def test_an_oversized_head_is_refused_in_our_shape(server: Server, head: bytes, status: bytes):
    received, closed = _raw(server, head + b"Connection: close\r\n\r\n")
    assert received.split(b" ")[1] == status
    assert b'{"error":{"code":"' in received
    assert closed


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 999999999\r\n"])
@pytest.mark.parametrize(("key", "status"), [(MAIN, b"413"), (WRONG, b"401")])
def test_a_body_without_end_is_answered_and_cut_off(server: Server, framing: bytes, key: str, status: bytes):
    head = b"POST /api/v1/body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + framing
    chunk = b"1000000\r\n" if b"chunked" in framing else b""
    received, closed = _raw(server, head + f"X-API-Key: {key}\r\n\r\n".encode() + chunk, more=1000)
    assert closed
    if received:  # a caller who never stops to listen may be cut off before it has read why
        assert received.split(b" ")[1] == status
        assert b"connection: close" in received.lower()


def test_ten_megabytes_are_told_why_they_are_refused(server: Server):
    headers = {"X-API-Key": MAIN, "Content-Type": "application/json"}
    for _ in range(5):
        with httpx.Client(timeout=60, trust_env=False) as client:
            response = client.post(f"{server.url}/api/v1/body", content=b"x" * 10_000_000, headers=headers)
        assert_error(response, 413, "payload_too_large")


def test_a_body_that_drips_is_given_up(server: Server):
    head = b"POST /api/v1/body HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
    received, closed = _raw(server, head)
    assert received.split(b" ")[1] == b"504"
    assert closed


@pytest.mark.parametrize(("proxy", "believed"), [("127.0.0.2", True), ("127.0.0.1", False)])
async def test_only_a_trusted_proxy_says_who_asks(server: Server, proxy: str, believed: bool):
    transport = httpx.AsyncHTTPTransport(local_address=proxy)
    async with httpx.AsyncClient(transport=transport, base_url=server.url, timeout=60) as client:
        statuses = {
            (await client.get("/api/v1/echo", headers={"X-Forwarded-For": f"10.{believed:d}.0.{i}"})).status_code
            for i in range(100)
        }
    assert statuses == ({401} if believed else {401, 429})


async def test_redis_may_die_without_an_error(server: Server, redis: LiveRedis):
    redis.kill()
    try:
        answers = await ask(server, 100, MAIN)
        assert {it.status_code for it in answers} == {200}
    finally:
        redis.start()
        _let_in(redis)
        await _until_counted_in(redis, server)


async def _until_counted_in(redis: LiveRedis, server: Server) -> None:
    """The gateway leaves a Redis alone for a second after it could not be asked."""
    async with asyncio.timeout(60):
        with redis.client() as client:
            while not client.keys("*deepfinance*/199/*"):
                await ask(server, 1, PROBE)
                await asyncio.sleep(0.3)


async def test_nothing_sensitive_is_in_any_line(server: Server):
    """Of what this test and those before it have done."""
    for key in (DESK, READER, OLD):
        await ask(server, 2, key)
    headers = {"X-API-Key": MAIN}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
        await client.get("/api/v1/fails", headers=headers)
        await client.get(f"/api/v1/echo?api_key={MAIN}", headers={"Authorization": f"Bearer {WRONG}"})
        await client.get("/nowhere", params={"token": WRONG})
    async with websockets.connect(_address(server, MAIN), open_timeout=60) as stream:
        await stream.send("fail")
        with pytest.raises(websockets.ConnectionClosed):
            await stream.recv()
    last = {"cannot log in with", "cannot ask", "a library says", '"path":"/nowhere"', '"event":"websocket"'}
    eventually(lambda: all(it in server.log.read_text() for it in last), f"the log has {last}")
    log = server.log.read_text()
    secrets = (MAIN, DESK, BURST, OLD, READER, WRONG, PROVIDER, REDIS_PASSWORD)
    assert {secret: log.count(secret) for secret in secrets} == dict.fromkeys(secrets, 0)
    assert "cannot log in with" in log
    assert "cannot ask" in log
    assert "a library says" in log
    lines = [json.loads(line) for line in log.splitlines() if '"deepfinance.access"' in line]
    assert {"main", "desk", "reader", None} <= {line["key"] for line in lines}
    assert {"request", "websocket"} == {line["event"] for line in lines}
