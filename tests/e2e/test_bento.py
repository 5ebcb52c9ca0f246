"""`bentoml build` packs what serving needs and nothing else, and what it packed serves somewhere else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.e2e.server import KEY, ROOT, environment, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built, exported and unpacked Bento."""
    if not (ROOT / "models_store" / "current" / "manifest.json").exists():
        pytest.skip("no model set is published yet")
    folder = tmp_path_factory.mktemp("bento")
    env = environment(folder / "home")
    (folder / "home").mkdir()
    tag = _bentoml(env, "build", "--output", "tag").strip().splitlines()[-1].removeprefix("__tag__:")
    _bentoml(env, "export", tag, str(folder / "packed.bento"))
    with tarfile.open(folder / "packed.bento") as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked"


def _bentoml(env: dict[str, str], *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_holds_the_models_and_only_what_serving_needs(bento: Path):
    source = _files(bento / "src")
    assert {"service.py", "configuration.yaml", "models_store/current/manifest.json"} <= source
    assert "storage/history/migrations/versions/0001_forecasts.py" in source
    assert not {name for name in source if name.startswith(("tests/", "training/", "networks/", ".", "serve.py"))}
    assert not {name for name in source if name.endswith((".onnx", ".ubj"))}
    packed = {Path(name).name for name in _files(bento / "models")}
    assert {"xgboost.ubj", "lstm.onnx", "transformer.onnx", "manifest.json"} <= packed


def test_it_needs_no_torch_and_keeps_no_secret(bento: Path):
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml==" in requirements
    assert "torch" not in requirements
    for file in ("bento.yaml", "env/docker/Dockerfile"):
        assert KEY not in (bento / file).read_text()


def test_it_serves_from_its_own_files(bento: Path, tmp_path: Path):
    with running(".", tmp_path / "home", cwd=bento) as server, server.client() as client:
        answer = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 5})
        assert answer.status_code == 200, answer.text
        assert answer.json()["degraded"] == []
        assert client.get("/docs.json").json()["openapi"].startswith("3.1")
