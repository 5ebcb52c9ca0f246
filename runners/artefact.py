"""Reading a model set: its manifest, what it says about each member, whether the files are those it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts import Grid, MemberSpec, Timeframe
from errors import ArtefactError
from features.spec import fingerprint

MANIFEST = "manifest.json"
SERVED_TIMEFRAMES: tuple[Timeframe, ...] = ("1d",)
_ADVICE = (
    "restore models_store/current from the repository, publish a new set with `make train`, or name another folder in "
    "MODEL_SET_DIR"
)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The parsed manifest of the set in ``folder``."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"no model set: {path} does not exist; {_ADVICE}") from None
    except ValueError as error:
        raise ArtefactError(f"{path} is not JSON ({error}); {_ADVICE}") from None
    if not isinstance(manifest, dict) or "members" not in manifest:
        raise ArtefactError(f"{path} is not the manifest of a model set; {_ADVICE}")
    return manifest


def member_specs(manifest: Mapping[str, Any]) -> tuple[MemberSpec, ...]:
    """Every member, in published order."""
    fields = [name for name in MemberSpec.__dataclass_fields__ if name != "fitted"]
    return tuple(
        MemberSpec(**{name: member[name] for name in fields}, fitted=member.get("fitted", "pooled"))
        for member in manifest["members"]
    )


def member_spec(manifest: Mapping[str, Any], name: str) -> MemberSpec:
    """The member called ``name``."""
    for spec in member_specs(manifest):
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in member_specs(manifest))
    raise ArtefactError(f"the model set has no member {name!r} (it has: {known}); {_ADVICE}")


def grid_of(manifest: Mapping[str, Any]) -> Grid:
    """The horizons and levels that every member answers."""
    return Grid(tuple(manifest["grid"]["horizons"]), tuple(manifest["grid"]["levels"]))


def verify_file(folder: Path, spec: MemberSpec) -> Path:
    """The path of the member's file, whose bytes are the ones that were published."""
    _verify_bytes(folder / spec.file, spec.sha256)
    return folder / spec.file


def _verify_bytes(path: Path, sha256: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise ArtefactError(f"the model set lacks {path.name}; {_ADVICE}") from None
    expected = sha256.removeprefix("sha256:")
    if found != expected:
        raise ArtefactError(
            f"{path.name} was changed after it was published: sha256 {expected[:12]}... expected, "
            f"{found[:12]}... found; {_ADVICE}"
        )


def verify_fingerprint(manifest: Mapping[str, Any]) -> None:
    """Refuse a set that was trained on features other than the ones this code computes."""
    published = manifest["features"]["fingerprint"]
    if published != (computed := fingerprint()):
        raise ArtefactError(
            f"the model set was trained on other features ({published[:19]}...) than this code computes "
            f"({computed[:19]}...): train a new set with `make train`, or check out the code it belongs to"
        )


def read_member(folder: Path, name: str) -> tuple[MemberSpec, Grid]:
    """What the set says about one member, after checking its file and the features it was trained on."""
    manifest = read_manifest(folder)
    spec = member_spec(manifest, name)
    verify_fingerprint(manifest)
    verify_file(folder, spec)
    return spec, grid_of(manifest)


def verify_servable(folder: Path) -> None:
    """Refuse the set in ``folder`` unless ``verify_model_set`` takes it and it forecasts bars that are served."""
    verify_model_set(folder)
    timeframe = read_manifest(folder).get("timeframe", "1d")
    if timeframe not in SERVED_TIMEFRAMES:
        raise ArtefactError(
            f"the model set forecasts {timeframe} bars; this version serves {', '.join(SERVED_TIMEFRAMES)} alone"
        )


def verify_model_set(folder: Path) -> None:
    """Refuse the set in ``folder`` unless all of its files are as published and fit this code."""
    manifest = read_manifest(folder)
    verify_fingerprint(manifest)
    for spec in member_specs(manifest):
        verify_file(folder, spec)
    for name, sha256 in manifest.get("files", {}).items():
        _verify_bytes(folder / name, sha256)
