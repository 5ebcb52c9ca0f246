"""American options by QuantLib: price, Greeks, bounds and implied volatility. Heavy to import.

Engine: the spectral collocation of L. Andersen, M. Lake, D. Offengenden, "High-performance American option pricing"
(2016), QuantLib's ``QdFpAmericanEngine`` in its fast scheme: within 5e-5 of the strike of the high-precision scheme.
Where exercise has two boundaries (a negative rate below the yield), which that engine refuses, finite differences
on a 200 x 200 grid: within 1e-4 of the strike, at sixty times the cost.

A price depends on spot / strike, rate * time, yield * time and volatility * sqrt(time) alone. So one call and one put
struck at 1 and expiring in one year stand for every contract, whatever its day count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import QuantLib as ql  # noqa: N813
from scipy.optimize import brentq
from scipy.special import ndtr

from contracts import Floats
from risk.implied_volatility import HIGHEST_VOLATILITY, ImpliedVolatility, reasons_without
from risk.options import NO_DEVIATION, OptionChain, Valuation

GRID = 200
ENGINE_ERROR = 1e-6
"""Of the strike: a price that close to its lower bound tells no volatility."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Half widths of the differences: of the spot and of the deviation as shares of the deviation, the spot's at most
    half of that share; of the rate as it is. Wide against the noise of the engine, narrow against curvature."""

    spot: float
    deviation: float
    rate: float


COLLOCATION_STEPS = Steps(spot=0.02, deviation=5e-3, rate=1e-4)
DIFFERENCES_STEPS = Steps(spot=0.1, deviation=5e-2, rate=2e-3)
KINK_WIDTH = 1e-3
SLOPE_JUMP = 0.01
NO_PRICE = "QuantLib finds no price for this contract"


@dataclass(frozen=True, slots=True)
class Scaled:
    """A contract struck at 1 that expires in one year: what its price depends on."""

    is_call: bool
    spot: float
    rate: float
    carry: float
    deviation: float

    @property
    def has_two_boundaries(self) -> bool:
        """Whether holding is better than exercise on both sides: for a put, carry < rate < 0; mirrored for a call."""
        near, far = (self.carry, self.rate) if self.is_call else (self.rate, self.carry)
        return far < near < 0

    @property
    def intrinsic(self) -> float:
        return max(self.spot - 1.0 if self.is_call else 1.0 - self.spot, 0.0)

    @property
    def lower(self) -> float:
        """The best that can be had without volatility: exercise now, at expiry, or at the best time between."""
        return max(self._exercised_at(share) for share in (0.0, 1.0, self._best_time()))

    @property
    def upper(self) -> float:
        """The most that is ever received, in money of today: the asset for a call, the strike for a put."""
        return self.spot * max(1.0, math.exp(-self.carry)) if self.is_call else max(1.0, math.exp(-self.rate))

    @property
    def european(self) -> float:
        """The closed form of risk/options.py for one contract that has a deviation."""
        asset, cash = self.spot * math.exp(-self.carry), math.exp(-self.rate)
        middle = (math.log(self.spot) + self.rate - self.carry) / self.deviation
        sign = 1.0 if self.is_call else -1.0
        at_spot, at_strike = (ndtr(sign * (middle + half * self.deviation)) for half in (0.5, -0.5))
        return sign * float(asset * at_spot - cash * at_strike)

    def _exercised_at(self, share: float) -> float:
        gain = self.spot * math.exp(-self.carry * share) - math.exp(-self.rate * share)
        return max(gain if self.is_call else -gain, 0.0)

    def _best_time(self) -> float:
        """Where the gain of exercise is level in time, if that is before expiry."""
        if self.carry * self.spot * self.rate <= 0 or self.rate == self.carry:
            return 0.0
        time = math.log(self.rate / (self.carry * self.spot)) / (self.rate - self.carry)
        return min(max(time, 0.0), 1.0)


class _Market:
    """Quotes that can be set, and the call and the put that are priced from them."""

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
        collocation = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())
        differences = ql.FdBlackScholesVanillaEngine(process, GRID, GRID)
        exercise = ql.AmericanExercise(day, day + 365)
        self._options = {
            (is_call, two): _option(is_call, exercise, differences if two else collocation)
            for is_call in (True, False)
            for two in (True, False)
        }

    def price(self, contract: Scaled) -> float:
        """Clipped to its bounds, the European price among them, which numerical error may cross; NaN where the engine
        finds none."""
        lower = contract.lower
        if contract.deviation <= NO_DEVIATION:
            return lower
        values = (contract.spot, contract.rate, contract.carry, contract.deviation)
        for quote, value in zip(self._quotes, values, strict=True):
            quote.setValue(value)
        try:
            price = self._options[contract.is_call, contract.has_two_boundaries].NPV()
        except RuntimeError:
            return math.nan
        return float(min(max(price, lower, contract.european), contract.upper))


def _option(is_call: bool, exercise: ql.AmericanExercise, engine: ql.PricingEngine) -> ql.VanillaOption:
    option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, 1.0), exercise)
    option.setPricingEngine(engine)
    return option


@cache
def _market() -> _Market:
    """One for the process: it sets QuantLib's global date."""
    return _Market()


def american_price(chain: OptionChain) -> Floats:
    """(n_contracts,) prices."""
    return chain.strike * np.array([_market().price(contract) for contract in _scaled(chain)])


