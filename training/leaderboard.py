"""What each member is worth: its own skill, and what the ensemble would lose without it.

Before calibration, in log returns, pooled over the symbols; on the calibration window, where weights were chosen, and
for information on the evidence window, where nothing was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from backtest.score import SCORED_LEVELS, diebold_mariano, pinball_loss, skill
from backtest.splits import Window
from contracts import Floats, ModelSet, Times, kind_of
from ensemble.combine import blend, usable_weights
from training.history import History
from training.plan import Plan

SHOWN_HORIZONS = (1, 5, 20)

Answered = Sequence[tuple[History, Mapping[str, Floats]]]
Board = dict[str, list[dict[str, Any]]]


def leaderboards(answered: Answered, model_set: ModelSet, plan: Plan) -> dict[str, Board]:
    """A leaderboard for each kind of series (contracts.kind_of) that there are outcomes of, by kind."""
    kinds: dict[str, list[tuple[History, Mapping[str, Floats]]]] = {}
    for history, answers in answered:
        kinds.setdefault(kind_of(history.asset_class, history.bars.has_ranges), []).append((history, answers))
    boards = {kind: leaderboard(pairs, model_set, kind, plan) for kind, pairs in kinds.items()}
    return {kind: board for kind, board in boards.items() if board}


def leaderboard(answered: Answered, model_set: ModelSet, kind: str, plan: Plan) -> Board:
    """Rows by window, best member first: ``weight`` (mean over the horizons), and at each of SHOWN_HORIZONS
    ``skill_vs_ewma`` of the member alone, ``adds`` and ``t_adds``: by which share of the ensemble's loss that grows
    without it, or for a member without weight would shrink if it joined with an equal share.

    ``answered`` are series of one ``kind`` with every member's z quantiles. A window without outcomes has no rows.
    """
    windows = {"calibration": plan.windows.calibration, "evidence": plan.windows.evidence}
    boards = {name: _board(answered, model_set, kind, window) for name, window in windows.items()}
    return {name: rows for name, rows in boards.items() if rows}


def leaderboards_markdown(boards: Mapping[str, Board]) -> str:
    """All of them, with a heading each, as the model card shows them."""
    parts = [
        f"### {kind}, {window} window\n\n{leaderboard_table(rows)}"
        for kind, board in boards.items()
        for window, rows in board.items()
    ]
    return "\n\n".join(parts)


def leaderboard_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of one window as Markdown, in per cent."""
    horizons = [horizon for horizon in SHOWN_HORIZONS if f"skill_vs_ewma_{horizon}" in rows[0]]
    titles = ["member", "mean weight"]
    titles += [f"skill vs EWMA %, {horizon} d" for horizon in horizons]
    titles += [f"adds %, {horizon} d (t)" for horizon in horizons]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    for row in rows:
        skills = [f"{100 * row[f'skill_vs_ewma_{horizon}']:.1f}" for horizon in horizons]
        added = [f"{100 * row[f'adds_{horizon}']:.2f} ({row[f't_adds_{horizon}']:.1f})" for horizon in horizons]
        lines.append([row["member"], f"{row['weight']:.2f}", *skills, *added])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _board(answered: Answered, model_set: ModelSet, kind: str, window: Window) -> list[dict[str, Any]]:
    horizons = [horizon for horizon in SHOWN_HORIZONS if horizon in model_set.grid.horizons]
    per_horizon = {horizon: _at(answered, model_set, kind, window, horizon) for horizon in horizons}
    if not all(per_horizon.values()):
        return []
    weights = model_set.calibration[kind].weights.mean(axis=1)
    names = list(next(iter(per_horizon.values())))
    rows = [
        {
            "member": name,
            "weight": float(weights[model_set.names.index(name)]),
            **{f"{part}_{horizon}": found[name][part] for horizon, found in per_horizon.items() for part in PARTS},
        }
        for name in names
    ]
    return sorted(rows, key=lambda row: -float(np.mean([row[f"skill_vs_ewma_{horizon}"] for horizon in horizons])))


PARTS = ("skill_vs_ewma", "adds", "t_adds")


def _at(
    answered: Answered, model_set: ModelSet, kind: str, window: Window, horizon: int
) -> dict[str, dict[str, float]]:
    """Each member's PARTS at one horizon; empty where the window holds nothing."""
    column = model_set.grid.horizons.index(horizon)
    levels = [model_set.grid.levels.index(level) for level in SCORED_LEVELS]
    losses: dict[str, list[Floats]] = {}
    origins: list[Times] = []
    for history, answers in answered:
        rows = np.flatnonzero(history.inside(window, [horizon])[:, 0])
        if not rows.size:
            continue
        outcomes = history.z(model_set.grid)[rows, column]
        unit = history.matrix.sigma[rows] * np.sqrt(horizon)
        z = {name: each[rows][:, [column]][..., levels] for name, each in answers.items()}
        for name, quantiles in _contestants(z, model_set, kind, column).items():
            losses.setdefault(name, []).append(unit * pinball_loss(outcomes, quantiles, SCORED_LEVELS))
        origins.append(history.origins[rows])
    if not losses:
        return {}
    pooled = {name: np.concatenate(parts) for name, parts in losses.items()}
    times = np.concatenate(origins)
    members = [name.removeprefix("alone: ") for name in pooled if name.startswith("alone: ")]
    return {name: _parts(name, pooled, times, horizon) for name in members}


def _contestants(z: Mapping[str, Floats], model_set: ModelSet, kind: str, column: int) -> dict[str, Floats]:
    """(n_rows, n_levels) quantiles of EWMA, of the ensemble, of each member alone, of the ensemble without each of its
    members, and of the ensemble joined by each of the others."""
    weights = model_set.calibration[kind].weights[:, [column]]
    names = [name for name, row in zip(model_set.names, weights, strict=True) if row[0] > 0 and name in z]
    everyone = _blended(z, weights, model_set.names, names)
    found = {"ewma": np.tile(ndtri(np.array(SCORED_LEVELS)), (len(everyone), 1)), "ensemble": everyone}
    for name, quantiles in z.items():
        found[f"alone: {name}"] = quantiles[:, 0]
        if name not in names:
            found[f"joined: {name}"] = (len(names) * everyone + quantiles[:, 0]) / (len(names) + 1)
        elif len(names) > 1:
            others = [each for each in names if each != name]
            found[f"without: {name}"] = _blended(z, weights, model_set.names, others)
    return found


def _blended(z: Mapping[str, Floats], weights: Floats, published: Sequence[str], names: Sequence[str]) -> Floats:
    return blend([z[name] for name in names], usable_weights(weights, published, names, None))[:, 0]


def _parts(name: str, losses: Mapping[str, Floats], times: Times, horizon: int) -> dict[str, float]:
    ensemble = losses["ensemble"]
    without, joined = losses.get(f"without: {name}", ensemble), losses.get(f"joined: {name}", ensemble)
    statistic, _ = diebold_mariano(without - joined, times, horizon)
    return {
        "skill_vs_ewma": skill(losses[f"alone: {name}"], losses["ewma"]),
        "adds": float((without - joined).sum() / ensemble.sum()),
        "t_adds": statistic,
    }
