"""Prices options: European ones here, in one pass over all, American ones where QuantLib may be imported."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from contracts import Floats, Ints
from errors import DeepFinanceError, ErrorDetail, InvalidRequest
from gateway.option_schemas import OptionContract, OptionQuote
from offload import Offload
from risk.implied_volatility import ImpliedVolatility, european_implied_volatility
from risk.offloaded import american_options, american_volatilities
from risk.options import OptionChain, Valuation, european_valuation

CLOSED_FORM = "Black-Scholes-Merton, closed form"
COLLOCATION = "QuantLib, spectral collocation: price to 5e-5 of the strike; Greeks are differences of prices"
BISECTION = "bisection of Black-Scholes-Merton"
BRENT = "Brent's method on QuantLib's spectral collocation"
KINK = "the price has no slope here: a kink, without time or volatility exactly at the strike, or a far extreme"
NO_PRICE = "QuantLib finds no price so far from spot: see the limits in the documentation"

GREEKS = ("delta", "gamma", "vega", "theta", "theta_per_day", "rho")
_INPUTS = attrgetter("spot", "strike", "rate", "dividend_yield", "time_to_expiry")
PATIENCE = 30.0
"""Seconds for the American options of one request, the start of the other process included."""

A = TypeVar("A")
Json = dict[str, Any]
Answers = Sequence[Json | DeepFinanceError]


class OptionsDesk:
    """``gateway.option_routes.OptionDesk``. Belongs to one event loop."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload

    async def prices(self, contracts: Sequence[OptionContract]) -> Answers:
        chain = _chain_of(contracts, np.array([it.volatility for it in contracts]))
        european, american = _by_style(contracts)
        answers: dict[int, Json | DeepFinanceError] = dict(
            zip(european.tolist(), _prices(european_valuation(chain.take(european)), CLOSED_FORM), strict=True)
        )
        if len(american):
            call = self._offload.run(american_options, chain.take(american), timeout=PATIENCE)
            found = await _or_errors(call, len(american), lambda valuation: _prices(valuation, COLLOCATION))
            answers.update(zip(american.tolist(), found, strict=True))
        return [answers[at] for at in range(len(contracts))]

    async def implied_volatilities(self, quotes: Sequence[OptionQuote]) -> Answers:
        chain = _chain_of(quotes, np.zeros(len(quotes)))
        price = np.array([it.price for it in quotes])
        european, american = _by_style(quotes)
        solved = european_implied_volatility(chain.take(european), price[european])
        answers: dict[int, Json | DeepFinanceError] = dict(
            zip(european.tolist(), _volatilities(solved, BISECTION), strict=True)
        )
        if len(american):
            call = self._offload.run(american_volatilities, chain.take(american), price[american], timeout=PATIENCE)
            found = await _or_errors(call, len(american), lambda implied: _volatilities(implied, BRENT))
            answers.update(zip(american.tolist(), found, strict=True))
        return [answers[at] for at in range(len(quotes))]


def _chain_of(contracts: Sequence[OptionContract] | Sequence[OptionQuote], volatility: Floats) -> OptionChain:
    spot, strike, rate, dividend_yield, time = np.array([_INPUTS(it) for it in contracts], dtype=np.float64).T
    is_call = np.array([it.type == "call" for it in contracts])
    return OptionChain(is_call, spot, strike, rate, dividend_yield, volatility, time)


def _by_style(contracts: Sequence[OptionContract] | Sequence[OptionQuote]) -> tuple[Ints, Ints]:
    """Positions of the European and of the American ones."""
    is_european = np.array([it.style == "european" for it in contracts])
    return np.flatnonzero(is_european), np.flatnonzero(~is_european)


async def _or_errors(call: Awaitable[A], count: int, answers: Callable[[A], Answers]) -> Answers:
    """What the other process computed; where it cannot answer, that error for each of its contracts."""
    try:
        return answers(await call)
    except DeepFinanceError as error:
        return [error] * count


def _prices(valuation: Valuation, method: str) -> Answers:
    columns = [valuation.price, *(getattr(valuation, name) for name in GREEKS)]
    whole = np.isfinite(np.array(columns)).all(axis=0).tolist()
    rows = zip(whole, *(column.tolist() for column in columns), strict=True)
    return [
        {"price": price, "greeks": dict(zip(GREEKS, greeks, strict=True)), "method": method, "unavailable": {}}
        if is_whole
        else _partly(price, greeks, method)
        for is_whole, price, *greeks in rows
    ]


def _partly(price: float, greeks: Sequence[float], method: str) -> Json | DeepFinanceError:
    """Where there is no price, or a Greek is missing."""
    if math.isnan(price):
        return InvalidRequest("this contract cannot be priced", [ErrorDetail("strike", NO_PRICE)])
    told = {name: value if math.isfinite(value) else None for name, value in zip(GREEKS, greeks, strict=True)}
    unavailable = {name: KINK for name, value in told.items() if value is None}
    return {"price": price, "greeks": told, "method": method, "unavailable": unavailable}


def _volatilities(implied: ImpliedVolatility, method: str) -> Answers:
    columns = (implied.volatility.tolist(), implied.reasons, implied.lower.tolist(), implied.upper.tolist())
    return [
        {
            "implied_volatility": None if reason else volatility,
            "reason": reason,
            "lower_bound": lower,
            "upper_bound": upper,
            "method": method,
        }
        for volatility, reason, lower, upper in zip(*columns, strict=True)
    ]
