"""A Prometheus of one's own over services of one's own: Debian's package ``prometheus`` has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.promql import seconds
from tests.e2e.server import KEY, ROOT, Server, free_port

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
LONGEST_SHORTENED = 3600.0
"""Seconds. Ranges of days reach further back than any run, so they need not be shortened."""


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **params: Any) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, timeout=30)
        answer.raise_for_status()
        return answer.json()["data"]

    def firing(self) -> Mapping[str, str]:
        """The summary of every alert that fires, by its name."""
        alerts = self.get("alerts")["alerts"]
        return {it["labels"]["alertname"]: it["annotations"]["summary"] for it in alerts if it["state"] == "firing"}


def program() -> str | None:
    """Where it is, None where it is not installed."""
    return shutil.which("prometheus")


def shortened(rules: str, times: float) -> str:
    """The rules with every duration of up to an hour so many times shorter."""
    ranges = re.sub(r"\[(\w+)\]", lambda it: f"[{_shorter(it[1], times)}]", rules)
    return re.sub(r"\b(for|interval): (\w+)", lambda it: f"{it[1]}: {_shorter(it[2], times)}", ranges)


def _shorter(duration: str, times: float) -> str:
    length = seconds(duration)
    return duration if length > LONGEST_SHORTENED else f"{round(1000 * length / times)}ms"


@contextmanager
def watching(servers: Sequence[Server], folder: Path, *, scrape: str = "15s", times: float = 1) -> Iterator[Prometheus]:
    """One that scrapes ``servers`` with the rules of deploy/prometheus, everything ``times`` faster; its data stays in
    ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    every = _shorter(scrape, times)
    config = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "deepfinance",
                "authorization": {"credentials": KEY},
                "static_configs": [{"targets": [it.url.removeprefix("http://") for it in servers]}],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (folder / "rules.yaml").write_text(shortened(RULES.read_text(), times))
    with _running(folder, "prometheus.yaml") as prometheus:
        yield prometheus


@contextmanager
def reading(folder: Path) -> Iterator[Prometheus]:
    """One over what such a one has left in ``folder``, which adds nothing to it."""
    (folder / "reading.yaml").write_text("{}\n")
    with _running(folder, "reading.yaml") as prometheus:
        yield prometheus


@contextmanager
def _running(folder: Path, config: str) -> Iterator[Prometheus]:
    port = free_port()
    command = [
        program() or "prometheus",
        f"--config.file={folder / config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _when_ready(f"http://127.0.0.1:{port}", process, folder / "prometheus.log")
    finally:
        process.terminate()
        process.wait(20)


def _when_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready", timeout=3).status_code == 200:
                return Prometheus(url)
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
