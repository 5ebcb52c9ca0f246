"""A whole model set as files: what training writes and the gateway reads, side by side so that they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from contracts import Calibration, EvidenceTable, Floats, ModelSet
from errors import ArtefactError
from runners.artefact import grid_of, member_specs, read_manifest, verify_fingerprint

CALIBRATION_FILE = "calibration.npz"
EVIDENCE_FILE = "evidence.npz"
_EVIDENCE_ARRAYS = tuple(field.name for field in fields(EvidenceTable) if field.name not in ("scope", "window"))


def load_model_set(folder: Path) -> ModelSet:
    """The published set in ``folder``; raises ArtefactError where it does not fit this code or itself."""
    manifest = read_manifest(folder)
    verify_fingerprint(manifest)
    calibration = _arrays(folder / CALIBRATION_FILE)
    evidence = _arrays(folder / EVIDENCE_FILE)
    try:
        return ModelSet(
            version=manifest["models_version"],
            grid=grid_of(manifest),
            members=member_specs(manifest),
            calibration={kind: _calibration(kind, calibration) for kind in manifest["kinds"]},
            evidence={name: _table(name, about, evidence) for name, about in manifest["evidence"].items()},
            manifest=manifest,
        )
    except KeyError as error:
        raise ArtefactError(f"the model set in {folder} lacks {error}; publish it again with `make train`") from None


def save_arrays(folder: Path, calibration: Mapping[str, Calibration], evidence: Mapping[str, EvidenceTable]) -> None:
    """Write the numbers that go with the members; the words go into the manifest."""
    parts = {
        f"{kind}.{field.name}": getattr(each, field.name)
        for kind, each in calibration.items()
        for field in fields(Calibration)
    }
    _write_arrays(folder / CALIBRATION_FILE, parts)
    tables = {
        f"{name}.{part}": np.asarray(getattr(table, part), np.float64)
        for name, table in evidence.items()
        for part in _EVIDENCE_ARRAYS
    }
    _write_arrays(folder / EVIDENCE_FILE, tables)


def describe_evidence(table: EvidenceTable) -> dict[str, Any]:
    """The words of an evidence table, as the manifest keeps them."""
    return {"scope": table.scope, "window": [day.isoformat() for day in table.window]}


def _calibration(kind: str, arrays: Mapping[str, Floats]) -> Calibration:
    return Calibration(**{field.name: arrays[f"{kind}.{field.name}"] for field in fields(Calibration)})


def _table(name: str, about: Mapping[str, Any], arrays: Mapping[str, Floats]) -> EvidenceTable:
    first, last = (date.fromisoformat(day) for day in about["window"])
    parts = {part: arrays[f"{name}.{part}"] for part in _EVIDENCE_ARRAYS}
    return EvidenceTable(**parts, scope=about["scope"], window=(first, last))


def _write_arrays(path: Path, arrays: Mapping[str, Floats]) -> None:
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _arrays(path: Path) -> dict[str, Floats]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path.name} of the model set cannot be read ({type(error).__name__})") from None
