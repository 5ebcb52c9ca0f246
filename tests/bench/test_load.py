"""What the load generator sends, and what becomes of several rounds."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench import bodies
from bench.load import Figures, Load, put_load


class Target(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: set[tuple[str, str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.seen.add((self.command, self.path, body))
        self.send_response(503 if "bad" in body else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def target() -> Iterator[str]:
    Target.seen = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    server.daemon_threads = False  # so that they are waited for
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def load(throughput: float, failed: int = 0) -> Load:
    p50, p95, p99 = (times / throughput for times in (1, 2, 3))
    return Load(64, round(10 * throughput) + failed, 10.0, failed, p50, p95, p99, processor=p99 / 2)


def test_of_two_rounds_neither_the_better_nor_the_worse_is_shown():
    figures = Figures.of([load(100), load(300, failed=7)])
    assert figures.throughput == pytest.approx(200)
    assert figures.p99 == pytest.approx((3 / 100 + 3 / 300) / 2)
    assert figures.processor == pytest.approx(figures.p99 / 2)
    assert (figures.rounds, figures.requests, figures.failed) == (2, 4007, 7)


def test_of_three_rounds_the_middle_one_is_shown():
    assert Figures.of([load(100), load(900), load(300)]).throughput == pytest.approx(300)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="the load generator is not installed")
def test_lines_may_name_a_path(target: str, tmp_path: Path):
    asked = tmp_path / "asked"
    asked.write_text('{"a": 1}\n/b\t{"b": 2}\n/c\n{"bad": 1}\n')
    for seconds in (1, 5, 25):  # in which a busy machine manages enough of them
        if (found := put_load(target, "/a", asked, "key", 2, seconds)).requests >= 50:
            break
    assert Target.seen == {
        ("POST", "/a", '{"a": 1}'),
        ("POST", "/b", '{"b": 2}'),
        ("GET", "/c", ""),
        ("POST", "/a", '{"bad": 1}'),
    }
    assert found.requests / 5 < found.failed < found.requests / 3


@pytest.mark.skipif(shutil.which("wrk") is None, reason="the load generator is not installed")
def test_a_load_generator_that_fails_is_named(tmp_path: Path):
    with pytest.raises(RuntimeError, match="wrk failed"):
        put_load("http://127.0.0.1:1", "/a", tmp_path / "none", "key", 1, 1)


def test_mixed_load_has_something_of_everything(tmp_path: Path):
    lines = bodies.mixed(tmp_path / "mixed", [f"S{number}" for number in range(50)]).read_text().splitlines()
    asked = [line.partition("\t") for line in lines]
    count = {path: sum(path == each[0] for each in asked) for path in {each[0].split("/S")[0] for each in asked}}
    predict = [body for path, _, body in asked if path == bodies.PREDICT]
    assert set(count) == {
        bodies.PREDICT,
        bodies.RISK,
        *(f"{bodies.PREDICT}/{it}" for it in ("stream", "batch")),
        "/api/v1/symbols",
    }
    assert len(predict) == 2800
    assert len(set(predict)) == pytest.approx(1200, abs=10), "the rest is asked again and again"
    assert all(json.loads(body) for _, tab, body in asked if tab)
