"""Conditional variance of one series, and quantiles h bars ahead when it is simulated forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from contracts import Floats, Ints

# Starting variances that are simulated, evenly spaced in their logarithm. Quantiles in units of the expected
# volatility change so slowly between them that 11 leave no visible interpolation error.
STARTS = 11
BACKCAST_BARS, BACKCAST_DECAY = 75, 0.94
BLOCK = 64
_STEPS = np.arange(BLOCK)


@dataclass(frozen=True, slots=True)
class Dynamics:
    """GJR-GARCH(1,1) of log returns (Glosten, Jagannathan and Runkle, 1993); GARCH (Bollerslev, 1986) if gamma is 0.

    r_t = mean + e_t, e_t = s_t z_t, s_{t+1}^2 = omega + (alpha + gamma 1[e_t < 0]) e_t^2 + beta s_t^2.
    """

    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float

    @property
    def persistence(self) -> float:
        """How much of a change of variance is left after one bar, for innovations that are symmetric about zero."""
        return self.alpha + self.gamma / 2.0 + self.beta


def next_variances(returns: Floats, dynamics: Dynamics) -> Floats:
    """(n_returns,) -> (n_returns + 1,) variance of each return as known one bar before; the last is of the next one.

    The first comes from the decaying mean square of the first 75 residuals, as in arch. It sees those bars, so the
    first 75 variances must not be scored.
    """
    residuals = returns - dynamics.mean
    head = residuals[:BACKCAST_BARS] ** 2
    backcast = np.average(head, weights=BACKCAST_DECAY ** np.arange(len(head)))
    first = dynamics.omega + dynamics.persistence * backcast
    pushes = dynamics.omega + (dynamics.alpha + dynamics.gamma * (residuals < 0)) * residuals**2
    return decaying(pushes, dynamics.beta, float(first))


def decaying(pushes: Floats, decay: float, first: float) -> Floats:
    """(n,) -> (n + 1,) first, then decay * (the one before) + push.

    In blocks, each a product with a triangle of powers and what the block before leaves. scipy.signal would do it too,
    and cost a gateway 50 MB.
    """
    count = -(-len(pushes) // BLOCK)
    blocks = np.zeros((count, BLOCK))
    blocks.ravel()[: len(pushes)] = pushes
    powers = decay ** np.arange(BLOCK + 1.0)
    inside = blocks @ np.triu(powers[np.maximum(_STEPS - _STEPS[:, None], 0)])
    left = accumulate(inside[:, -1].tolist(), lambda value, last: powers[-1] * value + last, initial=first)
    before = np.fromiter(left, np.float64, count + 1)[:count]
    values = (inside + before[:, None] * powers[1:]).ravel()[: len(pushes)]
    return np.concatenate([[first], values])


def expected_volatility(dynamics: Dynamics, variances: Floats, horizons: Ints) -> Floats:
    """(n,) variances of the next return -> (n, n_horizons) root of the expected variance of the sum of h returns."""
    path = np.empty((len(variances), int(horizons[-1])))
    path[:, 0] = variances
    for step in range(1, path.shape[1]):
        path[:, step] = dynamics.omega + dynamics.persistence * path[:, step - 1]
    total = np.cumsum(path, axis=1)[:, horizons - 1]
    return np.sqrt(total)


def cumulative_returns(dynamics: Dynamics, starts: Floats, innovations: Floats, horizons: Ints) -> Floats:
    """Simulated paths: (n_starts,) variances, (n_steps, n_paths) innovations -> (n_starts, n_horizons, n_paths).

    All starts share the innovations, so that quantiles are smooth in the starting variance.
    """
    variance = np.repeat(starts[:, None], innovations.shape[1], axis=1)
    total = np.zeros_like(variance)
    reached = np.empty((len(starts), len(horizons), innovations.shape[1]))
    for step in range(int(horizons[-1])):
        shock = np.sqrt(variance) * innovations[step]
        total += shock
        reached[:, horizons == step + 1] = total[:, None]
        variance = (
            dynamics.omega + (dynamics.alpha + dynamics.gamma * (shock < 0)) * shock**2 + dynamics.beta * variance
        )
    return reached + dynamics.mean * horizons[:, None]


class SimulatedQuantiles:
    """Quantiles 1 to h bars ahead for any current variance, from one simulation a set of parameters.

    Paths start at STARTS variances around ``usual`` (n,), those of the bars that the parameters were fitted on.
    Between them the quantiles, in units of the expected volatility of the sum, are interpolated in log variance;
    beyond them those units alone scale.
    """

    def __init__(
        self, dynamics: Dynamics, usual: Floats, innovations: Floats, horizons: Ints, levels: Sequence[float]
    ) -> None:
        self._dynamics = dynamics
        self._horizons = horizons
        self._log_starts = np.linspace(np.log(usual.min() / 2.0), np.log(usual.max() * 2.0), STARTS)
        starts = np.exp(self._log_starts)
        paths = cumulative_returns(dynamics, starts, innovations, horizons) - self._drift
        shapes = np.moveaxis(np.quantile(paths, levels, axis=-1), 0, -1)
        self._shapes = shapes / expected_volatility(dynamics, starts, horizons)[..., None]

    @property
    def _drift(self) -> Floats:
        """(n_horizons, 1)"""
        return self._dynamics.mean * self._horizons[:, None].astype(np.float64)

    def at(self, variances: Floats) -> Floats:
        """(n,) variances of the next return -> (n, n_horizons, n_levels) quantiles of the cumulative log return."""
        step = self._log_starts[1] - self._log_starts[0]
        position = np.clip((np.log(variances) - self._log_starts[0]) / step, 0.0, STARTS - 1.0)
        lower = np.minimum(position.astype(np.intp), STARTS - 2)
        share = (position - lower)[:, None, None]
        shape = self._shapes[lower] * (1.0 - share) + self._shapes[lower + 1] * share
        return self._drift + shape * expected_volatility(self._dynamics, variances, self._horizons)[..., None]
