"""European options against published values, QuantLib and what holds without a model."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import given, settings

from risk.options import OptionChain, european_bounds, european_price, european_valuation
from tests.risk.chains import chain_of, contracts, one, random_chain

# E. G. Haug, Option Pricing Formulas (1998), as in QuantLib's test-suite/europeanoption.cpp testValues; to 1e-4.
# type, strike, spot, dividend yield, rate, time, volatility, price
HAUG = [
    ("call", 65.0, 60.0, 0.0, 0.08, 0.25, 0.3, 2.1334),
    ("put", 19.0, 19.0, 0.1, 0.1, 0.75, 0.28, 1.7011),
    ("call", 1.6, 1.56, 0.08, 0.06, 0.5, 0.12, 0.0291),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.1, 0.15, 0.0205),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.1, 0.15, 9.9413),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.1, 0.25, 3.1217),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.1, 0.35, 0.9474),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.1, 0.35, 11.1381),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.5, 0.15, 4.0232),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.5, 0.25, 2.7026),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.5, 0.25, 12.7857),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.5, 0.35, 9.3679),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.1, 0.15, 9.921),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.1, 0.15, 0.0408),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.1, 0.25, 3.1217),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.1, 0.35, 10.8479),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.1, 0.35, 1.2376),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.5, 0.15, 4.0232),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.5, 0.25, 12.2149),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.5, 0.25, 3.2734),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.5, 0.35, 9.3679),
    ("call", 40.0, 42.0, 0.08, 0.04, 0.75, 0.35, 5.0975),
]

# The same book and file, testGreekValues; to 1e-4.
GREEKS = [
    ("delta", ("call", 100.0, 105.0, 0.1, 0.1, 0.5, 0.36), 0.5946),
    ("gamma", ("call", 60.0, 55.0, 0.0, 0.1, 0.75, 0.3), 0.0278),
    ("vega", ("call", 60.0, 55.0, 0.0, 0.1, 0.75, 0.3), 18.9358),
    ("theta", ("put", 405.0, 430.0, 0.05, 0.07, 1 / 12, 0.2), -31.1924),
    ("theta_per_day", ("put", 405.0, 430.0, 0.05, 0.07, 1 / 12, 0.2), -0.0855),
    ("rho", ("call", 75.0, 72.0, 0.0, 0.09, 1.0, 0.19), 38.7325),
]


def test_published_prices():
    price = european_price(chain_of(row[:7] for row in HAUG))
    np.testing.assert_allclose(price, [row[7] for row in HAUG], atol=1e-4)


@pytest.mark.parametrize(("name", "contract", "expected"), GREEKS)
def test_published_greeks(name, contract, expected):
    assert getattr(european_valuation(chain_of([contract])), name)[0] == pytest.approx(expected, abs=1e-4)


def test_elasticity_of_the_book_follows_from_delta():
    chain = chain_of([("put", 100.0, 105.0, 0.1, 0.1, 0.5, 0.36)])
    value = european_valuation(chain)
    assert (value.delta * chain.spot / value.price)[0] == pytest.approx(-4.8775, abs=1e-4)


def test_quantlib_agrees_on_price_and_every_greek():
    chain = random_chain(1, lowest_rate=-0.05)
    value = european_valuation(chain)
    for at in range(len(chain)):
        expected = _by_quantlib(chain, at)
        ours = [getattr(value, name)[at] for name in ("price", "delta", "gamma", "vega", "theta", "rho")]
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def _by_quantlib(chain: OptionChain, at: int) -> list[float]:
    """Black's formula of QuantLib, which takes the time as a number."""
    time, rate, dividend_yield = (x[at] for x in (chain.time_to_expiry, chain.rate, chain.dividend_yield))
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if chain.is_call[at] else ql.Option.Put, chain.strike[at])
    forward = chain.spot[at] * math.exp((rate - dividend_yield) * time)
    black = ql.BlackCalculator(payoff, forward, chain.deviation[at], math.exp(-rate * time))
    spot = chain.spot[at]
    return [
        black.value(),
        black.delta(spot),
        black.gamma(spot),
        black.vega(time),
        black.theta(spot, time),
        black.rho(time),
    ]


def test_greeks_are_the_slopes_of_the_price():
    chain = random_chain(2)
    value = european_valuation(chain)
    for name, greek, sign in (
        ("spot", value.delta, 1),
        ("volatility", value.vega, 1),
        ("rate", value.rho, 1),
        ("time_to_expiry", value.theta, -1),
    ):
        at, step = getattr(chain, name), 1e-5
        slope = european_price(replace(chain, **{name: at + step})) - european_price(
            replace(chain, **{name: at - step})
        )
        np.testing.assert_allclose(greek, sign * slope / (2 * step), rtol=1e-4, atol=1e-4)


@given(contracts())
@settings(max_examples=500, deadline=None)
def test_everything_that_may_be_asked_for_is_finite_or_a_kink(chain):
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        value = european_valuation(chain)
    lower, upper = european_bounds(chain)
    assert lower <= value.price <= upper
    kink = chain.deviation <= 1e-9 and chain.discounted_spot == chain.discounted_strike
    for field in fields(value):
        [number] = getattr(value, field.name)
        assert math.isfinite(number) or (kink and math.isnan(number)), field.name


@given(contracts())
@settings(max_examples=300, deadline=None)
def test_put_call_parity(chain):
    call, put = (european_price(replace(chain, is_call=np.array([it]))) for it in (True, False))
    asset, cash = chain.discounted_spot, chain.discounted_strike
    assert (call - put)[0] == pytest.approx((asset - cash)[0], rel=1e-9, abs=1e-9 * max(asset[0], cash[0]))


@given(contracts())
@settings(max_examples=300, deadline=None)
def test_more_volatility_is_never_worth_less(chain):
    low = european_price(chain)
    high = european_price(replace(chain, volatility=chain.volatility * 1.5))
    slack = 1e-12 * max(chain.discounted_spot[0], chain.discounted_strike[0])
    assert high[0] >= low[0] - slack


def test_a_chain_is_priced_as_its_contracts_are():
    chain = random_chain(3, 50)
    whole = european_valuation(chain)
    for at in range(len(chain)):
        alone = european_valuation(chain.take(np.array([at])))
        for field in fields(whole):
            assert getattr(alone, field.name)[0] == getattr(whole, field.name)[at]


@pytest.mark.parametrize(
    ("kind", "spot", "price", "delta"), [("call", 110, 10, 1), ("call", 90, 0, 0), ("put", 90, 10, -1)]
)
def test_at_expiry_an_option_is_worth_its_exercise(kind, spot, price, delta):
    value = european_valuation(one(kind, spot=spot, time=0.0))
    assert (value.price[0], value.delta[0]) == (price, delta)
    assert value.gamma[0] == value.vega[0] == value.rho[0] == 0


def test_at_the_strike_on_the_last_day_there_is_no_slope():
    value = european_valuation(one(time=0.0))
    assert value.price[0] == 0
    assert np.isnan([value.delta[0], value.gamma[0], value.theta[0]]).all()


def test_without_volatility_an_option_is_worth_its_forward():
    value = european_valuation(one(spot=120.0, volatility=0.0))
    assert value.price[0] == pytest.approx(120 * math.exp(-0.02) - 100 * math.exp(-0.05))
    assert value.delta[0] == pytest.approx(math.exp(-0.02))
