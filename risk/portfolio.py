"""Risk of a portfolio at fixed weights, and what each holding adds to it. Losses are positive fractions of its value.

``weights`` (n_assets,) sum to one, a short holding being negative. ``returns`` (n_periods, n_assets) are simple
returns; the portfolio's are ``returns @ weights``: what today's holdings would have lost on each past day.

Volatility, value at risk and expected shortfall grow in proportion with the weights, so that by Euler's theorem the
weights times the derivatives (``marginal``) add up to the whole (``components``). D. Tasche, "Risk contributions and
performance measurement" (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from contracts import Floats
from risk.measure import ROUNDING, Undefined


@dataclass(frozen=True, slots=True, eq=False)
class Decomposed:
    """``total`` is the sum of ``components`` (n_assets,), which are weights * ``marginal`` (n_assets,): the change of
    the total per 1.00 of weight."""

    total: float
    components: Floats
    marginal: Floats

    @property
    def shares(self) -> Floats:
        """(n_assets,) fractions of the total, which they add up to 1 of; NaN where there is none."""
        return self.components / self.total if self.total else np.full_like(self.components, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class TailParts:
    """Value at risk and expected shortfall of one method at one level."""

    value_at_risk: Decomposed
    expected_shortfall: Decomposed


def _decomposed(weights: Floats, marginal: Floats) -> Decomposed:
    components = weights * marginal
    return Decomposed(float(components.sum()), components, marginal)


def volatility(weights: Floats, covariance: Floats) -> Decomposed:
    """Standard deviation of the portfolio's return; raises Undefined where it does not vary."""
    exposure = covariance @ weights
    variance = float(weights @ exposure)
    if variance <= (ROUNDING * float(np.abs(weights).max())) ** 2:
        raise Undefined("the returns of the portfolio do not vary")
    return _decomposed(weights, exposure / np.sqrt(variance))


def diversification_ratio(weights: Floats, covariance: Floats) -> float:
    """Weighted volatility of the holdings, shorts counted as held, over that of the portfolio (Y. Choueifaty, Y.
    Coignard, 2008): 1 for a single holding, more the less they move together."""
    return float(np.abs(weights) @ np.sqrt(np.diag(covariance))) / volatility(weights, covariance).total


def gaussian_tail(weights: Floats, mean: Floats, covariance: Floats, level: float, horizon: int = 1) -> TailParts:
    """For jointly normal returns with ``mean`` (n_assets,) and ``covariance`` of one period; over ``horizon`` periods
    both grow in proportion."""
    z = float(ndtri(level))
    density = float(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)) / (1 - level)
    slope, drift = volatility(weights, covariance).marginal * np.sqrt(horizon), mean * horizon
    return TailParts(_decomposed(weights, z * slope - drift), _decomposed(weights, density * slope - drift))


def historical_tail(weights: Floats, returns: Floats, level: float, horizon: int = 1) -> TailParts:
    """The empirical quantile (linear interpolation) of the portfolio's past returns, and the mean of those not above
    it; what each holding lost on those very days. The parts of a value at risk rest on two days: they add up, but
    those of the expected shortfall say more. Over ``horizon`` periods: times its square root, as in risk/tail.py.

    Raises Undefined where a loss that rare is not to be expected among the returns once.
    """
    n_periods = len(returns)
    if n_periods * (1 - level) < 1 - ROUNDING:
        raise Undefined(f"{n_periods} returns are too few for a loss with a probability of {1 - level:.4g}")
    together = returns @ weights
    order = np.argsort(together, kind="stable")
    place = (1 - level) * (n_periods - 1)
    below = int(place)
    above, share = min(below + 1, n_periods - 1), place - below
    at_risk = -((1 - share) * returns[order[below]] + share * returns[order[above]])
    tail = together <= max(float(np.quantile(together, 1 - level)), float(together.min()))
    shortfall = -returns[tail].mean(axis=0)
    root = float(np.sqrt(horizon))
    return TailParts(_decomposed(weights, root * at_risk), _decomposed(weights, root * shortfall))
