"""`make bento` packs what serving needs and nothing else, and what it packed serves somewhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.server import KEY, PATIENCE, ROOT, environment, eventually, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an image is built from."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("context")
    run = subprocess.run(
        [sys.executable, "deploy/container/context.py", str(folder)],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "docker build --tag deepfinance:" in run.stdout
    return folder


@pytest.fixture(scope="module")
def bento(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of it the image holds, in a folder of its own."""
    ignored = (context / ".dockerignore").read_text().split()
    folder = tmp_path_factory.mktemp("image") / "bento"
    shutil.copytree(context, folder, ignore=shutil.ignore_patterns(*ignored))
    return folder


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_holds_the_models_and_only_what_serving_needs(bento: Path):
    source = _files(bento / "src")
    assert {"service.py", "configuration.yaml", "models_store/current/manifest.json"} <= source
    assert {"requirements/serving.lock", "deploy/container/start.sh", "deploy/container/healthy.py"} <= source
    assert "storage/history/migrations/versions/0001_forecasts.py" in source
    assert not {name for name in source if name.startswith(("tests/", "training/", "networks/", ".", "serve.py"))}
    assert not {name for name in source if name.endswith((".onnx", ".ubj"))}
    packed = {Path(name).name for name in _files(bento / "models")}
    assert {"xgboost.ubj", "lstm.onnx", "transformer.onnx", "manifest.json"} <= packed


def test_it_needs_no_torch_and_keeps_no_secret(context: Path):
    lock = (context / "src" / "requirements" / "serving.lock").read_text()
    assert "bentoml==" in lock
    assert "torch" not in lock
    assert "nvidia-nccl" not in lock
    for file in _files(context):
        assert KEY.encode() not in (context / file).read_bytes(), file


def test_the_image_is_made_as_the_template_says(context: Path):
    template = (ROOT / "deploy" / "container" / "Dockerfile.template").read_text()
    dockerfile = (context / "Dockerfile").read_text()
    assert dockerfile.strip() == template.partition("#}\n")[2].strip()
    assert (context / "src" / "deploy" / "container" / "start.sh").stat().st_mode & 0o111 == 0o111
    assert all(path.stat().st_mode & 0o004 for path in context.rglob("*")), "the service's user could not read it"


def test_it_serves_from_its_own_files_alone_and_says_whether_it_is_well(bento: Path, tmp_path: Path):
    check = [sys.executable, str(bento / "src" / "deploy" / "container" / "healthy.py")]
    with running(".", tmp_path / "home", cwd=bento) as server, server.client() as client:
        answer = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 5})
        assert answer.status_code == 200, answer.text
        assert answer.json()["degraded"] == []
        assert client.get("/docs.json").json()["openapi"].startswith("3.1")
        for process in server.family():
            with suppress(psutil.NoSuchProcess):  # one that has ended meanwhile
                assert str(ROOT) not in [process.cwd(), process.environ().get("PYTHONPATH")]
        port = {"PORT": server.url.rpartition(":")[2]}
        eventually(lambda: subprocess.run(check, env=port, check=False).returncode == 0, "it says that it is well")
    refused = subprocess.run(check, env=port, check=False, capture_output=True)
    assert refused.returncode == 1
    assert b"/readyz" in refused.stderr
