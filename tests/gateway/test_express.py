"""The express lane behind a real uvicorn: what it sends is what the usual way sends, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
import prometheus_client
import pytest
import uvicorn
from starlette.routing import Route

from contracts import ForecastRequest
from gateway.access_log import ANSWERS_A_LINE
from gateway.answers import answer_of
from gateway.at_once import at_once
from gateway.cache_metrics import CacheMetrics
from gateway.direct import Direct
from gateway.door import Door
from gateway.draining import Draining
from gateway.express import Express
from gateway.hot import HotAnswers
from gateway.measurements import TrafficMetrics
from gateway.options import GatewayOptions
from gateway.traffic import PathTemplates, Traffic
from tests.gateway.fakes import FakeBackend, forecast_for

PREDICT = "/api/v1/predict"
AAPL = b'{"symbol":"AAPL"}'
OF_ONE_REQUEST = (b"x-request-id", b"x-response-time", b"date", b"x-ratelimit-remaining", b"x-ratelimit-reset")


class Way:
    """A server that keeps an answer, with the express lane or without; ``taken`` counts what the usual way got. What is
    not kept is answered by ``backend``, and is not found without one."""

    def __init__(
        self,
        express: bool,
        key: str = "many",
        backend: FakeBackend | None = None,
        seconds: float = 1.0,
        limit: str = "5/minute",
    ) -> None:
        registry = prometheus_client.CollectorRegistry()
        self.registry = registry
        client = Client(registry)
        self.metrics = TrafficMetrics(client)
        self.hot = HotAnswers(on_get=CacheMetrics(client).counter("hot"))
        self.hot.keep(PREDICT, AAPL, answer_of(forecast_for(ForecastRequest("AAPL")), 60.0))
        self.draining = Draining()
        made: Any = backend
        direct = Direct(_not_found, lambda: made, seconds)
        options = GatewayOptions(api_keys=(key,), rate_limit=limit, hot=self.hot)
        door = Door(direct if backend else _not_found, options)
        usual_way = Traffic(door, PathTemplates([Route(PREDICT, _not_found)]), self.metrics, self.draining)
        self.taken = 0

        async def usual(scope: Any, receive: Any, send: Any) -> None:
            self.taken += 1
            await usual_way(scope, receive, send)

        forecast = direct.forecast if backend else None
        self.app = Express(usual, door, self.metrics, self.draining, forecast) if express else usual


class Client:
    """BentoML's metrics client, with a registry of its own."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._registry = registry

    def Counter(self, name: str, about: str, **more: Any) -> Any:  # noqa: N802
        return prometheus_client.Counter(name, about, registry=self._registry, **more)

    def Gauge(self, name: str, about: str, multiprocess_mode: str = "all", **more: Any) -> Any:  # noqa: N802
        return prometheus_client.Gauge(name, about, registry=self._registry, **more)

    def Histogram(self, name: str, about: str, **more: Any) -> Any:  # noqa: N802
        return prometheus_client.Histogram(name, about, registry=self._registry, **more)


