"""Implied volatility: there and back, and a reason wherever there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.implied_volatility import european_implied_volatility
from risk.options import european_bounds, european_price, european_valuation
from tests.risk.chains import chain_of, contracts, one, random_chain

# Prices of Haug's contracts at the volatility of the last column (see test_options.py).
ROUND_TRIPS = [
    (("call", 65.0, 60.0, 0.0, 0.08, 0.25, 0.0), 2.133368444916, 0.3),
    (("put", 70.0, 75.0, 0.05, 0.1, 0.5, 0.0), 4.086953828635, 0.35),
    (("call", 100.0, 110.0, 0.1, 0.1, 0.5, 0.0), 10.576857786819, 0.15),
    (("call", 40.0, 42.0, 0.08, 0.04, 0.75, 0.0), 5.097547717726, 0.35),
]


@pytest.mark.parametrize(("contract", "price", "volatility"), ROUND_TRIPS)
def test_published_round_trips(contract, price, volatility):
    implied = european_implied_volatility(chain_of([contract]), np.array([price]))
    assert implied.volatility[0] == pytest.approx(volatility, abs=1e-9)
    assert implied.reasons == (None,)


def test_there_and_back():
    chain = random_chain(4, 2000, lowest_rate=-0.05)
    value = european_valuation(chain)
    told = value.vega > 1e-6
    implied = european_implied_volatility(chain, value.price)
    np.testing.assert_allclose(implied.volatility[told], chain.volatility[told], rtol=1e-6)
    assert told.sum() > 1900


@given(contracts(st.floats(0.01, 5)))
@settings(max_examples=300, deadline=None)
def test_a_volatility_gives_its_price_back_or_there_is_a_reason(chain):
    price = european_price(chain)
    implied = european_implied_volatility(chain, price)
    assert (implied.reasons[0] is None) == np.isfinite(implied.volatility[0])
    if implied.reasons[0] is None:
        again = european_price(replace(chain, volatility=implied.volatility))
        scale = max(chain.discounted_spot[0], chain.discounted_strike[0])
        assert again[0] == pytest.approx(price[0], rel=1e-6, abs=1e-12 * scale)


def test_far_out_of_the_money_a_tiny_price_tells_the_volatility():
    chain = one(strike=300.0, volatility=0.1)
    price = european_price(chain)
    assert price[0] < 1e-20
    assert european_implied_volatility(chain, price).volatility[0] == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "changed", "price", "reason"),
    [
        ("call", {"spot": 120.0}, 20.0, "below 22.5.*without any volatility"),
        ("call", {}, 98.1, "no volatility reaches"),
        ("put", {}, 95.2, "no volatility reaches"),
        ("call", {"strike": 200.0}, 0.0, "too little is left"),
        ("call", {"time": 0.0}, 5.0, "expires now"),
        ("call", {"time": 0.01}, 80.0, "above 10"),
    ],
)
def test_where_there_is_none_the_reason_is_said(kind, changed, price, reason):
    implied = european_implied_volatility(one(kind, **changed), np.array([price]))
    assert np.isnan(implied.volatility[0])
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(implied.reasons[0])


def test_a_price_at_its_lower_bound_is_not_taken_for_a_volatility():
    chain = one(spot=200.0, volatility=0.01)
    lower, _ = european_bounds(chain)
    assert "too little is left" in european_implied_volatility(chain, lower).reasons[0]
