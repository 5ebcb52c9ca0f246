"""GARCH(1,1)-t, GJR-GARCH(1,1)-t and filtered historical simulation: what a forecast of the spread has to beat.

Fitted by `arch` on the symbol's own last ten years known at the refit date, refitted every year, filtered forward
in between. Nothing after an origin enters its quantiles: a test changes the future and looks for a difference.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from backtest.dynamics import Dynamics, SimulatedQuantiles, next_variances
from contracts import Floats, Ints

REFIT_EVERY = 250
SHORTEST_FIT = 500
# Ten years. Fitted on all of a long past, GARCH describes a market that is gone and loses to EWMA: a weak reference
# would flatter us. Of 750 to all bars this did best on the bundled shares.
LONGEST_FIT = 2500
PATHS = 4096
GARCH_NAMES = ("garch", "gjr", "fhs")
# Where the optimiser starts if its own choice led nowhere: mean, omega, alpha, (gamma,) beta, degrees of freedom.
SECOND_START = {False: (0.0, 0.02, 0.05, 0.93, 6.0), True: (0.0, 0.02, 0.03, 0.05, 0.92, 6.0)}
# The normal scores between which the t quantile function is tabulated; no draw lies beyond.
TABULATED_SCORES = np.linspace(-7.0, 7.0, 2801)


@dataclass(frozen=True, slots=True)
class Fit:
    """Parameters, and the degrees of freedom of their t innovations."""

    dynamics: Dynamics
    degrees_of_freedom: float


class FitFailed(Exception):
    """The optimiser found no usable parameters; the message says why."""


@dataclass(frozen=True, slots=True)
class References:
    """``quantiles`` by name: (n_rows, n_horizons, n_levels), NaN before the first fit; ``problems`` in words."""

    quantiles: dict[str, Floats]
    problems: tuple[str, ...]


def garch_references(
    closes: Floats, rows: Ints, horizons: Ints, levels: Sequence[float], rng: np.random.Generator
) -> References:
    """Quantiles of all three for origins at the bars ``rows`` (n_rows,) of (n_bars,) closes.

    ``horizons`` increase. A fit made at bar 500, 750, ..., on the LONGEST_FIT returns before it, serves the origins
    up to the next. One that fails is replaced by the one before and reported.
    """
    returns = np.diff(np.log(closes))
    half = rng.standard_normal((int(horizons[-1]), PATHS // 2))
    scores = np.concatenate([half, -half], axis=1)
    quantiles = {name: np.full((len(rows), len(horizons), len(levels)), np.nan) for name in GARCH_NAMES}
    problems: list[str] = []
    fits: dict[bool, Fit] = {}
    for block in np.unique(rows // REFIT_EVERY):
        known = int(block) * REFIT_EVERY
        if known < SHORTEST_FIT:
            continue
        chosen = rows // REFIT_EVERY == block
        first = max(known - LONGEST_FIT, 0)
        past, seen = returns[first:known], returns[first : int(rows[chosen].max())]
        problems += _refit(fits, past, known)
        for name, asymmetric in (("garch", False), ("gjr", True), ("fhs", False)):
            if asymmetric in fits:
                draw = _resampled(fits[asymmetric], past) if name == "fhs" else _student(fits[asymmetric])
                quantiles[name][chosen] = _quantiles(
                    fits[asymmetric], seen, len(past), rows[chosen] - first, draw(scores), horizons, levels
                )
    return References(quantiles, tuple(dict.fromkeys(problems)))


def fit_garch(returns: Floats, asymmetric: bool) -> Fit:
    """Maximum likelihood with a constant mean and Student t innovations; raises FitFailed.

    Returns are fitted in units of their standard deviation and the parameters scaled back, so that the optimiser
    sees the same problem for a currency and for a coin.
    """
    from arch.univariate import GARCH, ConstantMean, StudentsT

    scale = float(np.std(returns))
    if scale <= 0:
        raise FitFailed("the price never moved")
    model = ConstantMean(
        returns / scale, rescale=False, volatility=GARCH(1, int(asymmetric), 1), distribution=StudentsT()
    )
    reason = ""
    for start in (None, np.array(SECOND_START[asymmetric])):
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            result = model.fit(disp="off", show_warning=False, starting_values=start)
        values = np.asarray(result.params, np.float64)
        reason = _objection(values, int(result.convergence_flag), [str(each.message) for each in raised])
        if not reason:
            return _scaled_back(values, scale, asymmetric)
    raise FitFailed(reason)


def _objection(values: Floats, flag: int, raised: Sequence[str]) -> str:
    """Why a result must not be used, or nothing. Warnings met on the way to a result that converged are harmless."""
    if flag != 0:
        return f"the optimiser stopped with code {flag}" + "".join(f"; {text}" for text in raised[:1])
    if not np.isfinite(values).all():
        return "a parameter is not finite"
    if values[1] <= 0 or values[-1] <= 2:
        return "the fitted variance is not positive or not finite"
    return ""


def _scaled_back(values: Floats, scale: float, asymmetric: bool) -> Fit:
    mean, omega, alpha = values[:3]
    gamma = values[3] if asymmetric else 0.0
    beta, degrees = values[-2:]
    return Fit(
        Dynamics(float(mean * scale), float(omega * scale**2), float(alpha), float(gamma), float(beta)), float(degrees)
    )


def _refit(fits: dict[bool, Fit], past: Floats, known: int) -> list[str]:
    """Put the fits on ``past`` into ``fits``; those that fail leave what is there, and a sentence."""
    problems = []
    for asymmetric, title in ((False, "GARCH"), (True, "GJR")):
        try:
            fits[asymmetric] = fit_garch(past, asymmetric)
        except FitFailed as failure:
            instead = "the fit of the year before is used" if asymmetric in fits else "that year is left out"
            problems.append(f"{title} at bar {known}: {failure}; {instead}")
    return problems


def _student(fit: Fit) -> Callable[[Floats], Floats]:
    """Normal scores to draws of a t distribution with variance one, by its quantile function."""
    degrees = fit.degrees_of_freedom
    table = student.ppf(ndtr(TABULATED_SCORES), degrees) * np.sqrt((degrees - 2.0) / degrees)
    return lambda scores: np.interp(scores, TABULATED_SCORES, table)


def _resampled(fit: Fit, past: Floats) -> Callable[[Floats], Floats]:
    """Normal scores to draws, with replacement, of past standardised residuals (Barone-Adesi et al., 1999)."""
    dynamics = fit.dynamics
    residuals = np.sort((past - dynamics.mean) / np.sqrt(next_variances(past, dynamics)[:-1]))
    return lambda scores: residuals[np.minimum((ndtr(scores) * len(residuals)).astype(np.intp), len(residuals) - 1)]


def _quantiles(
    fit: Fit,
    seen: Floats,
    known: int,
    rows: Ints,
    innovations: Floats,
    horizons: Ints,
    levels: Sequence[float],
) -> Floats:
    """Filter ``seen`` returns with parameters fitted on the first ``known``, and read off the quantiles of origins
    after ``rows`` of them."""
    variances = next_variances(seen, fit.dynamics)
    simulated = SimulatedQuantiles(fit.dynamics, variances[:known], innovations, horizons, levels)
    return simulated.at(variances[rows])
