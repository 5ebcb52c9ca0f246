"""Does by hand what an image's build does, and uses the result: `make bentocheck`, after `make bento`.

Copies the container context into an empty folder, installs its lock into a new virtual environment there, slims that,
starts the service with nothing else on its path, calls it, sees that its traces arrive, and stops it. Prints sizes and
seconds. Takes minutes and a gigabyte of disk, which it gives back.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

LARGEST = 900e6
"""Bytes of Python packages."""
KEY = secrets.token_urlsafe(16)
CALLS = (
    ("POST", "/api/v1/predict", {"symbol": "AAPL", "horizon": 5}),
    ("POST", "/api/v1/predict/batch", {"requests": [{"symbol": "MSFT"}, {"symbol": "XOM", "horizon": 20}]}),
    ("POST", "/api/v1/predict", {"symbol": "AAPL", "explain": True}),
    ("POST", "/api/v1/risk", {"symbol": "AAPL"}),
    ("POST", "/api/v1/risk/portfolio", {"weights": {"AAPL": 0.5, "MSFT": 0.5}}),
    (
        "POST",
        "/api/v1/options/price",
        {
            "type": "put",
            "style": "american",
            "spot": 100,
            "strike": 100,
            "rate": 0.02,
            "volatility": 0.2,
            "time_to_expiry": 1,
        },
    ),
    ("GET", "/api/v1/predict/AAPL/history", None),
    ("GET", "/api/v1/health", None),
    ("GET", "/metrics", None),
    ("GET", "/docs.json", None),
)


def main() -> None:
    """See the module."""
    context = Path(sys.argv[1] if len(sys.argv) > 1 else "build/container").resolve()
    with tempfile.TemporaryDirectory(prefix="deepfinance-image-") as scratch:
        bento, venv, state = Path(scratch, "bento"), Path(scratch, "venv"), Path(scratch, "state")
        shutil.copytree(context, bento, ignore=shutil.ignore_patterns("apis", "env", "Dockerfile", ".dockerignore"))
        packages = install(bento, venv)
        with receiver() as traces:
            serve_and_call(bento, venv, state, f"http://127.0.0.1:{traces.server_port}")
        say(f"  {traces.received:,} bytes of traces")
        if not traces.received:
            sys.exit("it sent no traces")
        if packages > LARGEST:
            sys.exit(f"too large: {packages / 1e6:,.0f} MB of packages, at most {LARGEST / 1e6:,.0f}")


def install(bento: Path, venv: Path) -> int:
    """The bytes that the packages of the lock take, installed as the Dockerfile says."""
    source, python = bento / "src", str(venv / "bin" / "python")
    started = time.monotonic()
    run(sys.executable, "-m", "venv", str(venv))
    lock = str(source / "requirements" / "serving.lock")
    run(python, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", lock)
    run(python, "-m", "pip", "uninstall", "-q", "-y", "pip", "setuptools")
    run(python, str(source / "deploy" / "container" / "slim.py"))
    libraries = [
        str(it) for it in venv.rglob("*.so") if not it.parent.name.endswith(".libs") and it.stat().st_size > 1e5
    ]
    if shutil.which("strip"):
        run("strip", "--strip-debug", *libraries)
    size = sum(it.stat().st_size for it in venv.rglob("*") if it.is_file() and not it.is_symlink())
    say(f"installed in {time.monotonic() - started:.0f} s: {size / 1e6:,.0f} MB of Python packages")
    return size


def serve_and_call(bento: Path, venv: Path, state: Path, traces: str) -> None:
    """Start what the image starts, have every call answered with 200, and see it end with status 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": f"{venv / 'bin'}:{os.defpath}",
        "HOME": str(state),
        "STATE_DIR": str(state),
        "BENTOML_HOME": str(state / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "ML_SERVICE_API_KEY": KEY,
        "DATA_PROVIDERS": "bundled",
        "TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces,
        "NO_PROXY": "127.0.0.1",
        "PORT": str(port),
    }
    started = time.monotonic()
    server = subprocess.Popen([bento / "src/deploy/container/start.sh"], env=environment, cwd=bento.parent)
    try:
        while server.poll() is None and call(port, "GET", "/readyz", None)[0] != 200:
            time.sleep(0.2)
        say(f"ready after {time.monotonic() - started:.1f} s")
        for method, path, body in CALLS:
            status, size = call(port, method, path, body)
            say(f"  {method:4} {path:32} {status}  {size:,} bytes")
            if status != 200:
                sys.exit("that was not answered")
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(40)
    if code:
        sys.exit(f"it ended with status {code}")


class Receiver(HTTPServer):
    """Takes what is sent to it, and counts the bytes."""

    received = 0


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.received += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """One for traces, until the end of the block."""
    with Receiver(("127.0.0.1", 0), _Take) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def call(port: int, method: str, path: str, body: object) -> tuple[int, int]:
    """Status, 0 where nobody answers, and size of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": KEY, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status, len(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, 0
    except (urllib.error.URLError, OSError):
        return 0, 0


def run(*command: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
