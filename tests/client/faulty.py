"""A small HTTP server that answers as the service does, after the faults it is told to have."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway import examples

KEY = "a-key"


@dataclass(frozen=True)
class Fault:
    """One answer that is not the usual one. ``drop``: the connection is closed without any."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    drop: bool = False


def refused(status: int, code: str, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status, named, json.dumps(error(code, "in words")).encode())


def error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": [], "request_id": "r-1"}}


def forecast(request: dict[str, Any]) -> dict[str, Any]:
    """The same for the same request, and no two alike."""
    horizon = request.get("horizon", 5)
    interval = {"confidence_level": request.get("confidence_level", 0.9), "lower": 90.0, "upper": 110.0 + horizon / 3}
    name = f"{request['symbol'].upper()}-{horizon}"
    own = {"symbol": request["symbol"].upper(), "horizon": horizon, "interval": interval, "forecast_id": name}
    return {**examples.FORECAST, **own}


def result(request: dict[str, Any]) -> dict[str, Any]:
    if request["symbol"] == "NOPE":
        return {"status": 404, **error("unknown_symbol", "no data source has bars of NOPE")}
    return {"status": 200, "forecast": forecast(request)}


PATIENCE = 60.0
"""Seconds within which what must happen has happened, on however busy a machine."""


class FaultyServer(ThreadingHTTPServer):
    """``faults`` come first, one for each request. An answer is given ``delay`` seconds after ``may_answer`` has become
    true of its number, from 1."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: deque[Fault] = deque()
        self.item_faults: dict[str, int] = {}
        """Symbols that get 503 within a batch, and how often."""
        self.asked: list[dict[str, Any]] = []
        """Every request for a forecast that was answered with one or with its own error."""
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self.connections: set[Any] = set()
        self.times: list[float] = []
        self.delay = 0.0
        self.at_once = self.most_at_once = 0
        self.may_answer: Callable[[int], bool] = lambda number: True
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def wait_until(self, check: Callable[[], bool]) -> bool:
        """Whether it comes to that."""
        end = time.monotonic() + PATIENCE
        while not (is_so := check()) and time.monotonic() < end:
            time.sleep(0.002)
        return is_so

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(body)

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, body: Any) -> None:
        server = self.server
        with server.lock:
            server.paths.append(self.path)
            server.bodies.append(body)
            server.keys.append(self.headers.get("x-api-key"))
            server.connections.add(self.client_address)
            server.times.append(time.monotonic())
            number = len(server.times)
            fault = server.faults.popleft() if server.faults else Fault()
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            server.wait_until(lambda: server.may_answer(number))
            time.sleep(server.delay)
            if fault.drop:
                self.close_connection = True
                return
            content = fault.body if fault.body is not None else self._usual(body)
            self._send(fault.status, fault.headers, content)
        finally:
            with server.lock:
                server.at_once -= 1

    def _usual(self, body: Any) -> bytes:
        if self.path == "/api/v1/predict/batch":
            return json.dumps({"results": self._results(body["requests"]), **COUNTS}).encode()
        if self.path == "/api/v1/predict":
            return json.dumps(forecast(body)).encode()
        return b"{}"

    def _results(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        results = []
        for request in requests:
            with self.server.lock:
                left = self.server.item_faults.get(request["symbol"], 0)
                if left:
                    self.server.item_faults[request["symbol"]] = left - 1
                    results.append({"status": 503, **error("source_unavailable", "not now")})
                    continue
                self.server.asked.append(request)
            results.append(result(request))
        return results

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen."""


COUNTS = {"count": 1, "succeeded": 1, "failed": 0}


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
