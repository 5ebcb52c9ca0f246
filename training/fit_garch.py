"""The statistical members: the volatility ahead (features/filtered.py) times the quantiles of a return in its units.

`garch` has Student t quantiles, `fhs` those of the past itself, `fhs_range` the same for the volatility that ranges
tell. The quantiles are pooled over the training window; nothing is fitted to a symbol, and nothing in a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import t as student

from contracts import Floats, Grid, MemberInput
from features.filtered import KNOTS, knot_weights
from features.spec import ROW_WIDTHS
from training.history import History, units
from training.plan import Plan

THINNING = 5  # outcomes of neighbouring bars overlap


def fit_garch(name: str, takes: MemberInput, histories: Sequence[History], plan: Plan, path: Path) -> None:
    """Write ``path`` (.npz) in the form of a linear member whose scale is the volatility ahead and nothing else."""
    standardised = _standardised(takes, histories, plan)
    table = student_table(standardised, plan.grid) if name == "garch" else empirical_table(standardised, plan.grid)
    width, n_horizons = ROW_WIDTHS[takes], plan.grid.shape[0]
    log_scale = np.zeros((width, n_horizons))
    log_scale[-len(KNOTS) :] = knot_weights(plan.grid.horizons)
    np.savez_compressed(
        path,
        allow_pickle=False,
        mean=np.zeros(width),
        deviation=np.ones(width),
        shift=np.zeros((width, n_horizons)),
        log_scale=log_scale,
        base=table,
    )


def student_table(standardised: Sequence[Floats], grid: Grid) -> Floats:
    """(n_horizons, n_levels): location, scale and degrees of freedom by maximum likelihood, a horizon at a time. In
    theory the tails of a sum come from the dynamics; fitted to sums of h returns they need no simulation."""
    return np.stack([_student_quantiles(values[::THINNING], grid.levels) for values in standardised])


def empirical_table(standardised: Sequence[Floats], grid: Grid) -> Floats:
    """(n_horizons, n_levels): filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper, 1999), with
    h-bar returns themselves in units of their forecast volatility instead of paths of one-bar returns."""
    return np.stack([np.quantile(values, grid.levels) for values in standardised])


def _student_quantiles(values: Floats, levels: Sequence[float]) -> Floats:
    def loss(point: Floats) -> float:
        location, scale, freedom = point[0], np.exp(point[1]), 2.0 + np.exp(point[2])
        return -float(student.logpdf((values - location) / scale, freedom).mean() - point[1])

    start = (float(np.median(values)), float(np.log(values.std())), 1.0)
    location, log_scale, log_freedom = minimize(loss, start, method="Nelder-Mead").x
    quantiles: Floats = location + np.exp(log_scale) * student.ppf(np.asarray(levels), 2.0 + np.exp(log_freedom))
    return quantiles


def _standardised(takes: MemberInput, histories: Sequence[History], plan: Plan) -> list[Floats]:
    """For each horizon, the training window's outcomes in units of the volatility ahead."""
    parts = [
        np.where(
            history.inside(plan.windows.training, plan.grid.horizons),
            history.z(plan.grid) / units(history, takes, plan.grid),
            np.nan,
        )
        for history in histories
    ]
    pooled = np.concatenate(parts)
    return [column[~np.isnan(column)] for column in pooled.T]
