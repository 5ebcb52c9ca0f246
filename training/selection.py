"""Which members answer unless others are named: those whose absence the calibration window would notice.

Estimated weights never reach zero (ensemble/weights.py pulls them half way to equal), so a member that adds nothing
would cost its computation and a little loss for ever. Backward elimination instead, on equally weighted averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backtest.score import SCORED_LEVELS, standard_error
from contracts import Floats, Grid, Times
from training.plan import HORIZON_WEIGHTS

# Inference of more would not fit the time that one forecast may take, and none of ours was better for it.
LARGEST = 5
# Standard errors by which the loss must grow without a member for it to stay.
NOISE = 1.0
# Bars over which differences of loss are related: outcomes of longer horizons overlap more but weigh little.
OVERLAP = 20


def useful_members(
    answers: Mapping[str, Floats],
    outcomes: Floats,
    origins: Times,
    grid: Grid,
    largest: int = LARGEST,
    always: Sequence[str] = (),
) -> tuple[str, ...]:
    """Of members with (n_rows, n_horizons, n_levels) z quantiles, those to keep, in the order given.

    ``outcomes`` are (n_rows, n_horizons), NaN where not known, ``origins`` (n_rows,). The member whose absence hurts
    least is dropped, again and again, while there are more than ``largest`` or its absence does not raise the loss by
    more than NOISE standard errors; at least one stays, and so do those in ``always``.
    """
    kept = list(answers)
    while len(kept) > 1 and (droppable := [name for name in kept if name not in always]):
        rises = absence(kept, answers, outcomes, grid)
        weakest = min(droppable, key=lambda name: float(rises[name].mean()))
        error = standard_error(rises[weakest], origins, OVERLAP)
        if len(kept) <= largest and rises[weakest].mean() > NOISE * error:
            break
        kept.remove(weakest)
    return tuple(kept)


def absence(names: Sequence[str], answers: Mapping[str, Floats], outcomes: Floats, grid: Grid) -> dict[str, Floats]:
    """For each member, by how much each row's loss rises, (n_rows,), when the mean of all goes on without it."""
    levels = [grid.levels.index(level) for level in SCORED_LEVELS if level in grid.levels]
    total = sum((answers[name][..., levels] for name in names), np.zeros((*outcomes.shape, len(levels))))
    everyone = row_loss(total / len(names), outcomes, levels, grid)
    return {
        name: row_loss((total - answers[name][..., levels]) / (len(names) - 1), outcomes, levels, grid) - everyone
        for name in names
    }


def row_loss(quantiles: Floats, outcomes: Floats, levels: Sequence[int], grid: Grid) -> Floats:
    """(n_rows,) pinball loss in z over the levels at these positions, horizons weighted as in training; an unknown
    outcome counts as no loss."""
    weights = np.array(HORIZON_WEIGHTS) if len(grid.horizons) == len(HORIZON_WEIGHTS) else np.ones(len(grid.horizons))
    tau = np.array([grid.levels[at] for at in levels])
    miss = outcomes[..., None] - quantiles
    loss = np.nan_to_num(np.maximum(tau * miss, (tau - 1.0) * miss).mean(axis=-1))
    rows: Floats = loss @ (weights / weights.sum())
    return rows
