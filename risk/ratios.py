"""Return for risk. ``rate`` is the risk-free rate of one period, a number or (n,); see returns.rate_per_period.

Annualised by the square root of time where a mean is divided by a deviation. Conventions are those of
empyrical (Apache-2.0), against which the tests compare.
"""

from __future__ import annotations

import numpy as np

from contracts import Floats
from risk.measure import deviation, divided, quantiles, require

Rate = float | Floats


def sharpe(returns: Floats, rate: Rate, periods_per_year: float) -> float:
    """Mean excess return over its standard deviation (n - 1), annualised (Sharpe, 1994)."""
    excess = returns - rate
    spread = deviation(excess)
    return float(excess.mean()) / spread * float(np.sqrt(periods_per_year))


def downside_deviation(returns: Floats, rate: Rate, periods_per_year: float) -> float:
    """Root of the mean square of what falls short of ``rate``, over all n returns, a fraction a year (Sortino and
    Price, 1994)."""
    require(returns, 1)
    short = np.minimum(returns - rate, 0.0)
    return float(np.sqrt(np.mean(short**2)) * np.sqrt(periods_per_year))


def sortino(returns: Floats, below: float, rate: Rate, periods_per_year: float) -> float:
    """Mean excess return a year over the downside deviation ``below`` (Sortino and Price, 1994)."""
    return divided(float((returns - rate).mean()) * periods_per_year, below, "no return fell short of the rate")


def calmar(annual_return: float, max_drawdown: float) -> float:
    """Annual return over the size of the maximum drawdown (Young, 1991), both of the whole period."""
    return divided(annual_return, -max_drawdown, "there was no drawdown")


def omega(returns: Floats, rate: Rate) -> float:
    """What exceeded ``rate``, in sum, over what fell short of it (Keating and Shadwick, 2002). Not annualised."""
    require(returns, 1)
    excess = returns - rate
    gains, losses = np.sum(np.maximum(excess, 0.0)), -np.sum(np.minimum(excess, 0.0))
    return divided(float(gains), float(losses), "no return fell short of the rate")


def tail_ratio(returns: Floats) -> float:
    """Size of the 95th percentile over size of the 5th (linear interpolation): above 1, gains are the longer tail."""
    require(returns, 1)
    low, high = quantiles(returns, 0.05, 0.95)
    return divided(abs(high), abs(low), "the 5th percentile is zero")
