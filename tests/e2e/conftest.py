from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, running
from tests.runners.tiny import write_model_set

# where a proxy is configured it must not be asked for this machine
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.fixture(scope="session")
def model_set_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped set; a tiny one where none is published yet."""
    shipped = ROOT / "models_store" / "current"
    if (shipped / "manifest.json").exists():
        return shipped
    return write_model_set(tmp_path_factory.mktemp("tiny") / "current")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model_set_dir: Path) -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    home, data = tmp_path_factory.mktemp("serving"), data_dir(tmp_path_factory)
    with running("service:DeepFinance", home, MODEL_SET_DIR=str(model_set_dir), DATA_DIR=str(data)) as started:
        yield started


def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the server reads price files from: one for the session."""
    folder = tmp_path_factory.getbasetemp() / "price-files"
    folder.mkdir(exist_ok=True)
    return folder
