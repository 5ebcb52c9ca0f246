"""`make serve`: a key, a home for the models, the server as a child process, and a call to paste once it answers.

Everything it makes is kept in ``.deepfinance`` in the checkout, or in the folder that STATE_DIR names.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import TextIO

from errors import ConfigurationError

ROOT = Path(__file__).resolve().parent
HOST = "127.0.0.1"
SLOW_START = 60.0
IDLE = 75
"""Seconds that a connection may be silent after an answer: longer than the usual proxies keep one."""


def main() -> int:
    """Serve until told to stop; the exit status is the server's."""
    state = Path(os.environ.get("STATE_DIR") or ROOT / ".deepfinance").resolve()
    try:
        lock = sole_user_of(state)
        os.environ.update(serving_environment(os.environ, state))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every start compile every package again
        port, models, layout = checked_start()
        os.environ["RUNNER_LAYOUT"] = layout
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"DeepFinance cannot start: {error}\n")
        return 2
    with lock:
        return run(port, models, state)


def checked_start() -> tuple[int, str, str]:
    """The port, the stored model set and the runner layout, after a look at everything that could stop a start.

    In a process that ends: it needs BentoML, of which this one would keep 45 MB while it waits.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as aside:
        return aside.submit(_check_start).result()


def _check_start() -> tuple[int, str, str]:
    # imported late: BentoML reads its part of the environment when it is imported
    from runners.store import ensure_stored
    from settings import load_settings, model_set_folder

    settings = load_settings()
    tag = ensure_stored(model_set_folder())
    require_free(settings.port)
    chosen = "runner_layout" in settings.model_fields_set  # else what suits this machine
    return settings.port, str(tag), settings.runner_layout if chosen else "auto"


def run(port: int, models: str, state: Path) -> int:
    """Start the server, tell how to call it, and wait for its end."""
    started = time.monotonic()
    server = start_server(port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forwarder(server))
    if wait_until_ready(server, port):
        say(f"\nDeepFinance is ready after {time.monotonic() - started:.1f} s, with {models}.\n")
        say(how_to_call(port, os.environ, state))
    elif server.wait() != 0:
        say("\nDeepFinance did not start; why is said above.")
    code = server.wait()
    return code if code >= 0 else 128 - code


def serving_environment(given: Mapping[str, str], state: Path) -> dict[str, str]:
    """What the server needs to be told and was not."""
    wanted = {
        "BENTOML_HOME": str(state / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # a process per model: arenas per thread would cost tens of megabytes each
    }
    if not given.get("ML_SERVICE_API_KEY") and given.get("AUTH") != "off":
        wanted["ML_SERVICE_API_KEY"] = kept_key(state / "api_key")
    Path(given.get("BENTOML_HOME") or wanted["BENTOML_HOME"]).mkdir(parents=True, exist_ok=True)
    return {name: value for name, value in wanted.items() if not given.get(name)}


def kept_key(path: Path) -> str:
    """The key in ``path``, which only its owner can read; made on first use, once even if two start together."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    path.chmod(0o600)
    return path.read_text().strip()


def sole_user_of(state: Path) -> TextIO:
    """Lock ``state`` until the file is closed: two servers in one BentoML home erase each other's metrics."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "serve.lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"STATE_DIR: {str(state)!r} cannot be written to: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(
            f"a service is running with {state} already; stop it, or give this one a STATE_DIR of its own"
        ) from None
    return lock


def require_free(port: int) -> None:
    """Raise ConfigurationError where the port cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            why = "is in use by another program" if in_use else f"cannot be used ({error.strerror})"
            raise ConfigurationError(f"port {port} {why}; choose another: PORT={port % 65535 + 1} make serve") from None


def start_server(port: int) -> subprocess.Popen[bytes]:
    """BentoML in a session of its own, so that Ctrl-C reaches it once, through us, and not each process of it."""
    command = [sys.executable, "-m", "bentoml", "serve", "service:DeepFinance", "--host", HOST, "--port", str(port)]
    command += ["--timeout-keep-alive", str(IDLE)]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def forwarder(server: subprocess.Popen[bytes]) -> Callable[[int, FrameType | None], None]:
    """Pass a signal on to the server and let it end in its own time."""

    def forward(number: int, _: FrameType | None) -> None:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    return forward


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> bool:
    """True once the service answers, False when it has ended instead."""
    hint_at = time.monotonic() + SLOW_START
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while server.poll() is None:
        try:
            with direct.open(f"http://{HOST}:{port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        if time.monotonic() > hint_at:
            say("DeepFinance is not ready yet; still waiting. What it says is above.")
            hint_at = float("inf")
    return False


def how_to_call(port: int, environment: Mapping[str, str], state: Path) -> str:
    """A call to paste, and where to read on. A key that we were given is not repeated."""
    kept = state / "api_key"
    key = environment.get("ML_SERVICE_API_KEY", "")
    ours = kept.exists() and key == kept.read_text().strip()
    header = ""
    if environment.get("AUTH") != "off":
        header = f"  -H 'X-API-Key: {key if ours else 'YOUR_KEY'}' \\\n"
    where = f"  API key        {kept}, which only you can read\n" if ours and header else ""
    return (
        f"  curl -s http://{HOST}:{port}/api/v1/predict \\\n"
        f"{header}"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"symbol": "AAPL", "horizon": 5}'\n\n"""
        f"  Documentation  http://{HOST}:{port}/docs\n{where}"
        "  Stop           Ctrl-C\n"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
