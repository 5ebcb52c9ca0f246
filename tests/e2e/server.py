"""A real server for the tests: its own port, home and key, and nothing of it left afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-the-tests"
ANYWHERE = "embedded"
"""The layout of tests that are about something else: a server in it is started with half the work."""
ONE_RUNNER = "combined"
"""That of tests which need a process beside the gateway's, and no more than one."""


@dataclass(frozen=True)
class Server:
    url: str
    process: psutil.Process
    seconds_to_ready: float
    cpu_to_ready: float
    log: Path
    started: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=20)

    def async_client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=256)
        return httpx.AsyncClient(base_url=self.url, headers={"X-API-Key": KEY}, timeout=30, limits=limits)

    def family(self) -> list[psutil.Process]:
        """All processes that live; one that has ended may wait a while for its parent to notice."""
        everyone = [self.process, *self.process.children(recursive=True)]
        return [it for it in everyone if _lives(it)]

    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self.started.poll()

    def runner(self, name: str) -> psutil.Process:
        found = next((it for it in self.family() if name in it.cmdline()), None)
        return found or pytest.skip(f"there is no process {name} in this layout")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _cpu_seconds(process: psutil.Process) -> float:
    """That it and its children have used, those that have ended too."""
    family = [it for it in (process, *process.children(recursive=True)) if _lives(it)]
    return sum(sum(it.cpu_times()[:4]) for it in family)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
        "STATE_DIR": str(home / "state"),
        **more,
    }


@contextmanager
def running(target: str, home: Path, *, cwd: Path = ROOT, port: int | None = None, **settings: str) -> Iterator[Server]:
    """``bentoml serve <target>``, ready to answer."""
    port = port or free_port()
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, port, home, cwd, environment(home, **settings)) as server:
        yield server


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


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, patience: float = 240) -> None:
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
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    for left in alive:
        left.kill()
