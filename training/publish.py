"""Turn a finished set into files: members, arrays, manifest, curves, card, and what was decided about it."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contracts import MemberSpec, ModelSet
from features.spec import FEATURE_NAMES, RANGE_NAMES, ROW_WIDTHS, fingerprint
from runners.artefact import MANIFEST
from runners.model_set import CALIBRATION_FILE, EVIDENCE_FILE, describe_evidence, save_arrays
from training.card import model_card
from training.champion import Verdict
from training.curves import draw_curves
from training.history import History
from training.members import MemberPlan
from training.plan import Plan
from training.resume import Losses

LIBRARIES = ("numpy", "scipy", "xgboost-cpu", "torch", "onnx", "onnxruntime")
PROMOTION_FILE = "promotion.json"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a set was made from. ``candles`` only taught members that use ranges; ``refused`` are series with the
    reason why they could not be used, ``left_out`` members with the reason why they are not in the set."""

    histories: Sequence[History]
    candles: Sequence[History]
    refused: Mapping[str, str]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured: of the ensemble, rows by asset class, and of the members, a leaderboard by kind of series."""

    ensemble: Mapping[str, Any]
    members: Mapping[str, Any]


def member_spec(member: MemberPlan, folder: Path) -> MemberSpec:
    """What the manifest says of a fitted member; its version is the start of its file's hash."""
    digest = _sha256(folder / member.file)
    short = digest.removeprefix("sha256:")[:12]
    return MemberSpec(member.name, short, member.file, digest, member.kind, member.takes, ROW_WIDTHS[member.takes])


def write_set(
    folder: Path,
    fits: Path,
    model_set: ModelSet,
    sources: Sources,
    plan: Plan,
    scores: Scores,
    losses: Mapping[str, Losses],
) -> ModelSet:
    """Write the whole set but its verdict into ``folder``, which is emptied first; the set as it would be published."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for member in model_set.members:
        shutil.copyfile(fits / member.file, folder / member.file)
    save_arrays(folder, model_set.calibration, model_set.evidence)
    draw_curves({member.name: losses.get(member.name, []) for member in model_set.members}, folder)
    manifest = _manifest(folder, model_set, sources, plan, scores)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return replace(model_set, version=manifest["models_version"], manifest=manifest)


def write_verdict(folder: Path, written: ModelSet, verdict: Verdict) -> None:
    """Say why the set is published, beside the manifest: the same set has the same manifest whatever it replaced."""
    (folder / PROMOTION_FILE).write_text(json.dumps(asdict(verdict), indent=2, default=str) + "\n")
    (folder / "MODEL_CARD.md").write_text(model_card(written, verdict))


def _manifest(folder: Path, model_set: ModelSet, sources: Sources, plan: Plan, scores: Scores) -> dict[str, Any]:
    arrays = {name: _sha256(folder / name) for name in (CALIBRATION_FILE, EVIDENCE_FILE)}
    content = hashlib.sha256("".join([m.sha256 for m in model_set.members] + list(arrays.values())).encode())
    windows = plan.windows
    return {
        "models_version": f"{windows.evidence.end:%Y%m%d}-{content.hexdigest()[:10]}",
        "timeframe": plan.timeframe,
        "features": {"fingerprint": fingerprint(), "names": list(FEATURE_NAMES), "ranges": list(RANGE_NAMES)},
        "grid": asdict(model_set.grid),
        "members": [asdict(member) for member in model_set.members],
        "left_out": {"members": dict(sources.left_out), "series": dict(sources.refused)},
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
        "fast": plan.fast,
        "data": {history.bars.symbol: history.bars.fingerprint for history in sources.histories},
        "providers": sorted({history.bars.provider for history in sources.histories}),
        "range_data": {history.bars.symbol: history.bars.fingerprint for history in sources.candles},
        "versions": {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES},
        "evidence": {name: describe_evidence(table) for name, table in model_set.evidence.items()},
        "scores": scores.ensemble,
        "leaderboard": scores.members,
    }


def _sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
