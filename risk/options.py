"""European options on an asset with a continuous yield: price, Greeks and the bounds of their price, in closed form.

F. Black, M. Scholes (1973); R. Merton (1973); notation of E. G. Haug, Option Pricing Formulas (2007), chapter 2.
Every array has shape (n_contracts,). Rates and yields are continuous and annual, times are years, money is in the
unit of ``spot`` and ``strike``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from contracts import Floats, Ints

Mask = NDArray[np.bool_]

DAYS_PER_YEAR = 365.0
"""Calendar days: theta per day is theta / 365."""

NO_DEVIATION = 1e-9
"""Below this, volatility * sqrt(time) counts as zero: the price is then its limit, a kinked line in the spot."""


@dataclass(frozen=True, slots=True, eq=False)
class OptionChain:
    """Contracts, one per place. Not checked here: spot and strike are positive, volatility and time not negative."""

    is_call: Mask
    spot: Floats
    strike: Floats
    rate: Floats
    dividend_yield: Floats
    volatility: Floats
    time_to_expiry: Floats

    def __len__(self) -> int:
        return len(self.spot)

    @property
    def sign(self) -> Floats:
        """1 for a call, -1 for a put."""
        return np.where(self.is_call, 1.0, -1.0)

    @property
    def discounted_spot(self) -> Floats:
        """Value now of the asset delivered at expiry."""
        return self.spot * np.exp(-self.dividend_yield * self.time_to_expiry)

    @property
    def discounted_strike(self) -> Floats:
        """Value now of the strike paid at expiry."""
        return self.strike * np.exp(-self.rate * self.time_to_expiry)

    @property
    def deviation(self) -> Floats:
        """Standard deviation of the log price at expiry, volatility * sqrt(time)."""
        return self.volatility * np.sqrt(self.time_to_expiry)

    def take(self, rows: Ints) -> OptionChain:
        """The contracts at these positions."""
        return OptionChain(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Valuation:
    """Price and its derivatives, for one option on one unit of the asset.

    ``delta`` per unit of spot, ``gamma`` per unit of spot squared, ``vega`` per 1.00 of volatility (0.01 of it is a
    percentage point), ``theta`` per year that passes with all else unchanged (negative: it loses value), ``rho`` per
    1.00 of rate. NaN where the price has a kink and there is no derivative: without volatility or time, exactly where
    the forward price is the strike.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats

    @property
    def theta_per_day(self) -> Floats:
        """Change of the price over one calendar day."""
        return self.theta / DAYS_PER_YEAR


def european_price(chain: OptionChain) -> Floats:
    """Black-Scholes-Merton prices; without volatility or time, what the option is worth if nothing happens."""
    asset, cash = chain.discounted_spot, chain.discounted_strike
    d1, d2 = _distances(chain)
    sign = chain.sign
    price = sign * (asset * ndtr(sign * d1) - cash * ndtr(sign * d2))
    return np.clip(price, *european_bounds(chain))


def european_valuation(chain: OptionChain) -> Valuation:
    """Price and Greeks in closed form."""
    asset, cash = chain.discounted_spot, chain.discounted_strike
    d1, d2 = _distances(chain)
    sign, deviation = chain.sign, chain.deviation
    has_deviation = deviation > NO_DEVIATION
    kink = ~has_deviation & (asset == cash)
    density = np.exp(-0.5 * d1**2) / np.sqrt(2 * np.pi)
    vega = asset * np.where(np.isfinite(d1), density, 0.0) * np.sqrt(chain.time_to_expiry)
    at_spot, at_strike = sign * ndtr(sign * d1), sign * ndtr(sign * d2)
    gamma = np.divide(asset * density, chain.spot**2 * deviation, out=np.zeros(len(chain)), where=has_deviation)
    decay = np.divide(vega * chain.volatility, 2 * chain.time_to_expiry, out=np.zeros(len(chain)), where=has_deviation)
    carried = chain.dividend_yield * asset * at_spot - chain.rate * cash * at_strike
    return Valuation(
        price=european_price(chain),
        delta=_except(kink, asset / chain.spot * at_spot),
        gamma=_except(kink, gamma),
        vega=vega,
        theta=_except(kink, carried - decay),
        rho=_except(kink & (chain.time_to_expiry > 0), chain.time_to_expiry * cash * at_strike),
    )


def european_bounds(chain: OptionChain) -> tuple[Floats, Floats]:
    """Lowest price (reached without volatility) and the one that no volatility reaches, free of arbitrage."""
    asset, cash = chain.discounted_spot, chain.discounted_strike
    return np.maximum(chain.sign * (asset - cash), 0.0), np.where(chain.is_call, asset, cash)


def _distances(chain: OptionChain) -> tuple[Floats, Floats]:
    """d1 and d2; infinite where there is no deviation, and 0 at the kink."""
    deviation = chain.deviation
    carry = (chain.rate - chain.dividend_yield) * chain.time_to_expiry
    moneyness = np.log(chain.spot) - np.log(chain.strike) + carry
    moneyness = np.where(chain.discounted_spot == chain.discounted_strike, 0.0, moneyness)
    has_deviation = deviation > NO_DEVIATION
    middle = np.divide(moneyness, deviation, out=_infinite_like(moneyness), where=has_deviation)
    half = np.where(has_deviation, 0.5 * deviation, 0.0)
    return middle + half, middle - half


def _infinite_like(moneyness: Floats) -> Floats:
    return np.where(moneyness == 0, 0.0, np.copysign(np.inf, moneyness))


def _except(nowhere: Mask, values: Floats) -> Floats:
    return np.where(nowhere, np.nan, values)
