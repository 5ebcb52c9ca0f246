"""The shipped model set as one model in BentoML's store: runners load it there, `bentoml build` packs it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException, NotFound
from bentoml.models import BentoModel

from errors import ArtefactError
from runners.artefact import MANIFEST, read_manifest

NAME = "deepfinance"
SERVED = "DEEPFINANCE_SERVED"
"""Environment variable of the processes of a running service: the file that names the version it serves."""


def model_set_tag(manifest: Mapping[str, Any]) -> bentoml.Tag:
    """``deepfinance:<models_version>``."""
    version = str(manifest["models_version"])
    try:
        tag = bentoml.Tag(NAME, version)
    except (ValueError, BentoMLException) as error:
        raise ArtefactError(f"models_version {version!r} cannot name a stored model: {error}") from None
    if tag.version != version or version == "latest":
        raise ArtefactError(f"models_version {version!r} cannot name a stored model: use a-z, 0-9, '.', '-', '_'")
    return tag


def declared_model_set(folder: Path) -> BentoModel:
    """The set to declare on a service class; it is put into the store first where ``folder`` has its files.

    In a built Bento ``folder`` holds the manifest alone and the Bento's own store holds the rest. In a process of a
    running service it is the set that is served, whatever ``folder`` holds by now.
    """
    if version := served_version():
        return BentoModel(bentoml.Tag(NAME, version))
    manifest = read_manifest(folder)
    if any((folder / member["file"]).exists() for member in manifest["members"]):
        ensure_stored(folder)
    return BentoModel(model_set_tag(manifest))


def ensure_stored(folder: Path) -> bentoml.Tag:
    """Put the set in ``folder`` into the store unless it is there; processes starting together do it once."""
    tag = model_set_tag(read_manifest(folder))
    if _is_stored(tag, folder):
        return tag
    with _locked():
        if not _is_stored(tag, folder):
            _discard_unfinished(tag)
            with bentoml.models.create(tag, labels={"project": NAME}) as model:
                _copy(folder, Path(model.path))
    return tag


def stored_sets() -> list[tuple[str, Path]]:
    """Version and folder of every stored set."""
    return [(str(model.tag.version), Path(model.path)) for model in bentoml.models.list(NAME)]


def stored_folder(version: str) -> Path:
    """Where the set of that version is stored; raises ArtefactError where it is not."""
    stored = _find(bentoml.Tag(NAME, version))
    if stored is None:
        raise ArtefactError(f"the model set {version} is not stored")
    return stored


def serve_version(version: str) -> None:
    """Say to every process of the service which set is served, those included that are started later.

    Raises OSError where nothing can be written beside the stored sets.
    """
    path = Path(os.environ.get(SERVED) or _store_folder() / f".{NAME}.served")
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(version)
    draft.replace(path)
    os.environ[SERVED] = str(path)


def served_version() -> str | None:
    """The version that is served; None outside of a running service."""
    try:
        return Path(os.environ[SERVED]).read_text().strip() or None
    except (KeyError, OSError):
        return None


def _is_stored(tag: bentoml.Tag, folder: Path) -> bool:
    """True when the store has this very set; raises where another set has taken its name."""
    stored = _find(tag)
    if stored is None or not _complete(stored, folder):
        return False
    if (stored / MANIFEST).read_bytes() != (folder / MANIFEST).read_bytes():
        raise ArtefactError(
            f"the BentoML store has another model set called {tag}: publish this one under a new version, "
            f"or remove the stored one with `bentoml models delete {tag}`"
        )
    return True


def _complete(stored: Path, folder: Path) -> bool:
    """False for what a killed copy left behind: a file is missing or shorter than its source."""
    return (
        all(
            (copy := stored / source.name).exists() and copy.stat().st_size >= source.stat().st_size
            for source in _files(folder)
            if source.name != MANIFEST
        )
        and (stored / MANIFEST).exists()
    )


def _find(tag: bentoml.Tag) -> Path | None:
    try:
        stored = bentoml.models.get(tag)
    except (NotFound, BentoMLException):
        return None
    return Path(stored.path) if stored.tag == tag else None  # the store also matches by prefix


def _discard_unfinished(tag: bentoml.Tag) -> None:
    shutil.rmtree(_store_folder() / tag.path(), ignore_errors=True)


def _copy(folder: Path, target: Path) -> None:
    for source in _files(folder):
        shutil.copy2(source, target / source.name)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


@contextmanager
def _locked() -> Iterator[None]:
    """One process at a time: BentoML's own registration is neither atomic nor guarded."""
    home = _store_folder()
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home / f".{NAME}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _store_folder() -> Path:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.model_store.get()._path)
