"""Builds the image and uses it as docs/deploy.md says: `make imagecheck`, which makes what it is built from first.

    python -m deploy.container.image build/container [options of `docker build`]

Needs Docker or Podman; ENGINE names one. Prints sizes and seconds, and leaves only the image and its layers behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.container.check import CALLS, KEY, LARGEST, call, run, say

IMAGE = "deepfinance:check"
NAME = f"deepfinance-check-{secrets.token_hex(4)}"
"""Of the container and of its volume."""
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
HISTORY = "/api/v1/predict/AAPL/history"
PATIENCE = 180.0


def main() -> None:
    """See the module."""
    context, *options = sys.argv[1:] or ["build/container"]
    engine = found_engine()
    build(engine, context, options)
    with container(engine) as port:
        wait_until_ready(port)
        look_inside(engine)
        told = [answered(port, *each) for each in CALLS]
        stop(engine)
        run(engine, "start", NAME)
        wait_until_ready(port)
        kept = answered(port, "GET", HISTORY, None)
        if kept < next(size for (_, path, _), size in zip(CALLS, told, strict=True) if path == HISTORY):
            sys.exit("a restart lost the history")
        stop(engine)


def found_engine() -> str:
    """The command of an engine that is there and answers."""
    for name in filter(None, (os.environ.get("ENGINE"), "docker", "podman")):
        if shutil.which(name) and not subprocess.run([name, "info"], capture_output=True, check=False).returncode:
            return name
    sys.exit("neither Docker nor Podman answers here; `make bentocheck` does without")


def build(engine: str, context: str, options: list[str]) -> None:
    """The image, within the bounds on its packages."""
    started = time.monotonic()
    kind = ("--format", "docker") if os.path.basename(engine) == "podman" else ()
    run(engine, "build", *kind, *options, "--tag", IMAGE, context)
    size = int(said(engine, "image", "inspect", "--format", "{{.Size}}", IMAGE))
    packages = int(said(engine, "run", "--rm", "--entrypoint", "du", IMAGE, "-sb", "/opt/venv").split()[0])
    say(f"built in {time.monotonic() - started:.0f} s: {size / 1e6:,.0f} MB, of them packages {packages / 1e6:,.0f} MB")
    if packages > LARGEST:
        sys.exit(f"too large: at most {LARGEST / 1e6:,.0f} MB of packages")


@contextmanager
def container(engine: str) -> Iterator[int]:
    """The port of a container that is gone, with its volume, at the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {"ML_SERVICE_API_KEY": KEY, "DATA_PROVIDERS": "bundled", "RUNNER_LAYOUT": "auto"}
    told = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    where = ("--volume", f"{NAME}:/state", "--publish", f"127.0.0.1:{port}:3000")
    try:
        run(engine, "run", "--detach", "--name", NAME, *HARDENED, *where, *told, IMAGE)
        yield port
    except BaseException:
        subprocess.run([engine, "logs", NAME], check=False)
        raise
    finally:
        subprocess.run([engine, "rm", "--force", NAME], check=False, capture_output=True)
        subprocess.run([engine, "volume", "rm", NAME], check=False, capture_output=True)


def wait_until_ready(port: int) -> None:
    """Returns when a forecast has gone all the way through."""
    started = time.monotonic()
    while call(port, "GET", "/readyz", None)[0] != 200:
        if time.monotonic() - started > PATIENCE:
            sys.exit(f"not ready after {PATIENCE:.0f} s")
        time.sleep(0.2)
    say(f"ready after {time.monotonic() - started:.1f} s")


def look_inside(engine: str) -> None:
    """Its health check passes, it is nobody of importance, its code is not its own, and nothing can be installed."""
    run(engine, "exec", NAME, "python", "/bento/src/deploy/container/healthy.py")
    if (user := said(engine, "exec", NAME, "id", "-u")) != "10001":
        sys.exit(f"it runs as user {user}")
    for command in ("touch /bento/x", "touch /opt/venv/x", "python -m pip", "/usr/local/bin/python -m pip", "cc -v"):
        words = [engine, "exec", NAME, *command.split()]
        if not subprocess.run(words, check=False, capture_output=True).returncode:
            sys.exit(f"it could {command}")


def answered(port: int, method: str, path: str, body: object) -> int:
    """The size of the answer to a call that must be answered."""
    status, size = call(port, method, path, body)
    say(f"  {method:4} {path:32} {status}  {size:,} bytes")
    if status != 200:
        sys.exit("that was not answered")
    return size


def stop(engine: str) -> None:
    """SIGTERM, and an end with status 0."""
    started = time.monotonic()
    run(engine, "stop", "-t", "30", NAME)
    code = said(engine, "inspect", "--format", "{{.State.ExitCode}}", NAME)
    say(f"stopped in {time.monotonic() - started:.1f} s, with status {code}")
    if code != "0":
        sys.exit("that was no orderly end")


def said(*command: str) -> str:
    """What a command that must succeed writes."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
