"""One series against another. Both arrays are (n,), aligned; ``rate`` is the risk-free rate of one period.

Conventions are those of empyrical (Apache-2.0), against which the tests compare.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts import Floats
from risk.measure import Undefined, deviation, require, spread_of
from risk.ratios import Rate
from risk.returns import annual_return, share_of
from risk.volatility import annual_volatility


def beta(returns: Floats, benchmark: Floats, rate: Rate = 0.0) -> float:
    """Slope of excess returns on the benchmark's: covariance over the benchmark's variance."""
    require(benchmark, 2)
    theirs = benchmark - rate
    moves = theirs - theirs.mean()
    _spread(moves, theirs)
    return float(((returns - rate) * moves).sum() / (moves * moves).sum())


def alpha(returns: Floats, benchmark: Floats, slope: float, rate: Rate, periods_per_year: float) -> float:
    """Jensen's alpha (1968), compounded to a year: (1 + mean(r - rate - beta (b - rate)))^periods_per_year - 1.
    ``slope`` is beta."""
    a_period = float(((returns - rate) - slope * (benchmark - rate)).mean())
    if a_period < -1:
        raise Undefined("more than everything a period")
    return (1.0 + a_period) ** periods_per_year - 1.0


def correlation(returns: Floats, benchmark: Floats) -> float:
    """Pearson's, -1 to 1."""
    require(returns, 2)
    mine, theirs = returns - returns.mean(), benchmark - benchmark.mean()
    spread = spread_of(mine, returns) * _spread(theirs, benchmark)
    return min(max(float((mine * theirs).sum()) / (len(returns) - 1) / spread, -1.0), 1.0)


def tracking_error(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Standard deviation (n - 1) of the difference of returns, a fraction a year; 0 for the benchmark itself."""
    return annual_volatility(returns - benchmark, periods_per_year)


def information_ratio(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Mean difference of returns over its standard deviation (n - 1), annualised (Grinold and Kahn, 1999)."""
    active = returns - benchmark
    try:
        spread = deviation(active)
    except Undefined:
        raise Undefined("the difference to the benchmark does not vary") from None
    return float(active.mean()) / spread * float(np.sqrt(periods_per_year))


def up_capture(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """Annual return over the periods in which the benchmark rose, over the benchmark's own over those."""
    return _capture(returns, benchmark, benchmark > 0, periods_per_year, "the benchmark never rose")


def down_capture(returns: Floats, benchmark: Floats, periods_per_year: float) -> float:
    """The same over the periods in which the benchmark fell: below 1 loses less than it."""
    return _capture(returns, benchmark, benchmark < 0, periods_per_year, "the benchmark never fell")


def _capture(
    returns: Floats, benchmark: Floats, chosen: NDArray[np.bool_], periods_per_year: float, otherwise: str
) -> float:
    places = np.flatnonzero(chosen)
    if not len(places):
        raise Undefined(otherwise)
    mine, theirs = (annual_return(each[places], periods_per_year) for each in (returns, benchmark))
    return share_of(mine, theirs)


def _spread(moves: Floats, benchmark: Floats) -> float:
    try:
        return spread_of(moves, benchmark)
    except Undefined as reason:
        raise Undefined(str(reason).replace("the returns", "the benchmark's returns")) from None
