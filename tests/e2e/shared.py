"""Servers that several files of tests use. TOGETHER in tests/conftest.py names those files, so that there is one of
each server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import A_WHILE, ROOT, Server, command_of, eventually, running
from tests.runners import tiny

# where a proxy is configured it must not be asked for this machine
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


RUNNERS = ("XgboostRunner", "LstmRunner", "TransformerRunner")
OLD = "2001.01.01-old"
"""The version of ``published`` when ``breakable`` starts."""
WHOLE_CALL = 25.0
"""Seconds that a call to a model of ``breakable`` may take. A process that was killed does not answer: who waits for it
all the same waits as long."""


@pytest.fixture(scope="session")
def model_set_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped set; a tiny one where none is published yet."""
    shipped = ROOT / "models_store" / "current"
    if (shipped / "manifest.json").exists():
        return shipped
    return tiny.write_model_set(tmp_path_factory.mktemp("tiny") / "current")


@pytest.fixture(scope="session")
def price_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``server`` reads price files from."""
    return tmp_path_factory.mktemp("price-files")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model_set_dir: Path, price_files: Path) -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    home = tmp_path_factory.mktemp("serving")
    settings = {"MODEL_SET_DIR": str(model_set_dir), "DATA_DIR": str(price_files), "SETTLEMENT_INTERVAL": "3600"}
    with running("service:DeepFinance", home, **settings) as started:
        yield started


def write_set(folder: Path, version: str, seed: int) -> Path:
    """A tiny set whose networks differ from those of another seed."""
    tiny.write_model_set(folder, version)
    for name in ("lstm", "transformer"):
        tiny._write_graph(folder / f"{name}.onnx", seed=seed)
    tiny.write_manifest(folder, version)
    return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model set of ``breakable``."""
    return write_set(tmp_path_factory.mktemp("published") / "current", OLD, seed=1)


@pytest.fixture(scope="session")
def _breakable(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Iterator[Server]:
    settings = {"MODEL_SET_DIR": str(published), "PREDICTION_CACHE_TTL": "0", "RUNNER_TIMEOUT": f"{WHOLE_CALL:g}"}
    with running("service:DeepFinance", tmp_path_factory.mktemp("breakable"), **settings) as started:
        yield started


@pytest.fixture
def breakable(_breakable: Server) -> Server:
    """A server whose runners tests may kill and whose models they may replace; it keeps no answer. All runners are back
    from what other tests did to them, and the gateway holds on to each of them."""
    with _breakable.client() as client:
        eventually(lambda: not models_away(client), "every runner is back", 2 * A_WHILE)
    eventually(lambda: watched_processes(_breakable) >= len(RUNNERS), "the gateway watches every runner")
    return _breakable


def models_away(client: httpx.Client) -> set[str]:
    """Those that do not answer at the moment."""
    members = client.get("/api/v1/models/status").json()["members"]
    return {it["name"] for it in members if it["circuit"] != "closed"}


def watched_processes(server: Server) -> int:
    """How many the gateway would be told of if they died (runners/lifeline.py)."""
    (gateway,) = [it for it in server.family() if "DeepFinance" in command_of(it)]
    held = [link_of(it) for it in Path(f"/proc/{gateway.pid}/fd").iterdir()]
    return sum("pidfd" in it for it in held)


def link_of(path: Path) -> str:
    """Empty where it is gone."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
