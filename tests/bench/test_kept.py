"""The bare socket writes what a kept answer is, and first forecasts are asked for once each."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import first
from bench.bodies import PREDICT
from bench.contenders import bare_socket
from bench.kept import whole_answer
from bench.servers import Running


class Service(BaseHTTPRequestHandler):
    """Answers whatever is asked with a header of its own, and remembers the symbols."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        symbols = [each["symbol"] for each in body.get("requests", [body])]
        self.seen.extend(symbols)
        answer = json.dumps({"failed": symbols.count("BAD")}).encode()
        self.send_response(200)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    Service.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_bare_socket_writes_the_same_bytes_to_whatever_comes(port: int, tmp_path: Path):
    answer = whole_answer(port, b'{"symbol": "A"}')
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'\r\nETag: "v1"\r\n' in answer
    (tmp_path / "answer").write_bytes(answer)
    one = Running(bare_socket(tmp_path / "answer"), tmp_path / "bare", {})
    try:
        asyncio.run(twice(one.port, answer))
        connection = HTTPConnection("127.0.0.1", one.port)
        connection.request("POST", PREDICT, b"anything")
        assert connection.getresponse().read() == b'{"failed": 0}'
        connection.close()
    finally:
        one.stop()


async def twice(port: int, answer: bytes) -> None:
    """On one connection, as a load generator asks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"x")
        assert await reader.readexactly(len(answer)) == answer
    writer.close()
    await writer.wait_closed()


def test_new_series_are_asked_for_once_each_and_none_may_fail(port: int):
    used = iter(((1.0, 0.0), (3.0, 0.0)) * 2)
    one: Any = SimpleNamespace(url=f"http://127.0.0.1:{port}", processor_time=lambda: next(used))
    names = [f"N{number}" for number in range(9)]
    found = first.one_by_one(one, names)
    assert (found.series, found.processor) == (9, 2.0)
    assert sorted(Service.seen) == names
    Service.seen.clear()
    assert first.in_one_batch(one, names).series == 9
    assert Service.seen == names
    used = iter([(0.0, 0.0)])
    with pytest.raises(RuntimeError, match="1 of a batch of 2"):
        first.in_one_batch(one, ["A", "BAD"])
