"""An established load generator, driven: wrk where it is installed, else locust."""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured; times in seconds. ``failed`` counts every answer that is not 200 and every broken
    connection. ``processor`` is what all processes of the server took of a core for a request, ``event_loop`` the part
    of it in the gateway's event loops: 0 where nobody looked, and of a server that is not ours."""

    connections: int
    requests: int
    seconds: float
    failed: int
    p50: float
    p95: float
    p99: float
    processor: float = 0.0
    event_loop: float = 0.0

    @property
    def throughput(self) -> float:
        """Answers a second, failed ones left out."""
        return max(self.requests - self.failed, 0) / self.seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """Several rounds of the same load: medians; requests and failures are those of all rounds, none is forgiven."""

    connections: int
    rounds: int
    requests: int
    failed: int
    throughput: float
    p50: float
    p95: float
    p99: float
    processor: float
    event_loop: float

    @classmethod
    def of(cls, loads: Sequence[Load]) -> Figures:
        def middle(name: str) -> float:
            return float(statistics.median(getattr(load, name) for load in loads))

        requests, failed = (sum(getattr(load, name) for load in loads) for name in ("requests", "failed"))
        times = [middle(name) for name in ("p50", "p95", "p99", "processor", "event_loop")]
        return cls(loads[0].connections, len(loads), requests, failed, middle("throughput"), *times)


def by_connections(loads: Mapping[str, Mapping[int, Figures]]) -> dict[str, dict[str, dict[str, float]]]:
    """As JSON has it."""
    return {name: {str(c): asdict(figures) for c, figures in by.items()} for name, by in loads.items()}


def load_generator() -> str:
    return "wrk" if shutil.which("wrk") else "locust"


def put_load(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float, seed: int = 11) -> Load:
    """POST the lines of ``bodies`` to ``path``, over and over, from so many connections at the same time. A line may
    have a path of its own (wrk.lua); another ``seed`` is another order. Raises RuntimeError where the load generator
    fails."""
    if load_generator() == "wrk":
        return _wrk(url, path, bodies, key, connections, seconds, seed)
    return _locust(url, path, bodies, key, connections, seconds)


def _wrk(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float, seed: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["-s", str(HERE / "wrk.lua"), url, "--", str(bodies), path, key, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout)[-500:]}")
    return Load(connections, **json.loads(line.removeprefix("RESULT ")))


def _locust(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--host", url]
        command += ["-u", str(connections), "-r", str(connections), "-t", f"{max(1, round(seconds))}s"]
        command += ["--csv", f"{folder}/load", "--only-summary"]
        environment = {**os.environ, "BODIES": str(bodies), "KEY": key, "TARGET": path}
        subprocess.run(command, env=environment, capture_output=True, check=False)
        with open(f"{folder}/load_stats.csv", newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    requests, rate = int(row["Request Count"]), float(row["Requests/s"])
    if not requests or not rate:
        raise RuntimeError("locust was not answered once")
    times = [float(row[name]) / 1000 for name in ("50%", "95%", "99%")]
    return Load(connections, requests, requests / rate, int(row["Failure Count"]), *times)
