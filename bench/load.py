"""An established load generator, driven: wrk where it is installed, else locust."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured; times in seconds. ``failed`` counts every answer that is not 200 and every broken
    connection."""

    connections: int
    requests: int
    seconds: float
    failed: int
    p50: float
    p95: float
    p99: float

    @property
    def throughput(self) -> float:
        """Answers a second, failed ones left out."""
        return max(self.requests - self.failed, 0) / self.seconds


def load_generator() -> str:
    return "wrk" if shutil.which("wrk") else "locust"


def put_load(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float) -> Load:
    """POST the lines of ``bodies`` to ``path``, over and over, from so many connections at the same time."""
    if load_generator() == "wrk":
        return _wrk(url, path, bodies, key, connections, seconds)
    return _locust(url, path, bodies, key, connections, seconds)


def _wrk(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["-s", str(HERE / "wrk.lua"), url, "--", str(bodies), path, key]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
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
    times = [float(row[name]) / 1000 for name in ("50%", "95%", "99%")]
    requests, rate = int(row["Request Count"]), float(row["Requests/s"])
    return Load(connections, requests, requests / rate, int(row["Failure Count"]), *times)
