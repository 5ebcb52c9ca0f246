"""The staging folder of a training run, and which of its finished fits a later run may use.

    .current.staging/        beside the set that is to be published, so that a rename puts it there
        lock                 held while a run works here
        fits/har.npz         a finished fit
        fits/har.npz.json    its stamp, written last: what it was made from, its own hash, its losses
        set/                 the challenger as it would be published

A fit is used again when its stamp names the inputs of this run and the hash of the file. A file without a stamp, or
one that differs from it, was not finished and counts for nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from errors import ConfigurationError
from features.spec import fingerprint
from training.history import History
from training.members import MemberPlan
from training.plan import Plan

ROOT = Path(__file__).resolve().parent.parent
# What a fit depends on beside its data. The features are named by their values (features.spec.fingerprint).
_SOURCES = (
    "networks/*.py",
    "backtest/*.py",
    "training/fit_*.py",
    "training/members.py",
    "training/export.py",
    "training/plan.py",
    "training/history.py",
)
_LIBRARIES = ("numpy", "scipy", "xgboost-cpu", "torch", "onnx")

Losses = list[tuple[int, float, float]]


@dataclass(frozen=True, slots=True)
class Staging:
    """Where one run works."""

    folder: Path

    @property
    def fits(self) -> Path:
        return self.folder / "fits"

    @property
    def set(self) -> Path:
        return self.folder / "set"

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def staging_for(target: Path, *, fresh: bool = False) -> Iterator[Staging]:
    """The staging folder of ``target``, for this run alone; emptied first when ``fresh``."""
    staging = Staging(target.with_name(f".{target.name}.staging"))
    staging.fits.mkdir(parents=True, exist_ok=True)
    handle = os.open(staging.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _lock(handle, target)
        if fresh:
            shutil.rmtree(staging.fits)
            staging.fits.mkdir()
        yield staging
    finally:
        os.close(handle)


def _lock(handle: int, target: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(f"another training run is working on {target}; wait for it or use --out") from None


def inputs_of(member: MemberPlan, teachers: Sequence[History], plan: Plan) -> str:
    """A name for everything that decides what a fit comes to: two runs with the same name fit the same file."""
    parts = {
        "member": asdict(member),
        "training": [plan.windows.training, plan.windows.stopping],
        "grid": asdict(plan.grid),
        "seed": plan.seed,
        "fast": plan.fast,
        "features": fingerprint(),
        "code": _code(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "data": [history.bars.fingerprint for history in teachers],
    }
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def finish(part: Path, path: Path, inputs: str, losses: Losses) -> None:
    """Make the fit written to ``part`` the finished file ``path``; the stamp comes last."""
    stamp = {"inputs": inputs, "sha256": _sha256(part), "losses": losses}
    part.replace(path)
    written = stamp_of(path).with_suffix(".part")
    written.write_text(json.dumps(stamp))
    written.replace(stamp_of(path))


def finished(path: Path, inputs: str) -> Losses | None:
    """The losses of the fit in ``path`` where it was finished from these inputs, else None."""
    try:
        stamp = json.loads(stamp_of(path).read_text())
        same = stamp["inputs"] == inputs and stamp["sha256"] == _sha256(path)
        return [(int(epoch), float(loss), float(held)) for epoch, loss, held in stamp["losses"]] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stamp_of(path: Path) -> Path:
    """The stamp beside a fit."""
    return path.with_name(path.name + ".json")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
