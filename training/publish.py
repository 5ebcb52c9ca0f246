"""Turn a finished set into files: manifest, arrays, model card. The folder is replaced in one step."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contracts import MemberInput, MemberKind, MemberSpec, ModelSet
from features.ranges import RANGE_NAMES
from features.spec import FEATURE_NAMES, ROW_WIDTHS, fingerprint
from runners.artefact import MANIFEST
from runners.model_set import describe_evidence, save_arrays
from training.card import model_card
from training.history import History
from training.plan import Plan

LIBRARIES = ("numpy", "scipy", "xgboost-cpu", "torch", "onnx", "onnxruntime")


def member_spec(name: str, path: Path, kind: MemberKind, takes: MemberInput) -> MemberSpec:
    """What the manifest says of a fitted member; its version is the start of its file's hash."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return MemberSpec(name, digest[:12], path.name, f"sha256:{digest}", kind, takes, ROW_WIDTHS[takes])


def publish(
    staging: Path,
    target: Path,
    model_set: ModelSet,
    histories: Sequence[History],
    plan: Plan,
    scores: Mapping[str, Any],
) -> ModelSet:
    """Complete ``staging`` (which holds the members' files) and move it to ``target``; returns the set as published."""
    save_arrays(staging, model_set.calibration, model_set.evidence)
    manifest = _manifest(staging, model_set, histories, plan, scores)
    published = replace(model_set, version=manifest["models_version"], manifest=manifest)
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    (staging / "MODEL_CARD.md").write_text(model_card(published))
    _swap(staging, target)
    return published


def _manifest(
    staging: Path, model_set: ModelSet, histories: Sequence[History], plan: Plan, scores: Mapping[str, Any]
) -> dict[str, Any]:
    arrays = {path.name: _sha256(path) for path in sorted(staging.glob("*.npz"))}
    content = hashlib.sha256("".join([m.sha256 for m in model_set.members] + list(arrays.values())).encode())
    windows = plan.windows
    return {
        "models_version": f"{windows.evidence.end:%Y%m%d}-{content.hexdigest()[:10]}",
        "features": {"fingerprint": fingerprint(), "names": list(FEATURE_NAMES), "ranges": list(RANGE_NAMES)},
        "grid": asdict(model_set.grid),
        "members": [asdict(member) for member in model_set.members],
        "kinds": list(model_set.calibration),
        "weights": {
            kind: {member.name: each.weights[i].tolist() for i, member in enumerate(model_set.members)}
            for kind, each in model_set.calibration.items()
        },
        "files": arrays,
        "windows": {
            name: [getattr(windows, name).start.isoformat(), getattr(windows, name).end.isoformat()]
            for name in ("training", "calibration", "evidence")
        },
        "seed": plan.seed,
        "data": {history.bars.symbol: history.bars.fingerprint for history in histories},
        "versions": {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES},
        "evidence": {name: describe_evidence(table) for name, table in model_set.evidence.items()},
        "scores": scores,
    }


def _sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _swap(staging: Path, target: Path) -> None:
    """Put ``staging`` where ``target`` is; a crash leaves the old set or the new one, never half of each."""
    retired = target.with_name(target.name + ".old")
    shutil.rmtree(retired, ignore_errors=True)
    if target.exists():
        target.rename(retired)
    staging.rename(target)
    shutil.rmtree(retired, ignore_errors=True)
