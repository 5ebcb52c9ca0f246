"""Returns from prices, and what they add up to. Simple returns as fractions: 0.01 is one per cent."""

from __future__ import annotations

import numpy as np

from contracts import Floats, Times
from risk.measure import Undefined, divided, require


def simple_returns(prices: Floats) -> Floats:
    """(n + 1,) positive prices, oldest first -> (n,) returns p_t / p_{t-1} - 1."""
    return prices[1:] / prices[:-1] - 1.0


def wealth(returns: Floats) -> Floats:
    """(n,) -> (n + 1,) value of 1 invested before the first return; starts with 1."""
    return np.concatenate([[1.0], np.cumprod(1.0 + returns)])


def total_return(returns: Floats) -> float:
    """Compounded return of the whole period, a fraction, not annualised."""
    require(returns, 1)
    return float(np.prod(1.0 + returns)) - 1.0


def annual_return(returns: Floats, periods_per_year: float) -> float:
    """Compound annual growth rate, a fraction a year: growth^(periods_per_year / n) - 1.

    As ``annual_return`` of empyrical. Periods shorter than a year are extrapolated. -1 where everything was lost.
    """
    require(returns, 1)
    growth = float(np.prod(1.0 + returns))  # not from the total return: what is left after a fall to nearly nothing
    if growth < 0:
        raise Undefined("more than everything was lost")
    return float(growth ** (periods_per_year / len(returns))) - 1.0


def rate_per_period(annual_rate: float, periods_per_year: float) -> float:
    """A compound annual rate as one per period: (1 + rate)^(1 / periods_per_year) - 1."""
    return float((1.0 + annual_rate) ** (1.0 / periods_per_year)) - 1.0


def aligned(times: Times, prices: Floats, other_times: Times, other_prices: Floats) -> tuple[Times, Floats, Floats]:
    """Returns of two series between the dates that both have: (n + 1,) dates, and (n,) returns of each.

    A return may span more than one session where only one of the two traded.
    """
    common, at, other_at = np.intersect1d(times, other_times, assume_unique=True, return_indices=True)
    return common, simple_returns(prices[at]), simple_returns(other_prices[other_at])


def share_of(gain: float, of: float) -> float:
    """``gain / of``, of two returns."""
    return divided(gain, of, "the benchmark returned nothing on those days")
