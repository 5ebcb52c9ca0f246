"""What the routes tell of a model set, from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts import AssetClass, MemberSpec, ModelSet, Timeframe, kind_of
from gateway.reports import MemberReport, ModelsReport

CLOSES = kind_of(AssetClass.EQUITY, has_ranges=False)


def models_report(published: ModelSet, timeframes: tuple[Timeframe, ...]) -> ModelsReport:
    """The set with its members, in published order."""
    return ModelsReport(
        models_version=published.version,
        feature_fingerprint=_part(published.manifest, "features")["fingerprint"],
        timeframes=list(timeframes),
        horizons=list(published.grid.horizons),
        quantile_levels=list(published.grid.levels),
        members=[_member_report(spec, published) for spec in published.members],
        scores=_part(published.manifest, "scores"),
    )


def _member_report(spec: MemberSpec, published: ModelSet) -> MemberReport:
    at = published.names.index(spec.name)
    weights = {kind: each.weights[at].tolist() for kind, each in published.calibration.items()}
    return MemberReport(
        name=spec.name,
        version=spec.version,
        kind=spec.kind,
        sha256=spec.sha256.removeprefix("sha256:"),
        weights=weights[CLOSES],
        weights_by_kind=weights,
        training_window=_part(published.manifest, "windows").get("training"),
        scores=_member_scores(published.manifest, spec.name),
    )


def _member_scores(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the member is worth alone and to the ensemble, by kind of series and window (training/leaderboard.py)."""
    boards = _part(manifest, "leaderboard").items()
    rows = {
        kind: {window: next((row for row in rows if row["member"] == name), None) for window, rows in board.items()}
        for kind, board in boards
    }
    found = {kind: {window: row for window, row in board.items() if row} for kind, board in rows.items()}
    return {kind: board for kind, board in found.items() if board}


def _part(manifest: Mapping[str, Any], name: str) -> Any:
    return manifest.get(name) or {}