async def _not_found(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def served(app: Any, http: Any = "httptools", **more: Any) -> AsyncIterator[int]:
    """The port of a uvicorn as BentoML starts it."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", server_header=False, http=http, **more)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:  # so that asyncio sets TCP_NODELAY
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:  # noqa: ASYNC110  it has no event to wait for
            await asyncio.sleep(0.005)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def request(body: bytes = AAPL, key: str = "many", path: str = PREDICT, method: str = "POST", **more: str) -> bytes:
    headers = {"host": "x", "x-api-key": key, "content-type": "application/json", "content-length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def exchange(port: int, *pieces: bytes, pause: float = 0.02) -> bytes:
    """What comes back until the server is silent for a while, after the pieces with a pause between them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, piece in enumerate(pieces):
        if number:
            await asyncio.sleep(pause)
        writer.write(piece)
    received = b""
    with contextlib.suppress(TimeoutError):
        while piece := await asyncio.wait_for(reader.read(65536), 0.25):
            received += piece
    writer.close()
    return received


def parts(response: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, headers that are the same for two requests, body."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert {line.partition(b":")[0] for line in lines} >= set(OF_ONE_REQUEST)
    return status, sorted(line for line in lines if not line.startswith((*OF_ONE_REQUEST, b"cache-control"))), body


CASES = {
    "plain": request(),
    "not modified": request(if_none_match="*"),
    "another tag": request(if_none_match='"x"'),
    "an id": request(x_request_id="mine"),
    "bearer": request(x_api_key="", authorization="Bearer many").replace(b"x-api-key: \r\n", b""),
    "two at once": request() + request(if_none_match="*"),
}


@pytest.mark.parametrize("sent", CASES.values(), ids=CASES.keys())
async def test_it_sends_what_the_usual_way_sends(sent: bytes):
    async with served((fast := Way(express=True)).app) as port, served((slow := Way(express=False)).app) as other:
        hot, usual = await exchange(port, sent), await exchange(other, sent)
    assert fast.taken == 0
    assert slow.taken >= 1
    for one, two in zip(hot.split(b"HTTP/1.1 ")[1:], usual.split(b"HTTP/1.1 ")[1:], strict=True):
        assert parts(one) == parts(two)


async def test_it_still_gets_past_the_loop_of_uvicorn():
    """Through ``send`` uvicorn puts its own headers first; a new version that closes the short way shows here."""
    async with served(Way(express=True).app) as port:
        kept_open, closed = await exchange(port, request()), await exchange(port, request(connection="close"))
    assert kept_open.split(b"\r\n")[1].startswith(b"content-type")
    assert closed.split(b"\r\n")[1].startswith(b"date")


NOT_FOR_IT = {
    "no key": (request().replace(b"x-api-key: many\r\n", b""), b"401"),
    "a wrong key": (request(key="wrong"), b"401"),
    "another type": (request(content_type="text/plain"), b"415"),
    "a compressed body": (request(**{"content-encoding": "gzip"}), b"415"),
    "an origin": (request(origin="https://app.example"), b"200"),
    "a query": (request(path=PREDICT + "?a=1"), b"200"),
    "many headers": (request(**{f"x{i}": "1" for i in range(40)}), b"200"),
    "large headers": (request(**{f"x{i}": "1" * 4000 for i in range(9)}), b"431"),
    "what is not kept": (request(b'{"symbol":"MSFT"}'), b"404"),
    "another path": (request(path="/api/v1/nowhere"), b"404"),
    "another method": (request(method="PUT"), b"404"),
}


@pytest.mark.parametrize(("sent", "status"), NOT_FOR_IT.values(), ids=NOT_FOR_IT.keys())
async def test_the_rest_goes_the_usual_way(sent: bytes, status: bytes):
    async with served((way := Way(express=True)).app) as port:
        response = await exchange(port, sent)
    assert way.taken == 1
    assert response.startswith(b"HTTP/1.1 " + status)


async def test_a_body_in_pieces_goes_the_usual_way_whole():
    async with served((way := Way(express=True)).app) as port:
        whole = request()
        for cut in (len(whole) - len(AAPL), len(whole) - 3):
            assert (await exchange(port, whole[:cut], whole[cut:])).startswith(b"HTTP/1.1 200")
    assert way.taken == 2


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_forgotten():
    async with served((way := Way(express=True)).app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request()[:-3])
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        assert (await exchange(port, request())).startswith(b"HTTP/1.1 200")
    assert way.taken == 1


async def test_the_limit_is_counted_together_with_the_usual_way():
    async with served((way := Way(express=True)).app) as port:
        plain, other = request(), request(origin="https://app.example")
        statuses = [(await exchange(port, sent))[9:12] for sent in (plain, other, plain, other, plain, plain, other)]
    assert statuses == [b"200"] * 5 + [b"429"] * 2
    assert way.taken == 4, "a refusal is worded by the usual way"


async def test_a_key_that_may_not_predict_is_refused_the_usual_way():
    async with served((way := Way(express=True, key="many;scopes=read")).app) as port:
        assert (await exchange(port, request())).startswith(b"HTTP/1.1 403")
    assert way.taken == 1


async def test_one_in_so_many_is_logged_and_says_so(caplog: pytest.LogCaptureFixture):
    way = Way(express=True)
    with caplog.at_level(logging.INFO, "deepfinance.access"):
        async with served(way.app) as port:
            way.app._log._kept_answers = ANSWERS_A_LINE - 2
            for _ in range(3):
                await exchange(port, request(x_request_id="mine"))
    (line,) = (orjson.loads(record.message) for record in caplog.records if record.name == "deepfinance.access")
    assert (line["one_of"], line["status"], line["request_id"]) == (ANSWERS_A_LINE, 200, "mine")


async def test_while_the_process_ends_it_stands_aside():
    async with served((way := Way(express=True)).app) as port:
        way.draining.active = True
        await exchange(port, request())
    assert way.taken == 1


async def test_after_clear_it_has_nothing():
    async with served((way := Way(express=True)).app) as port:
        way.hot.clear()
        assert (await exchange(port, request())).startswith(b"HTTP/1.1 404")


async def test_the_connection_is_kept_and_closed_as_asked():
    async with served((way := Way(express=True)).app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.write(request(connection="close"))
        assert b"connection: close" in await reader.read()  # until the server closes
        writer.close()
    assert way.taken == 0


async def test_sums_reach_the_metrics_soon():
    async with served((way := Way(express=True)).app) as port:
        for sent in (request(), request(), request(if_none_match="*")):
            await exchange(port, sent)
        await asyncio.sleep(0.3)
    text = prometheus_client.generate_latest(way.registry).decode()
    assert f'deepfinance_http_requests_total{{endpoint="{PREDICT}",method="POST",status="200"}} 2.0' in text
    assert f'deepfinance_http_requests_total{{endpoint="{PREDICT}",method="POST",status="304"}} 1.0' in text
    assert f'deepfinance_http_request_seconds_count{{endpoint="{PREDICT}"}} 3.0' in text
    assert 'deepfinance_cache_requests_total{layer="hot",result="hit"} 3.0' in text


async def test_a_receive_that_was_looked_at_goes_on_as_if_not():
    arrived = asyncio.get_running_loop().create_future()
    messages = [{"type": "http.request", "body": b"1"}, {"type": "http.disconnect"}]

    async def late() -> Any:
        if len(messages) == 2:
            await arrived
        return messages.pop(0)

    first, receive = at_once(late)
    assert first is None
    asyncio.get_running_loop().call_later(0.01, arrived.set_result, None)
    assert await receive() == {"type": "http.request", "body": b"1"}
    assert await receive() == {"type": "http.disconnect"}


async def test_waiting_for_a_body_can_be_given_up():
    async def never() -> Any:
        await asyncio.sleep(3600)

    _, receive = at_once(never)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await receive()
