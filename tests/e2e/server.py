"""A real server for the tests: its own port, home and key, and nothing of it left afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serve import IDLE

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-the-tests"
ANYWHERE = "embedded"
"""The layout of tests that are about something else: a server in it is started with half the work."""
ONE_RUNNER = "combined"
"""That of tests which need a process beside the gateway's, and no more than one."""
PATIENCE = 240.0
"""Seconds that a server has to start, on however busy a machine."""
A_WHILE = 60.0
"""Seconds within which what must happen has happened, on however busy a machine."""
ALL_THE_TIME = "30"
"""RUNNER_TIMEOUT of tests that are not about it: on a busy machine a model may take longer than the usual 3 seconds,
and forecasts lack it."""
_HELD: list[socket.socket] = []


@dataclass(frozen=True)
class Server:
    url: str
    process: psutil.Process
    seconds_to_ready: float
    cpu_to_ready: float
    log: Path
    started: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=A_WHILE)

    def async_client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=256)
        return httpx.AsyncClient(base_url=self.url, headers={"X-API-Key": KEY}, timeout=A_WHILE, limits=limits)

    def family(self) -> list[psutil.Process]:
        """All processes that live; one that has ended may wait a while for its parent to notice."""
        everyone = [self.process, *self.process.children(recursive=True)]
        return [it for it in everyone if _lives(it)]

    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self.started.poll()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of that name with these labels. What a worker counted gets here a moment later."""
        with self.client() as client:
            text = client.get("/metrics").text
        found = [line for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]
        chosen = [it for it in found if all(f'{key}="{value}"' in it for key, value in labels.items())]
        return sum(float(it.rpartition(" ")[2]) for it in chosen)

    def runner(self, name: str) -> psutil.Process:
        found = next((it for it in self.family() if name in command_of(it)), None)
        return found or pytest.skip(f"there is no process {name} in this layout")

    def services(self) -> list[str]:
        """Of each process that serves one, which."""
        commands = map(command_of, self.family())
        return [it[it.index("--service-name") + 1] for it in commands if "--service-name" in it]


def command_of(process: psutil.Process) -> list[str]:
    """Its command line, empty where it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _cpu_seconds(process: psutil.Process) -> float:
    """That it and its children have used, those that have ended too."""
    used = 0.0
    for it in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used += sum(it.cpu_times()[:4])
    return used


def free_port(host: str = "127.0.0.1") -> int:
    """A port for a server, which is nobody else's until this process ends.

    A socket that listens to nobody stays bound to it. So the system gives it to no client and no other test, while a
    server takes it as it takes one that was in use a moment ago, with SO_REUSEADDR. Where the system does not let a
    server in like that the port is only likely to stay free.
    """
    probe = _bound(host, 0)
    port: int = probe.getsockname()[1]
    try:
        with _bound(host, port) as server:
            server.listen()
        _HELD.append(probe)
    except OSError:
        probe.close()
    return port


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def eventually(check: Callable[[], object], what: str, patience: float = A_WHILE) -> None:
    """Wait until it holds, and fail where it does not come to that."""
    end = time.monotonic() + patience
    while not check():
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(0.05)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The caller's environment without any setting of ours but those given."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "MODEL_SET_DIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
        "ML_SERVICE_API_KEY": KEY,
        "DATA_PROVIDERS": "files,bundled" if "DATA_DIR" in more else "bundled",  # nothing from outside, ever
        "RATE_LIMIT": "1000000/minute",
        "RUNNER_LAYOUT": "per_model",
        "RUNNER_TIMEOUT": ALL_THE_TIME,
        "STATE_DIR": str(home / "state"),
        **more,
    }


@contextmanager
def running(target: str, home: Path, *, cwd: Path = ROOT, port: int | None = None, **settings: str) -> Iterator[Server]:
    """``bentoml serve <target>``, ready to answer with every model."""
    port = port or free_port()
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--timeout-keep-alive", str(IDLE)]  # else a test that waits five seconds for its turn is cut off
    with serving(command, port, home, cwd, environment(home, **settings)) as server:
        eventually(lambda: is_whole(server), "every model answers", PATIENCE)
        yield server


def is_whole(server: Server) -> bool:
    """Whether every model answers: ten seconds after its start a gateway is ready if any does."""
    untraced = {"traceparent": f"00-{'1' * 32}-{'1' * 16}-00"}
    health = httpx.get(f"{server.url}/api/v1/health", headers=untraced, timeout=A_WHILE).json()
    return all(it["state"] == "ok" for it in health["checks"]["runners"])


@contextmanager
def serving(
    command: Sequence[str], port: int, home: Path, cwd: Path, env: dict[str, str], host: str = "127.0.0.1"
) -> Iterator[Server]:
    """``command`` until it answers on ``port``, and until the end of the block."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://{host}:{port}"
        wait_until_ready(url, process, log)
        first = psutil.Process(process.pid)
        yield Server(url, first, time.monotonic() - started, _cpu_seconds(first), log, process)
    finally:
        stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=3).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[Any]) -> None:
    """End the server in order, and what is left of its processes by their ids."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(A_WHILE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    for left in alive:
        left.kill()
