"""The statistical members: `garch`, with Student t quantiles, and `fhs`, with those of the past itself.

One pair of dynamics for all shares (pooled), by maximum likelihood on their returns up to the end of the training
window. Nothing is fitted to a symbol, and nothing in a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter
from scipy.special import expit, gammaln, logit
from scipy.stats import t as student

from contracts import Floats, Grid
from features.returns import YEAR, realised
from runners.garch import Dynamics, scales
from training.history import History
from training.plan import Plan

START = (float(logit(0.97)), float(logit(0.08)), float(np.log(4.0)))  # persistence, share of a in it, df - 2
BURN_IN = 64
THINNING = 5  # outcomes of neighbouring bars overlap


def fit_garch(name: str, histories: Sequence[History], plan: Plan, path: Path) -> None:
    """Write ``path`` (.npz): ``dynamics`` (2,) are a and b, ``table`` (n_horizons, n_levels) the quantiles of a return
    in units of its forecast volatility: Student t for `garch`, empirical for `fhs`."""
    dynamics, _ = fit_dynamics([_returns(history, plan) for history in histories], plan.fast)
    standardised = _standardised(histories, dynamics, plan)
    table = student_table(standardised, plan.grid) if name == "garch" else empirical_table(standardised, plan.grid)
    np.savez_compressed(path, allow_pickle=False, dynamics=np.array([dynamics.a, dynamics.b]), table=table)


def fit_dynamics(series: Sequence[Floats], fast: bool = False) -> tuple[Dynamics, float]:
    """Pooled dynamics and degrees of freedom of Student t innovations (Bollerslev, 1987) that maximise the
    likelihood of (n_bars,) log returns, each series with the long-run variance of its own last 250 bars."""
    prepared = [(returns[YEAR:], _long_run(returns)) for returns in series if len(returns) > YEAR + BURN_IN + 1]

    def loss(point: Floats) -> float:
        dynamics, freedom = _unpacked(point)
        return -sum(log_likelihood(returns, long_run, dynamics, freedom) for returns, long_run in prepared)

    best = minimize(
        loss, START, method="Nelder-Mead", options={"maxiter": 30 if fast else 300, "xatol": 1e-4, "fatol": 1e-2}
    )
    return _unpacked(best.x)


def log_likelihood(returns: Floats, long_run: Floats, dynamics: Dynamics, freedom: float) -> float:
    """Of (n_bars,) returns, given the (n_bars,) long-run variance known before each; the first bars warm up."""
    variance = path_variance(returns, long_run, dynamics)[BURN_IN:]
    squares = returns[BURN_IN:] ** 2 / variance
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(np.pi * (freedom - 2))
    terms = -0.5 * np.log(variance) - (freedom + 1) / 2 * np.log1p(squares / (freedom - 2))
    return float(len(squares) * constant + terms.sum())


def path_variance(returns: Floats, long_run: Floats, dynamics: Dynamics) -> Floats:
    """(n_bars,) variance of each return, as known before it: the recursion of runners/garch.py over a whole series."""
    pushes = (1.0 - dynamics.persistence) * long_run[1:] + dynamics.a * returns[:-1] ** 2
    later, _ = lfilter([1.0], [1.0, -dynamics.b], pushes, zi=[dynamics.b * long_run[0]])
    return np.concatenate([long_run[:1], later])


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


def _standardised(histories: Sequence[History], dynamics: Dynamics, plan: Plan) -> list[Floats]:
    """For each horizon, the training window's outcomes in units of the volatility that the member forecast."""
    parts = []
    for history in histories:
        inside = history.inside(plan.windows.training, plan.grid.horizons)
        rows = np.flatnonzero(inside.any(axis=1))
        forecast = scales(history.matrix.take(rows).rows_for("flat"), dynamics, plan.grid.horizons)
        parts.append(np.where(inside, history.z(plan.grid), np.nan)[rows] / forecast)
    pooled = np.concatenate(parts)
    return [column[~np.isnan(column)] for column in pooled.T]


def _returns(history: History, plan: Plan) -> Floats:
    """Log returns up to the end of the training window."""
    known = history.bars.times.astype("datetime64[D]") <= np.datetime64(plan.windows.training.end)
    return np.diff(np.log(history.bars.total_return_close[known]))


def _long_run(returns: Floats) -> Floats:
    """(n_bars - 250,) realised variance of the 250 bars before each bar from the 251st on."""
    return realised(returns, YEAR)[YEAR - 1 : -1] ** 2


def _unpacked(point: Floats) -> tuple[Dynamics, float]:
    persistence, share = float(expit(point[0])), float(expit(point[1]))
    return Dynamics(persistence * share, persistence * (1.0 - share)), 2.0 + float(np.exp(point[2]))
