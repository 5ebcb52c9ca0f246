"""American options that have one exercise boundary: price, Greeks, bounds and implied volatility, all in one pass.

A price depends on spot / strike, rate * time, yield * time and volatility * sqrt(time) alone, and a call is a put on
the strike paid in the asset, with rate and yield exchanged (R. McDonald, M. Schroder, 1998): every contract becomes a
put struck at 1 that expires in one year, for risk/american_put.py. Shapes and units as in risk/options.py.

Prices are within 2e-5 of the strike of QuantLib's high-precision scheme (tests/risk/test_options_american.py). NaN
where rate or yield times time is above 16.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contracts import Floats, Ints
from risk.american_boundary import Puts
from risk.american_put import put_prices, put_values
from risk.implied_volatility import (
    HIGHEST_VOLATILITY,
    ImpliedVolatility,
    reasons_without,
    volatility_of,
)
from risk.options import (
    NO_DEVIATION,
    Mask,
    OptionChain,
    Valuation,
    european_bounds,
    european_price,
    european_valuation,
)
from risk.root import root_below

STEP = 1e-5
"""Of the differences that give vega and rho, as a share of the deviation. The computed price is as smooth as the exact
one: its noise is rounding alone, so that a step to one side is enough."""

PRICE_ERROR = 1e-6
"""Of the strike: a price that close to its lower bound tells no volatility."""

NO_PRICE = "rate or dividend yield times the time to expiry is above 16: no price is computed so far"


def has_two_boundaries(chain: OptionChain) -> Mask:
    """Where waiting is better than exercise on both sides: a put with yield < rate < 0, a call with rate < yield < 0.
    These contracts are not for this module."""
    near, far = _earned_and_lost(chain)
    return np.asarray((far < near) & (near < 0))


def american_price(chain: OptionChain) -> Floats:
    """(n,) prices, held to their bounds, among them the European price, which rounding may cross."""
    price = american_lower_bound(chain)
    european, early = _by_method(chain)
    price[european] = european_price(chain.take(european))
    if len(early):
        price[early] = _held_to_bounds(some := chain.take(early), _money(some) * put_prices(*_as_puts(some)))
    return price


def american_valuation(chain: OptionChain) -> Valuation:
    """Price and Greeks. Each Greek is held to the sign that it has for every American option."""
    limit = without_deviation(chain)
    values = np.array([limit.price, limit.delta, limit.gamma, limit.vega, limit.theta, limit.rho])
    european, early = _by_method(chain)
    for rows, valuation in ((european, european_valuation), (early, _early_valuation)):
        if len(rows):
            found = valuation(chain.take(rows))
            values[:, rows] = [found.price, found.delta, found.gamma, found.vega, found.theta, found.rho]
    return Valuation(*values)


def without_deviation(chain: OptionChain) -> Valuation:
    """Price and Greeks where nothing is uncertain: those of exercise at the best time. No Greek at the kink, where that
    brings nothing, but not less than nothing either."""
    share = _best_time(chain)
    time = share * chain.time_to_expiry
    gain = _gain(chain, share)
    asset, cash = chain.spot * np.exp(-chain.dividend_yield * time), chain.strike * np.exp(-chain.rate * time)
    kink = np.where(gain == 0, np.nan, 0.0)
    paid = np.where(gain > 0, chain.sign, 0.0) + kink
    carried = chain.dividend_yield * asset * paid - chain.rate * cash * paid
    theta = np.where(share > 0, np.minimum(carried, 0.0), 0.0) + kink
    return Valuation(np.maximum(gain, 0.0), asset / chain.spot * paid, kink, kink, theta, time * cash * paid)


def american_bounds(chain: OptionChain) -> tuple[Floats, Floats]:
    """The best that can be had without volatility, and the most that is ever received in money of today: the asset for
    a call, the strike for a put."""
    upper = np.where(
        chain.is_call, np.maximum(chain.spot, chain.discounted_spot), np.maximum(chain.strike, chain.discounted_strike)
    )
    return american_lower_bound(chain), upper


def american_lower_bound(chain: OptionChain) -> Floats:
    """What it is worth without volatility: exercise now, at expiry, or at the best time between."""
    return np.maximum(_gain(chain, _best_time(chain)), 0.0)


def american_implied_volatility(chain: OptionChain, price: Floats) -> ImpliedVolatility:
    """Solve for the volatility (n,), up to HIGHEST_VOLATILITY; ``chain.volatility`` is not looked at."""
    lower, upper = american_bounds(chain)
    top = np.full(len(chain), HIGHEST_VOLATILITY)
    highest = _price_reached(replace(chain, volatility=top), price)
    reasons = list(reasons_without(chain, price, lower, upper, highest, PRICE_ERROR * chain.strike))
    rows = np.flatnonzero([reason is None for reason in reasons])
    volatility = np.full(len(chain), np.nan)
    if len(rows):
        volatility[rows] = _solved(chain.take(rows), price[rows])
    for row in rows[np.isnan(volatility[rows])]:
        reasons[row] = NO_PRICE
    return ImpliedVolatility(volatility, tuple(reasons), lower, upper)


def _price_reached(chain: OptionChain, price: Floats) -> Floats:
    """The European price, which an American option is worth at least; its own only where that is below ``price``."""
    reached = european_price(chain)
    short = np.flatnonzero(reached < price)
    if len(short):
        reached[short] = american_price(chain.take(short))
    return reached


def _solved(chain: OptionChain, price: Floats) -> Floats:
    """(n,) volatilities at which the contracts have these prices; NaN where they cannot be priced.

    Looked for below the one that the price implies for a European option, at which an American one is worth no less:
    nothing remains to be done where it is never exercised early.
    """
    volatility = volatility_of(chain, price - european_bounds(chain)[0])
    early = np.flatnonzero(~_never_exercised(chain))
    if not len(early):
        return volatility
    some, wanted = chain.take(early), price[early]

    def excess(volatility: Floats, rows: Ints) -> Floats:
        """In strikes."""
        return (american_price(replace(some.take(rows), volatility=volatility)) - wanted[rows]) / some.strike[rows]

    # A little more than implied, for rounding.
    highest = np.minimum(volatility[early] * (1 + 1e-6), HIGHEST_VOLATILITY)
    slope = european_valuation(replace(some, volatility=highest)).vega / some.strike
    volatility[early] = root_below(excess, highest, slope)
    return volatility


def _early_valuation(chain: OptionChain) -> Valuation:
    """Where early exercise may pay. Delta and gamma are derivatives of the integrals that give the price, vega and rho
    differences of prices, theta follows from the Black-Scholes equation."""
    moneyness, puts = _as_puts(chain)
    step = STEP * puts.deviation
    # The put that stands for a call has the rate for its yield. Either step leaves it with one boundary.
    richer = replace(puts, rate=np.where(chain.is_call, puts.rate, puts.rate + step))
    richer = replace(richer, dividend_yield=puts.dividend_yield - np.where(chain.is_call, step, 0.0))
    put = put_values(moneyness, puts, replace(puts, deviation=puts.deviation + step), richer)
    per_deviation, per_rate = (put.beside - put.price) / step
    money, time = _money(chain), chain.time_to_expiry
    price = _held_to_bounds(chain, money * put.price)
    delta = np.where(chain.is_call, put.price - moneyness * put.delta, put.delta)
    gamma = np.maximum(put.gamma * np.where(chain.is_call, moneyness**2, 1.0), 0.0) / money
    return Valuation(
        price=price,
        delta=np.clip(delta, np.where(chain.is_call, 0.0, -1.0), np.where(chain.is_call, 1.0, 0.0)),
        gamma=gamma,
        vega=np.maximum(money * per_deviation * np.sqrt(time), 0.0),
        theta=_theta(chain, price, delta, gamma),
        rho=money * time * np.where(chain.is_call, np.maximum(-per_rate, 0.0), np.minimum(per_rate, 0.0)),
    )


def _theta(chain: OptionChain, price: Floats, delta: Floats, gamma: Floats) -> Floats:
    """By the Black-Scholes equation while it is held; nothing is lost by waiting where it is exercised now."""
    carried = chain.rate * price - (chain.rate - chain.dividend_yield) * chain.spot * delta
    theta = carried - 0.5 * (chain.volatility * chain.spot) ** 2 * gamma
    exercised = price <= chain.sign * (chain.spot - chain.strike)
    return np.where(exercised, 0.0, np.minimum(theta, 0.0))


def _by_method(chain: OptionChain) -> tuple[Ints, Ints]:
    """Positions of what is never exercised early, and of what may be; what has no deviation is in neither."""
    uncertain, never = chain.deviation > NO_DEVIATION, _never_exercised(chain)
    return np.flatnonzero(uncertain & never), np.flatnonzero(uncertain & ~never)


def _never_exercised(chain: OptionChain) -> Mask:
    """Where waiting is never worse than exercise."""
    near, far = _earned_and_lost(chain)
    return np.asarray((near <= 0) & (near <= far))


def _earned_and_lost(chain: OptionChain) -> tuple[Floats, Floats]:
    """What a year brings on what is received at exercise, and costs of what is given away for it."""
    return (
        np.where(chain.is_call, chain.dividend_yield, chain.rate),
        np.where(chain.is_call, chain.rate, chain.dividend_yield),
    )


def _as_puts(chain: OptionChain) -> tuple[Floats, Puts]:
    """Spots in strikes, and the puts that stand for the contracts; a price of theirs is in units of ``_money``."""
    moneyness = np.where(chain.is_call, chain.strike / chain.spot, chain.spot / chain.strike)
    near, far = _earned_and_lost(chain)
    return moneyness, Puts(near * chain.time_to_expiry, far * chain.time_to_expiry, chain.deviation)


def _money(chain: OptionChain) -> Floats:
    return np.where(chain.is_call, chain.spot, chain.strike)


def _held_to_bounds(chain: OptionChain, price: Floats) -> Floats:
    lower, upper = american_bounds(chain)
    return np.minimum(np.maximum(np.maximum(price, european_price(chain)), lower), upper)


def _gain(chain: OptionChain, share: Floats) -> Floats:
    """What exercise after this share of the time brings, in money of today, if nothing is uncertain."""
    time = share * chain.time_to_expiry
    asset, cash = chain.spot * np.exp(-chain.dividend_yield * time), chain.strike * np.exp(-chain.rate * time)
    return chain.sign * (asset - cash)


def _best_time(chain: OptionChain) -> Floats:
    """The share of the time after which exercise brings most, if nothing is uncertain: now, at expiry, or where the
    gain is level, if that is between."""
    earned, lost = chain.rate * chain.strike, chain.dividend_yield * chain.spot
    drift = (chain.rate - chain.dividend_yield) * chain.time_to_expiry
    has_level = (earned * lost > 0) & (drift != 0)
    with np.errstate(over="ignore", divide="ignore"):  # to infinity, which is after expiry or before now
        ratio = np.divide(earned, lost, out=np.ones(len(chain)), where=has_level)
        level = np.divide(np.log(ratio), drift, out=np.zeros(len(chain)), where=has_level)
    shares = np.array([np.zeros(len(chain)), np.ones(len(chain)), np.clip(level, 0.0, 1.0)])
    best = np.argmax([_gain(chain, share) for share in shares], axis=0)
    return np.asarray(np.take_along_axis(shares, best[None], axis=0)[0])
