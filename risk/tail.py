"""Value at risk and expected shortfall of one holding, bought and held. Losses are positive fractions of its value.

VaR at confidence level c is the loss that is exceeded with probability 1 - c; ES is the mean of the losses at least
that large. A negative one is a gain. Simple returns; each function says how it reaches over several periods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from backtest.dynamics import Dynamics
from contracts import Floats
from risk.measure import Undefined, deviation
from risk.volatility import DECAY, kurtosis, skew

FAR = -4.0
"""Normal score down to which the Cornish-Fisher quantile must increase; below it lies one normal return in 30,000."""
PATHS = 10_000
TAIL_PARTS = 8
LOWEST_LEVEL = 0.005
"""The lowest quantile level that our forecasts have."""
SEED = 1995
RISKMETRICS = Dynamics(mean=0.0, omega=0.0, alpha=1.0 - DECAY, gamma=0.0, beta=DECAY)


@dataclass(frozen=True, slots=True)
class Tail:
    """Both of one method at one confidence level."""

    value_at_risk: float
    expected_shortfall: float


def historical(returns: Floats, level: float, horizon: int = 1) -> Tail:
    """The empirical quantile (linear interpolation) and the mean of the returns not above it.

    Over ``horizon`` periods: times its square root (Basel Committee, 1996), which ignores that volatility changes.
    Raises Undefined where a loss that rare is not to be expected among the returns once.
    """
    _require_tail(len(returns), level)
    return _scaled(empirical(returns, level), float(np.sqrt(horizon)))


def empirical(returns: Floats, level: float) -> Tail:
    """Quantile and mean of the tail of (n,) returns as they are."""
    quantile = float(np.quantile(returns, 1.0 - level))
    if not math.isfinite(quantile):
        raise Undefined("the returns are too large or too small to be filtered")
    # The quantile may lie a rounding error below the smallest return.
    tail = returns[returns <= max(quantile, float(np.min(returns)))]
    return Tail(-quantile, max(-float(np.mean(tail)), -quantile))


def gaussian(mean: float, spread: float, level: float, horizon: int = 1) -> Tail:
    """Normal returns, ``mean`` and standard deviation ``spread`` of one period (J.P. Morgan, 1996).

    Over ``horizon`` periods mean and variance grow in proportion: independent returns, compounding left out.
    """
    z = float(ndtri(1.0 - level))
    over_mean, over_spread = mean * horizon, spread * float(np.sqrt(horizon))
    shortfall = float(np.exp(-(z**2) / 2.0)) / float(np.sqrt(2.0 * np.pi)) / (1.0 - level)
    return Tail(-(over_mean + over_spread * z), -over_mean + over_spread * shortfall)


def cornish_fisher(returns: Floats, level: float, horizon: int = 1) -> Tail:
    """The normal quantile corrected for skew and kurtosis (Cornish and Fisher, 1937; Zangari, 1996), and the mean of
    that quantile function over the tail (Boudt, Peterson and Croux, 2008, without truncation).

    Over ``horizon`` independent periods skew shrinks with the root and excess kurtosis in proportion. Raises Undefined
    where the correction is not increasing in the tail and so is no quantile function (Maillard, 2012).
    """
    spread, s, k = deviation(returns), skew(returns), kurtosis(returns)
    s, k = s / float(np.sqrt(horizon)), k / horizon
    z = float(ndtri(1.0 - level))
    if not tail_is_increasing(z, s, k):
        raise Undefined(f"skew {s:.2f} and kurtosis {k:.2f} are beyond what the Cornish-Fisher expansion can describe")
    mean, spread = float(np.mean(returns)) * horizon, spread * float(np.sqrt(horizon))
    return Tail(-(mean + spread * corrected_quantile(z, s, k)), -(mean + spread * _mean_below(z, 1.0 - level, s, k)))


Number = TypeVar("Number", float, Floats)


def corrected_quantile(z: float, s: Number, k: Number) -> Number:
    """Cornish-Fisher: normal quantile ``z`` for skew ``s`` and excess kurtosis ``k``."""
    return z + s * ((z**2 - 1) / 6 - s * ((2 * z**3 - 5 * z) / 36)) + k * ((z**3 - 3 * z) / 24)


def tail_is_increasing(z: float, s: Floats | float, k: Floats | float) -> NDArray[np.bool_]:
    """Whether the corrected quantile increases from FAR to ``z``: its derivative, a parabola, is above zero there."""
    squared = s * s
    square, constant = np.asarray(k / 8 - squared / 6), np.asarray(1 - k / 8 + squared * (5 / 36))
    far = min(FAR, z)
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest = np.clip(np.where(square > 0, -s / (6 * square), z), far, z)
    fine = [x * (square * x + s / 3) + constant > 0 for x in (far, lowest, z)]
    return np.asarray(fine[0] & fine[1] & fine[2])


def _mean_below(z: float, share: float, s: float, k: float) -> float:
    """Mean of the corrected quantile over the normal scores below ``z``, whose probability is ``share``."""
    density = float(np.exp(-(z**2) / 2.0)) / float(np.sqrt(2.0 * np.pi)) / share
    first, second, third = -density, 1 - z * density, -(z**2 + 2) * density
    return first + (second - 1) * s / 6 + (third - 3 * first) * k / 24 - (2 * third - 5 * first) * s**2 / 36


def simulated(residuals: Floats, variance: float, level: float, horizon: int, dynamics: Dynamics) -> Tail:
    """Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper, 1999): past standardised residuals drawn
    with replacement, rescaled by today's volatility, which each draw moves on; returns are compounded.

    ``variance`` is of the next return. For one period the residuals themselves are used, without drawing; for more,
    PATHS paths from a fixed seed, so that the same question has the same answer.
    """
    _require_tail(len(residuals), level)
    if horizon == 1:
        return empirical(dynamics.mean + np.sqrt(variance) * residuals, level)
    return empirical(paths(residuals, variance, horizon, dynamics), level)


def paths(residuals: Floats, variance: float, horizon: int, dynamics: Dynamics) -> Floats:
    """(PATHS,) compounded returns after ``horizon`` periods."""
    draws = residuals[np.random.default_rng(SEED).integers(0, len(residuals), (horizon, PATHS))]
    variances = np.full(PATHS, variance)
    value = np.ones(PATHS)
    for z in draws:
        shock = np.sqrt(variances) * z
        value *= np.maximum(1.0 + dynamics.mean + shock, 0.0)
        variances = (
            dynamics.omega + (dynamics.alpha + dynamics.gamma * (shock < 0)) * shock**2 + dynamics.beta * variances
        )
    return value - 1.0


def forecast_level(level: float) -> float:
    """The quantile level of a forecast at which its value at risk lies. Raises Undefined below LOWEST_LEVEL."""
    share = 1.0 - level
    if share < LOWEST_LEVEL:
        raise Undefined(f"forecasts are stated for confidence levels up to {1.0 - LOWEST_LEVEL:g}")
    return share


def levels_of_tail(level: float) -> list[float]:
    """The quantile levels that ``from_quantiles`` takes: midpoints of equal parts of the tail down to LOWEST_LEVEL,
    then its edge, twice LOWEST_LEVEL, and LOWEST_LEVEL. Raises Undefined where the whole tail lies beyond that."""
    share = forecast_level(level)
    width = (share - LOWEST_LEVEL) / TAIL_PARTS
    return [LOWEST_LEVEL + width * (i + 0.5) for i in range(TAIL_PARTS)] + [share, 2 * LOWEST_LEVEL, LOWEST_LEVEL]


def from_quantiles(level: float, quantiles: Sequence[float]) -> Tail:
    """Of a forecast, from its return quantiles at ``levels_of_tail``.

    Beyond the lowest quantile losses are taken to thin out exponentially, at the rate at which they do just above it:
    the mean beyond it lies one scale further, the distance between the last two quantiles over log 2.
    """
    *inside, edge, near, lowest = quantiles
    beyond = lowest - max(near - lowest, 0.0) / math.log(2.0)
    share = 1.0 - level
    mean = ((share - LOWEST_LEVEL) * float(np.mean(inside)) + LOWEST_LEVEL * beyond) / share
    return Tail(-edge, max(-mean, -edge))


def _scaled(tail: Tail, factor: float) -> Tail:
    return Tail(tail.value_at_risk * factor, tail.expected_shortfall * factor)


def needed_for(level: float) -> int:
    """Returns among which one loss beyond the VaR at ``level`` is to be expected."""
    return math.ceil(round(1.0 / (1.0 - level), 6))


def _require_tail(count: int, level: float) -> None:
    if count < needed_for(level):
        raise Undefined(
            f"a loss met once in {needed_for(level)} periods cannot be read from {count} returns; "
            f"at least {needed_for(level)} are needed"
        )
