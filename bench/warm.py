"""Before anything counts: every series is asked once of each worker, since each has a memory of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from bench.bodies import PREDICT
from bench.load import put_load
from bench.servers import KEY, Running
from bench.workloads import Say, alone

WARMED_AT_ONCE = 2
HEADERS = {"Content-Type": "application/json", "X-API-Key": KEY}
TIMEOUT = 120.0


def warmed(contenders: Sequence[Running], bodies: Path, say: Say, path: str = PREDICT) -> dict[str, float]:
    """Ask each worker of each contender everything once, two contenders at a time, then two seconds of load; seconds
    that the first took, of those that answered it all."""
    lines = bodies.read_text().splitlines()

    def ask_all(one: Running) -> float | None:
        started = time.monotonic()
        try:
            with connected_to_each_worker(one) as connections:
                for line in lines:
                    for connection in connections:
                        asked(connection, path, line.encode())
        except (OSError, RuntimeError, HTTPException) as error:
            say(f"left out   {one.name:<22}{type(error).__name__}: {error}")
            return None
        return time.monotonic() - started

    with ThreadPoolExecutor(WARMED_AT_ONCE) as pool:
        answered = dict(zip((one.name for one in contenders), pool.map(ask_all, contenders), strict=True))
    took = {name: seconds for name, seconds in answered.items() if seconds is not None}
    for one in contenders:
        if one.name in took:
            with alone(one, contenders):
                put_load(one.url, path, bodies, KEY, 16, 2.0)
            say(f"warmed up  {one.name:<22}{len(lines)} requests to {one.workers} in {took[one.name]:.0f} s")
    return took


@contextmanager
def connected_to_each_worker(one: Running) -> Iterator[list[HTTPConnection]]:
    """A connection to each of its workers: whoever has one is held until the others have theirs, so that none takes
    two."""
    with ExitStack() as open_ones:
        held: list[psutil.Process] = []
        connections = []
        try:
            for _ in range(one.workers):
                connections.append(open_ones.enter_context(closing(_connected(one))))
                if one.workers > 1:
                    held.append(one.holder(connections[-1].sock.getsockname()[1]))
                    held[-1].suspend()
        finally:
            for process in held:
                process.resume()
        yield connections


def asked(connection: HTTPConnection, path: str, body: bytes) -> bytes:
    """The answer; raises RuntimeError where its status is not 200."""
    connection.request("POST", path, body, HEADERS)
    return _answer(connection)


def _connected(one: Running) -> HTTPConnection:
    """And taken by a worker, which only an answer tells."""
    connection = HTTPConnection("127.0.0.1", one.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        _answer(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _answer(connection: HTTPConnection) -> bytes:
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {answer[:200]!r}")
    return answer
