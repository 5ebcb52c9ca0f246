"""The probability that the price is higher at the horizon: read from the calibrated distribution, then recalibrated.

P(rise) = 1 - P(return <= 0), passed through a logistic map with an intercept and a slope fitted on data later
than training (Platt, 1999). The slope is kept in [0, 1]: calibration may pull the probability towards the
base rate, never push it further away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts import Floats
from ensemble.surface import probability_below

_EDGE = 1e-6


def raw_probability_up(surfaces: Floats, levels: Sequence[float]) -> Floats:
    """(..., n_levels) log-return quantiles -> (...,) probability of a positive return."""
    return 1.0 - probability_below(surfaces, levels, 0.0)


def recalibrated(probability: Floats, parameters: Floats) -> Floats:
    """(..., n_steps) probabilities and (n_steps, 2) intercepts and slopes -> recalibrated probabilities."""
    logits = parameters[:, 0] + parameters[:, 1] * _logit(probability)
    result: Floats = 1.0 / (1.0 + np.exp(-logits))
    return result


def fit_recalibration(probability: Floats, rose: Floats, iterations: int = 50) -> tuple[float, float]:
    """Intercept and slope by Newton's method on the log likelihood; (n_rows,) probabilities and 0/1 outcomes.

    A slope outside [0, 1] is moved to the nearer end and the intercept fitted again.
    """
    x = _logit(probability)
    intercept, slope = _newton(np.stack([np.ones_like(x), x], axis=1), rose, np.zeros_like(x), iterations)
    if 0.0 <= slope <= 1.0:
        return intercept, slope
    slope = float(np.clip(slope, 0.0, 1.0))
    (intercept,) = _newton(np.ones((len(x), 1)), rose, slope * x, iterations)
    return intercept, slope


def _newton(design: Floats, rose: Floats, offset: Floats, iterations: int) -> tuple[float, ...]:
    beta = np.zeros(design.shape[1])
    for _ in range(iterations):
        p = 1.0 / (1.0 + np.exp(-(design @ beta + offset)))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, design.T @ (rose - p))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return tuple(float(b) for b in beta)


def _logit(probability: Floats) -> Floats:
    p = np.clip(probability, _EDGE, 1 - _EDGE)
    result: Floats = np.log(p / (1 - p))
    return result
