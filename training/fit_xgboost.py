"""The tree member: one multi-quantile booster for all horizons, the horizon being its last column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xgboost as xgb

from contracts import Floats32
from features.filtered import KNOTS
from training.history import History, units
from training.plan import HORIZON_WEIGHTS, Plan

ROUNDS = 60
MAX_BIN = 64
DRAWS = 3  # horizons drawn for each row; all nine would cost three times as much and say little more
PARAMETERS = {
    "objective": "reg:quantileerror",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.07,
    "min_child_weight": 300,
    "subsample": 0.5,
    "colsample_bynode": 0.4,
    "max_bin": MAX_BIN,
}


def fit_xgboost(histories: Sequence[History], plan: Plan, path: Path) -> None:
    """Fit on the training window and write the booster to ``path``."""
    inputs, outcomes = training_rows(histories, plan)
    parameters = PARAMETERS | {"quantile_alpha": np.array(plan.grid.levels), "nthread": 1, "seed": plan.seed}
    if plan.fast:
        parameters |= {"max_depth": 2}
    data = training_data(inputs, outcomes)
    booster = xgb.train(parameters, data, 5 if plan.fast else ROUNDS)
    booster.save_model(path)


def training_data(inputs: Floats32, outcomes: Floats32) -> xgb.QuantileDMatrix:
    """What trees learn from. The volatility ahead is the unit of the outcomes already; trees that could split on it as
    well learned long horizons by heart, so its columns, the last before log(horizon), are never drawn."""
    data = xgb.QuantileDMatrix(inputs, outcomes, max_bin=MAX_BIN, nthread=1)
    drawn = np.ones(inputs.shape[1], np.float32)
    drawn[-1 - len(KNOTS) : -1] = 0.0
    data.set_info(feature_weights=drawn)
    return data


def training_rows(histories: Sequence[History], plan: Plan) -> tuple[Floats32, Floats32]:
    """(n, n_features + 1) rows, log(horizon) last, and their (n,) outcomes in units of the volatility ahead; horizons
    drawn by their weights."""
    rng = np.random.Generator(np.random.PCG64(plan.seed))
    horizons = np.asarray(plan.grid.horizons)
    share = np.asarray(HORIZON_WEIGHTS) / sum(HORIZON_WEIGHTS)
    inputs, outcomes = [], []
    for history in histories:
        z, usable = (
            history.z(plan.grid) / units(history, "tabular", plan.grid),
            history.inside(plan.windows.training, plan.grid.horizons),
        )
        for _ in range(DRAWS):
            drawn = rng.choice(len(horizons), len(z), p=share)
            rows = np.flatnonzero(usable[np.arange(len(z)), drawn])
            column = np.log(horizons[drawn[rows]])[:, None]
            inputs.append(np.concatenate([history.matrix.tabular[rows], column], axis=1))
            outcomes.append(z[rows, drawn[rows]])
    return np.concatenate(inputs).astype(np.float32), np.concatenate(outcomes).astype(np.float32)
