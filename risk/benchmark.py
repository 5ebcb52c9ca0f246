"""One series against another. Both arrays are (n,), aligned; ``rate`` is the risk-free rate of one period.

Conventions are those of empyrical (Apache-2.0), against which the tests compare.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts import Floats
from risk.measure import Undefined, deviation, divided, require
from risk.ratios import Rate
from risk.returns import annual_return, share_of


def beta(returns: Floats, benchmark: Floats, rate: Rate = 0.0) -> float:
    """Slope of excess returns on the benchmark's: covariance over the benchmark's variance."""
    theirs = benchmark - rate
    _spread(theirs)
    moves = theirs - np.mean(theirs)
    return float(np.mean((returns - rate) * moves) / np.mean(moves**2))


def alpha(returns: Floats, benchmark: Floats, rate: Rate, periods_per_year: float) -> float:
    """Jensen's alpha (1968), compounded to a year: (1 + mean(r - rate - beta (b - rate)))^periods_per_year - 1."""
    slope = beta(returns, benchmark, rate)
    a_period = float(np.mean((returns - rate) - slope * (benchmark - rate)))
    if a_period < -1:
        raise Undefined("more than everything a period")
    return (1.0 + a_period) ** periods_per_year - 1.0


def correlation(returns: Floats, benchmark: Floats) -> float:
    """Pearson's, -1 to 1."""
    spread = deviation(returns) * _spread(benchmark)
    covariance = np.sum((returns - np.mean(returns)) * (benchmark - np.mean(benchmark))) / (len(returns) - 1)
    return float(np.clip(covariance / spread, -1.0, 1.0))


def tracking_error(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Standard deviation (n - 1) of the difference of returns, a fraction a year; 0 for the benchmark itself."""
    require(returns, 2)
    return float(np.std(returns - benchmark, ddof=1) * np.sqrt(periods_per_year))


def information_ratio(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Mean difference of returns over its standard deviation (n - 1), annualised (Grinold and Kahn, 1999)."""
    active = returns - benchmark
    try:
        spread = deviation(active)
    except Undefined:
        raise Undefined("the difference to the benchmark does not vary") from None
    return float(np.mean(active)) / spread * float(np.sqrt(periods_per_year))


def up_capture(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Annual return over the periods in which the benchmark rose, over the benchmark's own over those."""
    return _capture(returns, benchmark, benchmark > 0, periods_per_year, "the benchmark never rose")


def down_capture(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """The same over the periods in which the benchmark fell: below 1 loses less than it."""
    return _capture(returns, benchmark, benchmark < 0, periods_per_year, "the benchmark never fell")


def _capture(
    returns: Floats, benchmark: Floats, chosen: NDArray[np.bool_], periods_per_year: float, otherwise: str
) -> float:
    if not chosen.any():
        raise Undefined(otherwise)
    mine, theirs = (annual_return(each[chosen], periods_per_year) for each in (returns, benchmark))
    return share_of(mine, theirs)


def _spread(benchmark: Floats) -> float:
    try:
        return deviation(benchmark)
    except Undefined as reason:
        raise Undefined(str(reason).replace("the returns", "the benchmark's returns")) from None


def up_down_capture(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Up capture over down capture."""
    down = down_capture(returns, benchmark, periods_per_year)
    return divided(up_capture(returns, benchmark, periods_per_year), down, "down capture is zero")
