"""`python -m tests.contract.run [--cases N] [--stateful]`: schemathesis against a real server, with a key and without.

Prints what it prints. About a minute for every two thousand requests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway import option_examples, portfolio_examples
from tests.e2e.server import ANYWHERE, KEY, PATIENCE, ROOT, Server, eventually, running

PHASES = "examples,coverage,fuzzing"


@dataclass(frozen=True)
class Outcome:
    """What a run found; ``text`` is what schemathesis printed."""

    cases: int
    passed: bool
    text: str


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """A server that lets the hooks say where a request comes from, and has its process for heavy work begun: on a busy
    machine what that imports takes longer than a request waits."""
    with running("service:DeepFinance", home, TRUSTED_PROXIES="127.0.0.1", RUNNER_LAYOUT=ANYWHERE) as server:
        eventually(lambda: _works_hard(server), "portfolios and options are computed", PATIENCE)
        yield server


def _works_hard(server: Server) -> bool:
    asked = {"risk/portfolio": portfolio_examples.REQUEST, "options/price": option_examples.CONTRACT}
    with server.client() as client:
        return {client.post(f"/api/v1/{path}", json=body).status_code for path, body in asked.items()} == {200}


def check(server: Server, folder: Path, *, key: str | None, options: Sequence[str]) -> Outcome:
    """One run of schemathesis, every check on."""
    report = folder / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{server.url}/docs.json"),
        *("--checks", "all", "--continue-on-failure", "--request-timeout", "120", "--suppress-health-check", "all"),
        *("--warnings", "off"),
        *("--report", "json", "--report-json-path", str(report)),
        *(() if key is None else ("--header", f"X-API-Key: {key}")),
        *options,
    ]
    more = {"SCHEMATHESIS_HOOKS": "tests.contract.hooks", "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    return _outcome(done, report)


def _outcome(done: subprocess.CompletedProcess[str], report: Path) -> Outcome:
    told: dict[str, Any] = json.loads(report.read_bytes())["test_cases"] if report.exists() else {}
    return Outcome(told.get("generated", 0), done.returncode == 0, done.stdout + done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=150, help="most cases of each route that are made up (150)")
    parser.add_argument("--stateful", action="store_true", help="also follow one request with another")
    asked = parser.parse_args()
    phases = PHASES + (",stateful" if asked.stateful else "")
    options = ("--phases", phases, "--max-examples", str(asked.cases), "--generation-database", "none")
    with TemporaryDirectory() as folder, served(Path(folder) / "home") as server:
        for key in (KEY, None):
            outcome = check(server, Path(folder), key=key, options=options)
            sys.stdout.write(f"\n##### {'without' if key is None else 'with'} a key\n{outcome.text}\n")


if __name__ == "__main__":
    main()
