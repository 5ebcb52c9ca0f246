"""A random forest (Breiman, 2001) of quantile trees: XGBoost with many trees in parallel and one round.

Each tree sees a sample of the rows, each node a sample of the columns, and leaves hold the quantiles of their own
rows, so trees are averaged instead of correcting each other. The horizon is a column, as for the booster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xgboost as xgb

from training.fit_xgboost import MAX_BIN, training_data, training_rows
from training.history import History
from training.plan import Plan

TREES = 40
PARAMETERS = {
    "objective": "reg:quantileerror",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 1.0,
    "min_child_weight": 300,
    "subsample": 0.4,
    "colsample_bynode": 0.4,
    "max_bin": MAX_BIN,
}


def fit_forest(histories: Sequence[History], plan: Plan, path: Path) -> None:
    """Fit on the training window and write the forest to ``path``."""
    inputs, outcomes = training_rows(histories, plan)
    parameters = PARAMETERS | {
        "quantile_alpha": np.array(plan.grid.levels),
        "num_parallel_tree": 2 if plan.fast else TREES,
        "nthread": 1,
        "seed": plan.seed,
    }
    data = training_data(inputs, outcomes)
    xgb.train(parameters, data, 1).save_model(path)
