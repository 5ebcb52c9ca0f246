"""What `make serve` runs, as a person uses it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

import serve
from tests.e2e.server import A_WHILE, PATIENCE, ROOT, command_of, environment, free_port, stop

pytestmark = pytest.mark.e2e


def _launcher(tmp_path: Path, model_set_dir: Path, **settings: str) -> subprocess.Popen[str]:
    env = environment(tmp_path / "unused", MODEL_SET_DIR=str(model_set_dir), STATE_DIR=str(tmp_path), **settings)
    for name in ("ML_SERVICE_API_KEY", "BENTOML_HOME", "RUNNER_LAYOUT"):
        env.pop(name)
    return subprocess.Popen(
        [sys.executable, "serve.py"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_it_prints_a_call_that_works_and_ends_when_asked(tmp_path: Path, model_set_dir: Path):
    port = free_port()
    launcher = _launcher(tmp_path, model_set_dir, PORT=str(port))
    try:
        banner = _read_until(launcher, "Ctrl-C")
        (command,) = re.findall(r"^  (curl .*?-d '.*?')$", banner, re.MULTILINE | re.DOTALL)
        answer = json.loads(subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout)
        assert answer["symbol"] == "AAPL"
        key = (tmp_path / "api_key").read_text().strip()
        assert key in command
        address = f"http://127.0.0.1:{port}/api/v1/models/status"
        status = httpx.get(address, headers={"X-API-Key": key}, timeout=A_WHILE).json()
        assert "cores" in status["layout_reason"]
        family = psutil.Process(launcher.pid).children(recursive=True)
        assert any(
            {"--service-name", "--timeout-keep-alive", str(serve.IDLE)} <= {*command_of(each)} for each in family
        )
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(A_WHILE) == 0
        gone, alive = psutil.wait_procs(family, timeout=A_WHILE)
        assert len(gone) >= 2  # supervisor and gateway, and runners where there are cores for them
        assert not alive
    finally:
        stop(launcher)
        if launcher.stdout:
            launcher.stdout.close()


def test_a_wrong_setting_is_told_in_a_line(tmp_path: Path, model_set_dir: Path):
    launcher = _launcher(tmp_path, model_set_dir, PORT="five")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 2
    assert said == "DeepFinance cannot start: PORT: expected a whole number from 1 to 65535, got 'five'\n"


def test_without_the_launcher_too_it_is_told_without_a_trace(tmp_path: Path, model_set_dir: Path):
    env = environment(tmp_path, MODEL_SET_DIR=str(model_set_dir), ML_SERVICE_API_KEY="")
    command = [sys.executable, "-m", "bentoml", "serve", "service:DeepFinance", "--port", str(free_port())]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode != 0
    assert "ML_SERVICE_API_KEY is not set" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def _read_until(process: subprocess.Popen[str], text: str, patience: float = PATIENCE) -> str:
    assert process.stdout
    said, end = "", time.monotonic() + patience
    while text not in said and time.monotonic() < end:
        line = process.stdout.readline()
        if not line:
            break
        said += line
    assert text in said, said
    return said
