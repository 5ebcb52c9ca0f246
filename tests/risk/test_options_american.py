"""American options against published values, a binomial tree, finite differences and what must hold."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import example, given, settings
from hypothesis import strategies as st

from risk.american import american_implied_volatility, american_price, american_valuation, has_two_boundaries
from risk.american_quantlib import two_boundary_implied_volatility, two_boundary_price, two_boundary_valuation
from risk.options import OptionChain, european_price, european_valuation
from tests.risk.chains import chain_of, contracts, one, random_chain

# Contracts of N. Ju, R. Zhong, "An Approximate Formula for Pricing American Options" (1999), as in QuantLib's
# test-suite/americanoption.cpp juValues. The price is the mean of Cox-Ross-Rubinstein trees of 1,500 and 1,501 steps;
# their approximation is up to 0.07 off it. To 0.005.
JU_ZHONG = [
    ("put", 35.0, 40.0, 0.0, 0.0488, 0.0833, 0.2, 0.0062),
    ("put", 35.0, 40.0, 0.0, 0.0488, 0.5833, 0.2, 0.4328),
    ("put", 40.0, 40.0, 0.0, 0.0488, 0.3333, 0.2, 1.5799),
    ("put", 45.0, 40.0, 0.0, 0.0488, 0.0833, 0.2, 5.0),
    ("put", 45.0, 40.0, 0.0, 0.0488, 0.5833, 0.2, 5.267),
    ("put", 35.0, 40.0, 0.0, 0.0488, 0.3333, 0.3, 0.6976),
    ("put", 40.0, 40.0, 0.0, 0.0488, 0.0833, 0.3, 1.31),
    ("put", 40.0, 40.0, 0.0, 0.0488, 0.5833, 0.3, 3.1698),
    ("put", 45.0, 40.0, 0.0, 0.0488, 0.3333, 0.3, 5.7058),
    ("put", 35.0, 40.0, 0.0, 0.0488, 0.0833, 0.4, 0.2466),
    ("put", 35.0, 40.0, 0.0, 0.0488, 0.5833, 0.4, 2.155),
    ("put", 40.0, 40.0, 0.0, 0.0488, 0.3333, 0.4, 3.3876),
    ("put", 45.0, 40.0, 0.0, 0.0488, 0.0833, 0.4, 5.2869),
    ("put", 45.0, 40.0, 0.0, 0.0488, 0.5833, 0.4, 7.3832),
    ("call", 100.0, 90.0, 0.07, 0.03, 3.0, 0.2, 5.1673),
    ("call", 100.0, 110.0, 0.07, 0.03, 3.0, 0.2, 14.4434),
    ("call", 100.0, 80.0, 0.07, 0.03, 3.0, 0.4, 11.3268),
    ("call", 100.0, 100.0, 0.07, 0.03, 3.0, 0.4, 20.7935),
    ("call", 100.0, 120.0, 0.07, 0.03, 3.0, 0.4, 32.7816),
    ("call", 100.0, 90.0, 0.07, 1e-05, 3.0, 0.3, 8.8423),
    ("call", 100.0, 110.0, 0.07, 1e-05, 3.0, 0.3, 18.4535),
    ("call", 100.0, 80.0, 0.03, 0.07, 3.0, 0.3, 12.1458),
    ("call", 100.0, 100.0, 0.03, 0.07, 3.0, 0.3, 23.3481),
    ("call", 100.0, 120.0, 0.03, 0.07, 3.0, 0.3, 37.1043),
]


def binomial(chain: OptionChain, steps: int = 1000) -> np.ndarray:
    """Naive twin: Cox-Ross-Rubinstein, the mean of two trees to damp their zigzag."""
    return np.array([(_tree(chain, at, steps) + _tree(chain, at, steps + 1)) / 2 for at in range(len(chain))])


def _tree(chain: OptionChain, at: int, steps: int) -> float:
    step = chain.time_to_expiry[at] / steps
    up = math.exp(chain.volatility[at] * math.sqrt(step))
    share = (math.exp((chain.rate[at] - chain.dividend_yield[at]) * step) - 1 / up) / (up - 1 / up)
    spots = chain.spot[at] * up ** np.arange(-steps, steps + 1, 2.0)
    sign = chain.sign[at]
    values = np.maximum(sign * (spots - chain.strike[at]), 0)
    for left in range(steps - 1, -1, -1):
        spots = chain.spot[at] * up ** np.arange(-left, left + 1, 2.0)
        held = math.exp(-chain.rate[at] * step) * (share * values[1:] + (1 - share) * values[:-1])
        values = np.maximum(held, sign * (spots - chain.strike[at]))
    return float(values[0])


def test_published_prices():
    price = american_price(chain_of(row[:7] for row in JU_ZHONG))
    np.testing.assert_allclose(price, [row[7] for row in JU_ZHONG], atol=0.005)


def by_quantlib(chain: OptionChain) -> np.ndarray:
    """QuantLib's high-precision scheme, on contracts scaled to one year."""
    day, count = ql.Date(2, 1, 2020), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = day
    quotes = [ql.SimpleQuote(1.0) for _ in range(4)]
    spot, rate, carry, deviation = (ql.QuoteHandle(quote) for quote in quotes)
    process = ql.BlackScholesMertonProcess(
        spot,
        ql.YieldTermStructureHandle(ql.FlatForward(day, carry, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(day, rate, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(day, ql.NullCalendar(), deviation, count)),
    )
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    time, prices = chain.time_to_expiry, []
    columns = (chain.spot, chain.rate * time, chain.dividend_yield * time, chain.deviation)
    for at, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        for quote, value in zip(quotes, row, strict=True):
            quote.setValue(value)
        kind = ql.Option.Call if chain.is_call[at] else ql.Option.Put
        payoff = ql.PlainVanillaPayoff(kind, chain.strike[at])
        option = ql.VanillaOption(payoff, ql.AmericanExercise(day, day + 365))
        option.setPricingEngine(engine)
        prices.append(option.NPV())
    return np.array(prices)


def chain_within(seed: int, n: int, rates: tuple[float, float], volatilities: tuple[float, float], years: float):
    """Contracts with one boundary; moneyness from exp(-0.7) to exp(0.7), volatilities and times spread by orders."""
    rng = np.random.default_rng(seed)
    chain = OptionChain(
        rng.random(n) < 0.5,
        100 * np.exp(rng.uniform(-0.7, 0.7, n)),
        np.full(n, 100.0),
        rng.uniform(*rates, n),
        rng.uniform(*rates, n),
        np.exp(rng.uniform(np.log(volatilities[0]), np.log(volatilities[1]), n)),
        np.exp(rng.uniform(np.log(0.003), np.log(years), n)),
    )
    return chain.take(np.flatnonzero(~has_two_boundaries(chain)))


@pytest.mark.parametrize(
    ("rates", "volatilities", "years", "error"),
    [
        ((0.0, 0.12), (0.05, 0.8), 3, 2e-6),
        ((-0.05, 0.2), (0.03, 1.5), 10, 1e-5),
        ((-0.05, 0.2), (0.005, 0.05), 10, 1e-5),
        ((-0.5, 0.5), (0.05, 2.0), 5, 2e-5),
        ((-0.1, 0.15), (0.05, 8.0), 100, 2e-5),
    ],
)
def test_price_is_that_of_the_high_precision_scheme(rates, volatilities, years, error):
    chain = chain_within(11, 60, rates, volatilities, years)
    np.testing.assert_allclose(american_price(chain) / 100, by_quantlib(chain) / 100, rtol=0, atol=error)


def test_delta_and_gamma_are_the_slopes_of_the_high_precision_scheme():
    chain = chain_within(12, 40, (0.0, 0.12), (0.1, 0.8), 3)
    value, width = american_valuation(chain), 1e-3 * chain.deviation * chain.spot
    down, middle, up = (by_quantlib(replace(chain, spot=chain.spot + by)) for by in (-width, 0, width))
    np.testing.assert_allclose(value.delta, (up - down) / (2 * width), atol=1e-4)
    gamma = (up - 2 * middle + down) / width**2
    np.testing.assert_allclose(
        value.gamma * chain.deviation * chain.spot, gamma * chain.deviation * chain.spot, atol=5e-3
    )


def test_vega_rho_and_theta_are_the_slopes_of_the_high_precision_scheme():
    chain = chain_within(13, 30, (0.01, 0.12), (0.1, 0.8), 3)
    value = american_valuation(chain)
    for name, greek, sign in (
        ("volatility", value.vega, 1),
        ("rate", value.rho, 1),
        ("time_to_expiry", value.theta, -1),
    ):
        at, step = getattr(chain, name), 1e-3 * getattr(chain, name)
        ends = [by_quantlib(replace(chain, **{name: at + by})) for by in (-step, step)]
        np.testing.assert_allclose(greek, sign * (ends[1] - ends[0]) / (2 * step), atol=0.1, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16])
def test_a_chain_is_priced_as_its_contracts_are_to_the_last_bit(n):
    chain = random_chain(14, 700, lowest_rate=-0.02)
    whole = american_valuation(chain)
    for start in range(0, 100, n):
        rows = np.arange(start, start + n)
        part = american_valuation(chain.take(rows))
        for field in fields(whole):
            assert (getattr(part, field.name) == getattr(whole, field.name)[rows]).all(), field.name


def test_next_to_the_boundary_delta_has_no_jump():
    spots = np.linspace(70, 95, 2001)
    chain = one("put", dividend_yield=0.0)
    chain = chain.take(np.zeros(len(spots), np.int64))
    value = american_valuation(replace(chain, spot=spots))
    assert (value.delta[0], value.delta[-1] > -0.9) == (-1, True)
    assert np.abs(np.diff(value.delta)).max() < 1e-3
    assert (np.diff(value.price) < 0).all()


def test_interest_over_more_than_the_method_covers_has_no_price():
    chain = one("put", rate=0.3, time=60.0)
    assert np.isnan(american_price(chain)[0])
    implied = american_implied_volatility(chain, np.array([20.0]))
    assert np.isnan(implied.volatility[0])
    assert "no price is computed" in implied.reasons[0]


def test_a_tree_agrees_where_rates_are_negative_too():
    chain = random_chain(5, 40, lowest_rate=-0.08)
    chain = chain.take(np.flatnonzero(~has_two_boundaries(chain))[:25])
    np.testing.assert_allclose(american_price(chain), binomial(chain), atol=0.02)


TWO_BOUNDARIES = [("put", 100.0, 100.0, -0.06, -0.02, 2.0, 0.15), ("call", 100.0, 110.0, -0.02, -0.06, 2.0, 0.15)]


def test_a_tree_agrees_where_exercise_has_two_boundaries():
    chain = chain_of(TWO_BOUNDARIES)
    assert has_two_boundaries(chain).all()
    price = two_boundary_price(chain)
    np.testing.assert_allclose(price, binomial(chain), atol=0.01)
    assert (price > european_price(chain) + 0.01).all()


def test_greeks_where_exercise_has_two_boundaries_are_the_slopes_of_the_tree():
    chain = chain_of(TWO_BOUNDARIES)
    value = two_boundary_valuation(chain)
    for name, greek, sign, step in (
        ("spot", value.delta, 1, 2.0),
        ("volatility", value.vega, 1, 0.01),
        ("rate", value.rho, 1, 0.002),
        ("time_to_expiry", value.theta, -1, 0.1),
    ):
        at = getattr(chain, name)
        slope = sign * (binomial(replace(chain, **{name: at + step})) - binomial(replace(chain, **{name: at - step})))
        np.testing.assert_allclose(greek, slope / (2 * step), rtol=0.05, atol=0.02, err_msg=name)


def test_volatility_there_and_back_where_exercise_has_two_boundaries():
    chain = chain_of(TWO_BOUNDARIES)
    implied = two_boundary_implied_volatility(chain, two_boundary_price(chain))
    np.testing.assert_allclose(implied.volatility, chain.volatility, rtol=1e-6)


def test_greeks_are_those_of_the_european_where_early_exercise_never_pays():
    chain = replace(random_chain(6), is_call=np.ones(300, bool), dividend_yield=np.zeros(300))
    ours, expected = american_valuation(chain), european_valuation(chain)
    for field in fields(ours):
        np.testing.assert_array_equal(getattr(ours, field.name), getattr(expected, field.name), err_msg=field.name)


def test_greeks_are_the_slopes_of_the_tree():
    chain = chain_of([("put", 100.0, 100.0, 0.01, 0.06, 1.0, 0.3), ("call", 100.0, 105.0, 0.08, 0.03, 1.0, 0.3)])
    value = american_valuation(chain)
    for name, greek, sign, step in (
        ("spot", value.delta, 1, 2.0),
        ("volatility", value.vega, 1, 0.02),
        ("rate", value.rho, 1, 0.005),
        ("time_to_expiry", value.theta, -1, 0.05),
    ):
        at = getattr(chain, name)
        slope = sign * (binomial(replace(chain, **{name: at + step})) - binomial(replace(chain, **{name: at - step})))
        np.testing.assert_allclose(greek, slope / (2 * step), rtol=0.01)


NEXT_TO_NOTHING = one("put", spot=99.9999, strike=1.0, rate=5e-324, dividend_yield=1.0, volatility=0.0, time=1e-300)


@given(contracts())
@example(NEXT_TO_NOTHING)
@settings(max_examples=150, deadline=None)
def test_early_exercise_is_never_worth_less_and_nothing_is_infinite(chain):
    if has_two_boundaries(chain)[0]:
        return
    value = american_valuation(chain)
    if np.isnan(value.price[0]):
        return  # beyond what the method covers: said so, not made up
    scale = max(chain.strike[0], chain.discounted_strike[0], chain.spot[0], chain.discounted_spot[0])
    exercise = max(chain.sign[0] * (chain.spot[0] - chain.strike[0]), 0)
    assert value.price[0] >= exercise - 1e-9 * scale
    assert value.price[0] >= european_price(chain)[0] - 1e-9 * scale
    assert not any(np.isinf(getattr(value, field.name)[0]) for field in fields(value))


def test_deep_in_the_money_it_is_exercised_now():
    value = american_valuation(one("put", spot=40.0, rate=0.1))
    assert (value.price[0], value.theta[0]) == (60, 0)
    assert value.delta[0] == pytest.approx(-1)
    assert value.gamma[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("style", [{"time": 0.0}, {"volatility": 0.0}])
def test_without_time_or_volatility_the_best_moment_to_exercise_is_taken(style):
    value = american_valuation(one(spot=120.0, **style))
    waited = 120 * math.exp(-0.02) - 100 * math.exp(-0.05)
    assert value.price[0] == pytest.approx(20.0 if "time" in style else waited)


def test_at_the_strike_on_the_last_day_there_is_no_slope():
    value = american_valuation(one(time=0.0))
    assert value.price[0] == 0
    assert np.isnan([value.delta[0], value.gamma[0], value.theta[0]]).all()


def test_volatility_there_and_back():
    chain = random_chain(7, 100, lowest_rate=-0.02)
    chain = chain.take(np.flatnonzero(~has_two_boundaries(chain)))
    value = american_valuation(chain)
    told = value.vega > 1
    implied = american_implied_volatility(chain, value.price)
    np.testing.assert_allclose(implied.volatility[told], chain.volatility[told], rtol=1e-6)
    assert told.sum() > 70


@given(contracts(st.floats(0.01, 8)))
@example(one("put", spot=0.01, strike=1e-8, rate=0.125, dividend_yield=0.125, volatility=1.0, time=100.0))
@settings(max_examples=150, deadline=None)
def test_a_volatility_gives_its_price_back_or_there_is_a_reason(chain):
    price = american_price(chain)
    if has_two_boundaries(chain)[0] or np.isnan(price[0]):
        return
    implied = american_implied_volatility(chain, price)
    assert (implied.reasons[0] is None) == np.isfinite(implied.volatility[0])
    if implied.reasons[0] is None:
        again = american_price(replace(chain, volatility=implied.volatility))
        # far from the money the price is no smoother in the volatility than this
        uneven = 1e-12 * max(chain.strike[0], chain.spot[0])
        assert again[0] == pytest.approx(price[0], rel=1e-8, abs=uneven)


@pytest.mark.parametrize(
    ("price", "reason"), [(19.0, "below 20"), (20.0, "too little is left"), (101.0, "no volatility reaches")]
)
def test_where_there_is_no_volatility_the_reason_is_said(price, reason):
    implied = american_implied_volatility(one("put", spot=80.0), np.array([price]))
    assert np.isnan(implied.volatility[0])
    assert reason in implied.reasons[0]