def american_valuation(chain: OptionChain) -> Valuation:
    """Price and Greeks; NaN where QuantLib finds none. Delta, gamma, vega and rho are central differences of the price,
    theta follows from them by the Black-Scholes equation. Each is held to the sign that it has for every American
    option, which engine error close to immediate exercise may miss."""
    rows = np.array([_value(contract) for contract in _scaled(chain)]).reshape(len(chain), 6)
    price, delta, gamma, vega, theta, rho = rows.T
    time = chain.time_to_expiry
    per_year = np.divide(1.0, time, out=np.zeros(len(chain)), where=time > NO_DEVIATION)
    return Valuation(
        price=chain.strike * price,
        delta=delta,
        gamma=gamma / chain.strike,
        vega=chain.strike * vega * np.sqrt(time),
        theta=chain.strike * theta * per_year,
        rho=chain.strike * rho * time,
    )


def _value(contract: Scaled) -> tuple[float, float, float, float, float, float]:
    """Price, delta, gamma, vega, theta and rho of the contract as it is scaled."""
    price = _market().price(contract)
    steps = DIFFERENCES_STEPS if contract.has_two_boundaries else COLLOCATION_STEPS
    delta, gamma = _spot_greeks(contract, price, steps)
    vega = math.nan if math.isnan(delta) else _slope(contract, "deviation", steps.deviation * contract.deviation, price)
    rho = _slope(contract, "rate", steps.rate, price)
    gamma, vega = max(gamma, 0.0), max(vega, 0.0)
    rho = max(rho, 0.0) if contract.is_call else min(rho, 0.0)
    return price, delta, gamma, vega, _theta(contract, price, delta, gamma), rho


def _theta(contract: Scaled, price: float, delta: float, gamma: float) -> float:
    if 0 < price <= contract.intrinsic:
        return 0.0
    spot, rate, carry = contract.spot, contract.rate, contract.carry
    theta = rate * price - (rate - carry) * spot * delta - 0.5 * (contract.deviation * spot) ** 2 * gamma
    return min(theta, 0.0)


def _spot_greeks(contract: Scaled, price: float, steps: Steps) -> tuple[float, float]:
    """Delta and gamma; NaN without deviation at a kink, where the slopes on either side are not the same."""
    reach = min(contract.deviation, 0.5) if contract.deviation > NO_DEVIATION else KINK_WIDTH
    width = steps.spot * reach * contract.spot
    up = _market().price(replace(contract, spot=contract.spot + width))
    down = _market().price(replace(contract, spot=contract.spot - width))
    if contract.deviation <= NO_DEVIATION and abs(up - 2 * price + down) > SLOPE_JUMP * width:
        return math.nan, math.nan
    return (up - down) / (2 * width), (up - 2 * price + down) / width**2


def _slope(contract: Scaled, name: Literal["deviation", "rate"], width: float, price: float) -> float:
    """Central difference in one input; one-sided where the other side needs the other engine, whose error differs."""
    if width <= 0:
        return 0.0
    ends = [_moved(contract, name, by) for by in (-width, width)]
    alike = [end.has_two_boundaries == contract.has_two_boundaries for end in ends]
    if not any(alike):
        alike = [True, True]
    low, high = (_market().price(end) if same else price for end, same in zip(ends, alike, strict=True))
    return (high - low) / (sum(alike) * width)


def _moved(contract: Scaled, name: Literal["deviation", "rate"], by: float) -> Scaled:
    if name == "deviation":
        return replace(contract, deviation=contract.deviation + by)
    return replace(contract, rate=contract.rate + by)


def american_implied_volatility(chain: OptionChain, price: Floats) -> ImpliedVolatility:
    """Solve for the volatility (n_contracts,), each by Brent's method between 0 and HIGHEST_VOLATILITY;
    ``chain.volatility`` is not looked at."""
    contracts = _scaled(chain)
    lower = chain.strike * np.array([contract.lower for contract in contracts])
    upper = chain.strike * np.array([contract.upper for contract in contracts])
    top = replace(chain, volatility=np.full(len(chain), HIGHEST_VOLATILITY))
    reasons = list(reasons_without(chain, price, lower, upper, american_price(top), ENGINE_ERROR * chain.strike))
    volatility = np.full(len(chain), np.nan)
    for at in (at for at, reason in enumerate(reasons) if reason is None):
        try:
            deviation = _solve(contracts[at], price[at] / chain.strike[at], top.deviation[at])
        except ValueError:
            reasons[at] = NO_PRICE
        else:
            volatility[at] = deviation / np.sqrt(chain.time_to_expiry[at])
    return ImpliedVolatility(volatility, tuple(reasons), lower, upper)


def _solve(contract: Scaled, target: float, top: float) -> float:
    """The deviation at which the contract is worth the target; raises ValueError where the engine fails."""

    def excess(deviation: float) -> float:
        return _market().price(replace(contract, deviation=deviation)) - target

    return float(brentq(excess, 0.0, top, xtol=1e-12, rtol=1e-12))


def _scaled(chain: OptionChain) -> list[Scaled]:
    time = chain.time_to_expiry
    columns = (chain.spot / chain.strike, chain.rate * time, chain.dividend_yield * time, chain.deviation)
    return [Scaled(*row) for row in zip(chain.is_call.tolist(), *(it.tolist() for it in columns), strict=True)]
