"""American options with two exercise boundaries, by QuantLib's finite differences: price, Greeks, implied volatility.
Heavy to import.

Where the rate is negative and the yield more so (or the other way round, for a call), exercise pays between two
boundaries only, and risk/american.py does not apply. On a 200 x 200 grid: within 1e-4 of the strike. Shapes and units
as in risk/options.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import QuantLib as ql  # noqa: N813
from scipy.optimize import brentq

from contracts import Floats
from risk.american import PRICE_ERROR, american_bounds, without_deviation
from risk.implied_volatility import HIGHEST_VOLATILITY, ImpliedVolatility, reasons_without
from risk.options import NO_DEVIATION, OptionChain, Valuation, european_price

GRID = 200
SPOT_STEP, DEVIATION_STEP, RATE_STEP = 0.1, 0.05, 2e-3
"""Half widths of the differences: of the spot and of the deviation as shares of the deviation (the spot's of at most
0.5), of rate * time as it is. Wide against the noise of the grid, narrow against curvature."""
NO_PRICE = "finite differences find no price for this contract"


class _Market:
    """Quotes that can be set, and the call and the put that are priced from them: struck at 1, expiring in a year."""

    def __init__(self) -> None:
        day, count = ql.Date(2, 1, 2020), ql.Actual365Fixed()
        ql.Settings.instance().evaluationDate = day
        self._quotes = [ql.SimpleQuote(value) for value in (1.0, 0.0, 0.0, 0.2)]
        spot, rate, carry, deviation = (ql.QuoteHandle(quote) for quote in self._quotes)
        process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(day, carry, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(day, rate, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(day, ql.NullCalendar(), deviation, count)),
        )
        exercise = ql.AmericanExercise(day, day + 365)
        self._options = {}
        for is_call, kind in ((True, ql.Option.Call), (False, ql.Option.Put)):
            option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, 1.0), exercise)
            option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, GRID, GRID))
            self._options[is_call] = option

    def price(self, is_call: bool, values: Sequence[float]) -> float:
        """At these spot, rate, carry and deviation; NaN where QuantLib finds none."""
        for quote, value in zip(self._quotes, values, strict=True):
            quote.setValue(value)
        try:
            return float(self._options[is_call].NPV())
        except RuntimeError:
            return math.nan


@cache
def _market() -> _Market:
    """One for the process: it sets QuantLib's global date."""
    return _Market()


def two_boundary_price(chain: OptionChain) -> Floats:
    """(n,) prices, held to their bounds and the European price; NaN where QuantLib finds none."""
    lower, upper = american_bounds(chain)
    time = chain.time_to_expiry
    columns = (chain.spot / chain.strike, chain.rate * time, chain.dividend_yield * time, chain.deviation)
    rows = zip(chain.is_call.tolist(), *(column.tolist() for column in columns), strict=True)
    price = chain.strike * [
        _market().price(is_call, row) if row[-1] > NO_DEVIATION else -math.inf for is_call, *row in rows
    ]
    return np.minimum(np.maximum(np.maximum(price, european_price(chain)), lower), upper)


def two_boundary_valuation(chain: OptionChain) -> Valuation:
    """Price and Greeks, NaN where QuantLib finds none. Greeks are central differences of the price, theta follows from
    the Black-Scholes equation; each is held to the sign that it has for every American option."""
    limit = without_deviation(chain)
    uncertain = np.flatnonzero(chain.deviation > NO_DEVIATION)
    values = np.array([limit.price, limit.delta, limit.gamma, limit.vega, limit.theta, limit.rho])
    if len(uncertain):
        values[:, uncertain] = _differences(chain.take(uncertain))
    return Valuation(*values)


def _differences(chain: OptionChain) -> Floats:
    """(6, n) in the order of Valuation."""
    price = two_boundary_price(chain)
    width = SPOT_STEP * np.minimum(chain.deviation, 0.5) * chain.spot
    down, up = (two_boundary_price(replace(chain, spot=chain.spot + by)) for by in (-width, width))
    delta, gamma = (up - down) / (2 * width), np.maximum((up - 2 * price + down) / width**2, 0.0)
    vega = _slope(chain, "volatility", DEVIATION_STEP * chain.volatility)
    rho = _slope(chain, "rate", RATE_STEP / chain.time_to_expiry)
    carried = chain.rate * price - (chain.rate - chain.dividend_yield) * chain.spot * delta
    theta = carried - 0.5 * (chain.volatility * chain.spot) ** 2 * gamma
    exercised = price <= chain.sign * (chain.spot - chain.strike)
    rho = chain.sign * np.maximum(chain.sign * rho, 0.0)
    return np.array([price, delta, gamma, np.maximum(vega, 0.0), np.where(exercised, 0.0, np.minimum(theta, 0.0)), rho])


def _slope(chain: OptionChain, name: str, width: Floats) -> Floats:
    low, high = (two_boundary_price(replace(chain, **{name: getattr(chain, name) + by})) for by in (-width, width))
    return (high - low) / (2 * width)


def two_boundary_implied_volatility(chain: OptionChain, price: Floats) -> ImpliedVolatility:
    """Solve for the volatility (n,), each by Brent's method between 0 and HIGHEST_VOLATILITY; ``chain.volatility`` is
    not looked at."""
    lower, upper = american_bounds(chain)
    highest = two_boundary_price(replace(chain, volatility=np.full(len(chain), HIGHEST_VOLATILITY)))
    reasons = list(reasons_without(chain, price, lower, upper, highest, PRICE_ERROR * chain.strike))
    volatility = np.full(len(chain), np.nan)
    for at in (at for at, reason in enumerate(reasons) if reason is None):
        try:
            volatility[at] = _solve(chain.take(np.array([at])), price[at])
        except ValueError:
            reasons[at] = NO_PRICE
    return ImpliedVolatility(volatility, tuple(reasons), lower, upper)


def _solve(contract: OptionChain, target: float) -> float:
    """The volatility at which the one contract is worth the target; raises ValueError where QuantLib fails."""

    def excess(volatility: float) -> float:
        return float(two_boundary_price(replace(contract, volatility=np.array([volatility])))[0] - target)

    return float(brentq(excess, 0.0, HIGHEST_VOLATILITY, xtol=1e-12, rtol=1e-12))
