"""Weights, conformal offsets and the recalibration of the sign, fitted on data later than the members' training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backtest.splits import Window
from contracts import Calibration, Floats, MemberSpec, ModelSet
from ensemble.combine import blend, usable_weights
from ensemble.conformal import fit_offsets
from ensemble.direction import fit_recalibration, raw_probability_up
from ensemble.distribution import distribution
from ensemble.weights import fit_weights
from training.history import History
from training.plan import Plan

REGIME_POINTS = 101
NO_RECALIBRATION = (0.0, 1.0)


def calibrate(
    histories: Sequence[History],
    answers: Sequence[Mapping[str, Floats]],
    members: Sequence[MemberSpec],
    plan: Plan,
) -> ModelSet:
    """A model set with everything but evidence. ``answers`` are the members' z quantiles for each history."""
    window, grid = plan.windows.calibration, plan.grid
    names = [member.name for member in members]
    inside = [history.inside(window, grid.horizons) for history in histories]
    rows = [np.flatnonzero(usable.any(axis=1)) for usable in inside]
    z = [np.where(usable, history.z(grid), np.nan) for history, usable in zip(histories, inside, strict=True)]
    outcomes = np.concatenate([each[at] for each, at in zip(z, rows, strict=True)])
    pooled = {name: np.concatenate([each[name][at] for each, at in zip(answers, rows, strict=True)]) for name in names}
    regime = np.concatenate([history.matrix.regime[at] for history, at in zip(histories, rows, strict=True)])
    weights = _weights(pooled, outcomes, grid.levels)
    subsets = [[name for i, name in enumerate(names) if mask >> i & 1] for mask in range(1, 2 ** len(names))]
    offsets = [_offsets(alive, names, pooled, weights, outcomes, grid.levels) for alive in subsets]
    draft = ModelSet(
        version="draft",
        grid=grid,
        members=tuple(members),
        weights=weights,
        calibration=Calibration(
            offsets=np.stack(offsets),
            direction=np.tile(NO_RECALIBRATION, (grid.horizons[-1], 1)),
            regime=np.quantile(regime, np.linspace(0, 1, REGIME_POINTS)),
        ),
        evidence={},
        manifest={},
    )
    return replace(
        draft, calibration=replace(draft.calibration, direction=_direction(histories, answers, draft, window))
    )


def _weights(pooled: Mapping[str, Floats], outcomes: Floats, levels: Sequence[float]) -> Floats:
    """(n_members, n_horizons), one simplex per horizon."""
    columns = []
    for i in range(outcomes.shape[1]):
        known = ~np.isnan(outcomes[:, i])
        columns.append(fit_weights([each[known, i] for each in pooled.values()], outcomes[known, i], levels))
    return np.stack(columns, axis=1)


def _offsets(
    alive: Sequence[str],
    names: Sequence[str],
    pooled: Mapping[str, Floats],
    weights: Floats,
    outcomes: Floats,
    levels: Sequence[float],
) -> Floats:
    """(n_horizons, n_levels) conformal offsets for one subset of the members."""
    blended = blend([pooled[name] for name in alive], usable_weights(weights, names, alive, None))
    return np.stack([fit_offsets(outcomes[:, i], blended[:, i], levels) for i in range(outcomes.shape[1])])


def _direction(
    histories: Sequence[History], answers: Sequence[Mapping[str, Floats]], draft: ModelSet, window: Window
) -> Floats:
    """(n_steps, 2) intercept and slope of the sign's recalibration at every horizon."""
    steps = np.arange(1, draft.grid.horizons[-1] + 1)
    probabilities, rose = [], []
    for history, members in zip(histories, answers, strict=True):
        inside = history.inside(window, steps)
        rows = np.flatnonzero(inside[:, 0])
        matrix = history.matrix.take(rows)
        spread = distribution(draft, {name: z[rows] for name, z in members.items()}, matrix)
        probabilities.append(np.where(inside[rows], raw_probability_up(spread.surfaces, spread.levels), np.nan))
        rose.append((history.returns[rows] > 0).astype(np.float64))
    probability, outcome = np.concatenate(probabilities), np.concatenate(rose)
    known = ~np.isnan(probability)
    return np.array(
        [fit_recalibration(probability[known[:, i], i], outcome[known[:, i], i]) for i in range(len(steps))]
    )
