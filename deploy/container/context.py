"""Builds the Bento and writes all that an image of it is made from: `make bento`.

    python deploy/container/context.py build/container

The folder then holds the Bento with its models and a Dockerfile: `docker build build/container` needs nothing else. The
Bento stays in BentoML's store as well, for `bentoml containerize` and `bentoml export`.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import bentoml

ROOT = Path(__file__).resolve().parents[2]


def build() -> bentoml.Bento:
    """The Bento that bentofile.yaml describes."""
    return bentoml.bentos.build_bentofile(build_ctx=str(ROOT))


def write_context(bento: bentoml.Bento, folder: Path) -> None:
    """Put the Bento, its models and its Dockerfile into ``folder``, in place of what was there."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "bento.yaml").exists():
        raise SystemExit(f"{folder} holds something else than a Bento; name an empty folder")
    with tempfile.TemporaryDirectory() as scratch:
        packed = bentoml.export_bento(bento.tag, str(Path(scratch, "packed.bento")))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    shutil.copy(folder / "env/docker/Dockerfile", folder)
    for path in folder.rglob("*"):  # whatever this machine's umask is, the service's user must be able to read it
        path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
    (folder / ".dockerignore").write_text("apis\nenv\nDockerfile\n.dockerignore\n")


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/container")
    bento = build()
    write_context(bento, folder)
    sys.stdout.write(f"\n{bento.tag} is built. An image of it:\n\n  docker build --tag {bento.tag} {folder}\n")


if __name__ == "__main__":
    main()
