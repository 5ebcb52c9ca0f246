"""Every worker is asked, whichever of them takes connections first."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.servers import Contender, Running
from bench.warm import asked, connected_to_each_worker

SERVER = """
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = str(os.getpid()).encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_): ...

server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Worker)
if os.fork():
    server.serve_forever()
server.timeout = 0
while True:  # the other worker looks up seldom, so that the first takes whatever comes while it may
    time.sleep(0.05)
    server.handle_request()
"""


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Running]:
    one = Running(Contender("two", (sys.executable, "-c", SERVER), {}, workers=2, cores=1), tmp_path, {})
    yield one
    one.stop()


def test_each_of_two_workers_has_a_connection_of_its_own(two_workers: Running):
    for _ in range(5):
        with connected_to_each_worker(two_workers) as connections:
            answers = [asked(connection, "/", b"{}") for connection in connections for _ in range(2)]
        assert answers[0] == answers[1] != answers[2] == answers[3], "both run again, each on its own connection"


def test_an_answer_that_is_none_is_not_taken_for_one(two_workers: Running):
    with connected_to_each_worker(two_workers) as connections, pytest.raises(RuntimeError, match="404"):
        asked(connections[0], "/missing", b"{}")


def test_processor_time_is_of_the_whole_family_and_cores_are_those_given(two_workers: Running):
    with connected_to_each_worker(two_workers) as connections:
        workers = [two_workers.holder(each.sock.getsockname()[1]) for each in connections]
    assert len({each.pid for each in workers}) == 2
    assert all(each.cpu_affinity() == psutil.Process(os.getpid()).cpu_affinity()[:1] for each in workers)
    whole, event_loop = two_workers.processor_time()
    assert whole > 0
    assert event_loop == 0, "nobody here is a gateway of ours"
    assert two_workers.gateways() == []
    with pytest.raises(RuntimeError, match="no process"):
        two_workers.holder(1)
