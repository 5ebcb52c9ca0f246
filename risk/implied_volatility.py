"""Volatility that a European price implies, or why there is none. Shapes and units as in risk/options.py."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from contracts import Floats
from risk.options import OptionChain, european_bounds, european_price

HIGHEST_VOLATILITY = 10.0
"""1,000 % a year: what is above is a wrong price rather than a volatility."""

HALVINGS = 64
"""Of the bracket 0 to HIGHEST_VOLATILITY: to its last bit, whatever the price. No start to choose, no step to guard."""

ROUNDING = 8 * np.finfo(np.float64).eps
"""Relative error of a price in double precision."""


@dataclass(frozen=True, slots=True, eq=False)
class ImpliedVolatility:
    """``volatility`` (n_contracts,) is NaN where there is none; ``reasons`` say why there and are None elsewhere.
    ``lower`` and ``upper`` (n_contracts,) are the bounds that the price must lie between."""

    volatility: Floats
    reasons: tuple[str | None, ...]
    lower: Floats
    upper: Floats


def european_implied_volatility(chain: OptionChain, price: Floats) -> ImpliedVolatility:
    """Solve for the volatility (n_contracts,); ``chain.volatility`` is not looked at."""
    lower, upper = european_bounds(chain)
    time_value = price - lower
    highest = european_price(replace(chain, volatility=np.full(len(chain), HIGHEST_VOLATILITY)))
    rounding = np.where(lower > 0, ROUNDING * np.maximum(chain.discounted_spot, chain.discounted_strike), 0.0)
    reasons = reasons_without(chain, price, lower, upper, highest, rounding)
    known = np.array([reason is None for reason in reasons])
    return ImpliedVolatility(np.where(known, volatility_of(chain, time_value), np.nan), reasons, lower, upper)


def volatility_of(chain: OptionChain, time_value: Floats) -> Floats:
    """(n_contracts,) the volatility at which a European option is worth ``time_value`` more than its lower bound; 0 or
    HIGHEST_VOLATILITY where none between them does that.

    The option out of the money is solved for: by put-call parity it has the same volatility, and its price is all
    time value, which a price in the money drowns in rounding.
    """
    asset, cash = chain.discounted_spot, chain.discounted_strike
    smaller, larger, root = np.minimum(asset, cash), np.maximum(asset, cash), np.sqrt(chain.time_to_expiry)
    carry = (chain.rate - chain.dividend_yield) * chain.time_to_expiry
    moneyness = -np.abs(np.log(chain.spot) - np.log(chain.strike) + carry)
    volatility, step = np.zeros(len(chain)), 0.5 * HIGHEST_VOLATILITY
    with np.errstate(all="ignore"):
        for _ in range(HALVINGS):
            deviation = (volatility + step) * root
            upper = moneyness / deviation + 0.5 * deviation
            too_low = smaller * ndtr(upper) - larger * ndtr(upper - deviation) < time_value
            volatility = volatility + step * too_low
            step *= 0.5
    return volatility


def reasons_without(
    chain: OptionChain, price: Floats, lower: Floats, upper: Floats, highest: Floats, error: Floats
) -> tuple[str | None, ...]:
    """For each contract, why its price implies no volatility, or None. ``highest`` is its price at the highest
    volatility that is looked for, ``error`` how far a price so computed may be off."""
    columns = (price, lower, upper, highest, error, chain.time_to_expiry)
    return tuple(_reason(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def _reason(price: float, lower: float, upper: float, highest: float, error: float, time: float) -> str | None:
    if time == 0:
        return "the option expires now: its price does not depend on volatility"
    if price < lower - error:
        return f"the price is below {lower:.10g}, what the option is worth without any volatility"
    if price >= upper:
        return f"the price is not below {upper:.10g}, which no volatility reaches"
    if price <= lower + error:
        return f"the price is {lower:.10g}, what the option is worth without volatility: too little is left to tell one"
    if price > highest:
        return f"the volatility would be above {HIGHEST_VOLATILITY:g}, which is 1,000 % a year"
    return None
