"""Servers under test: started as their users would start them, stopped for good, and held still while others run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
KEY = "a-key-for-the-benchmark"
READY_WITHIN = 180.0
GATEWAY = "DeepFinance"
EVENT_LOOP = f"{GATEWAY}, main thread"


@dataclass(frozen=True, slots=True)
class Contender:
    """``command`` with PORT in the environment, and how many ``workers`` it starts that each have a memory; bound to
    so many ``cores``, where that is not 0."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str]
    workers: int = 1
    cores: int = 0


def service(name: str, **settings: str) -> Contender:
    """This service, as `make serve` starts it, with keys and limits on."""
    return Contender(name, (sys.executable, "serve.py"), {"RATE_LIMIT": "100000000/minute", **settings})


def fastapi(name: str, app: str, workers: int, **settings: str) -> Contender:
    command = (sys.executable, "-m", "uvicorn", app, "--workers", str(workers), "--no-access-log", "--port", "{port}")
    return Contender(name, command, settings, workers)


class Running:
    """A started contender; raises RuntimeError where it does not become ready. Not a context manager: many run at the
    same time, and ``stop`` is called for each."""

    def __init__(self, contender: Contender, folder: Path, shared: Mapping[str, str]) -> None:
        self.name, self.workers = contender.name, contender.workers
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "MODEL_SET_DIR")},
            "PORT": str(self.port),
            "STATE_DIR": str(folder / "state"),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "ML_SERVICE_API_KEY": KEY,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **shared,
            **contender.settings,
        }
        command = [part.format(port=self.port) for part in contender.command]
        self._log = folder / "log"
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        if contender.cores:  # before it has children or threads, which are bound with it
            psutil.Process(self._process.pid).cpu_affinity(psutil.Process().cpu_affinity()[: contender.cores])
        self._wait_until_ready()
        self.seconds_to_ready = time.monotonic() - started

    def pss(self, without: str = "") -> float:
        """Proportional set size of all its processes, in MB; ``without`` those that have this in their command line."""
        total = 0
        for process in self._family():
            with suppress(psutil.Error):
                if not without or without not in " ".join(process.cmdline()):
                    total += process.memory_full_info().pss
        return total / 1e6

    def processor_seconds(self) -> dict[str, float]:
        """Processor time used so far, by service; of the gateway's main threads, which are its event loops, on its
        own as well."""
        used: dict[str, float] = {}
        for process in self._family():
            with suppress(psutil.Error):
                command = process.cmdline()
                name = _service_of(command)
                times = process.cpu_times()
                used[name] = used.get(name, 0.0) + times.user + times.system
                for thread in process.threads() if name == GATEWAY else ():
                    if thread.id == process.pid:
                        used[EVENT_LOOP] = used.get(EVENT_LOOP, 0.0) + thread.user_time + thread.system_time
        return used

    def processor_time(self) -> tuple[float, float]:
        """Seconds used so far by all its processes, and the part of the gateway's event loops."""
        used = self.processor_seconds()
        event_loop = used.pop(EVENT_LOOP, 0.0)
        return sum(used.values()), event_loop

    def gateways(self) -> list[psutil.Process]:
        """The gateway's workers, where it is ours."""
        return [each for each in self._family() if _service_of(each.cmdline()) == GATEWAY]

    def holder(self, port: int) -> psutil.Process:
        """The process that has the connection whose other end is ``port``; raises RuntimeError where none has it."""
        for process in self._family():
            with suppress(psutil.Error):
                if any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp")):
                    return process
        raise RuntimeError(f"no process of {self.name} has a connection with port {port}")

    def hold(self) -> None:
        """Take it off the processors until ``resume``."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        family = self._family()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        self._process.wait(20)

    def _family(self) -> list[psutil.Process]:
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    def _signal(self, number: int) -> None:
        for process in self._family():
            with suppress(psutil.Error):
                process.send_signal(number)

    def _wait_until_ready(self) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with direct.open(f"{self.url}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        if self._process.poll() is None:
            self.stop()
        raise RuntimeError(f"{self.name} did not become ready:\n{self._log.read_text(errors='replace')[-3000:]}")


def _service_of(command: Sequence[str]) -> str:
    return command[command.index("--service-name") + 1] if "--service-name" in command else "others"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
