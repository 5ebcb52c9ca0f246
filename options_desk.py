"""Prices options here, each kind of a chain in one pass; what only QuantLib can price, in another process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from contracts import Floats, Ints
from errors import DeepFinanceError, ErrorDetail, InvalidRequest
from gateway.option_schemas import OptionContract, OptionQuote
from offload import Offload
from risk.american import NO_PRICE, american_implied_volatility, american_valuation, has_two_boundaries
from risk.implied_volatility import ImpliedVolatility, european_implied_volatility
from risk.offloaded import two_boundary_options, two_boundary_volatilities
from risk.options import OptionChain, Valuation, european_valuation

CLOSED_FORM = "Black-Scholes-Merton, closed form"
COLLOCATION = "Andersen-Lake-Offengenden, spectral collocation: price to 2e-5 of the strike"
DIFFERENCES = "QuantLib, finite differences (two exercise boundaries): price to 1e-4 of the strike"
BISECTION = "bisection of Black-Scholes-Merton"
CHANDRUPATLA = "Chandrupatla's method on Andersen-Lake-Offengenden's spectral collocation"
BRENT = "Brent's method on QuantLib's finite differences (two exercise boundaries)"
KINK = "the price has no slope here: a kink, without time or volatility exactly at the strike"

GREEKS = ("delta", "gamma", "vega", "theta", "theta_per_day", "rho")
_INPUTS = attrgetter("spot", "strike", "rate", "dividend_yield", "time_to_expiry")
PATIENCE = 30.0
"""Seconds for what QuantLib prices of one request, the start of its process included."""
FEW = 8
"""So many American contracts are priced at once; more, in a thread, so that other requests go on."""

A = TypeVar("A")
Json = dict[str, Any]
Answers = Sequence[Json | DeepFinanceError]


class OptionsDesk:
    """``gateway.option_routes.OptionDesk``. Belongs to one event loop."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload

    async def prices(self, contracts: Sequence[OptionContract]) -> Answers:
        chain = _chain_of(contracts, np.array([it.volatility for it in contracts]))
        closed, collocated, differenced = _by_method(contracts, chain)
        found = _prices(european_valuation(chain.take(closed)), CLOSED_FORM)
        answers = dict(zip(closed.tolist(), found, strict=True))
        if len(collocated):
            valuation = await _aside(american_valuation, chain.take(collocated))
            answers.update(zip(collocated.tolist(), _prices(valuation, COLLOCATION), strict=True))
        if len(differenced):
            call = self._offload.run(two_boundary_options, chain.take(differenced), timeout=PATIENCE)
            found = await _or_errors(call, len(differenced), lambda it: _prices(it, DIFFERENCES))
            answers.update(zip(differenced.tolist(), found, strict=True))
        return [answers[at] for at in range(len(contracts))]

    async def implied_volatilities(self, quotes: Sequence[OptionQuote]) -> Answers:
        chain = _chain_of(quotes, np.zeros(len(quotes)))
        price = np.array([it.price for it in quotes])
        closed, collocated, differenced = _by_method(quotes, chain)
        found = _volatilities(european_implied_volatility(chain.take(closed), price[closed]), BISECTION)
        answers = dict(zip(closed.tolist(), found, strict=True))
        if len(collocated):
            solved = await asyncio.to_thread(american_implied_volatility, chain.take(collocated), price[collocated])
            answers.update(zip(collocated.tolist(), _volatilities(solved, CHANDRUPATLA), strict=True))
        if len(differenced):
            some = chain.take(differenced)
            call = self._offload.run(two_boundary_volatilities, some, price[differenced], timeout=PATIENCE)
            found = await _or_errors(call, len(differenced), lambda it: _volatilities(it, BRENT))
            answers.update(zip(differenced.tolist(), found, strict=True))
        return [answers[at] for at in range(len(quotes))]


def _chain_of(contracts: Sequence[OptionContract] | Sequence[OptionQuote], volatility: Floats) -> OptionChain:
    spot, strike, rate, dividend_yield, time = np.array([_INPUTS(it) for it in contracts], dtype=np.float64).T
    is_call = np.array([it.type == "call" for it in contracts])
    return OptionChain(is_call, spot, strike, rate, dividend_yield, volatility, time)


def _by_method(
    contracts: Sequence[OptionContract] | Sequence[OptionQuote], chain: OptionChain
) -> tuple[Ints, Ints, Ints]:
    """Positions of the European, of the American, and of the American with two boundaries."""
    is_european = np.array([it.style == "european" for it in contracts])
    has_two = has_two_boundaries(chain)
    masks = is_european, ~is_european & ~has_two, ~is_european & has_two
    return np.flatnonzero(masks[0]), np.flatnonzero(masks[1]), np.flatnonzero(masks[2])


async def _aside(price: Callable[[OptionChain], A], chain: OptionChain) -> A:
    """Here where that takes a moment, else in a thread: NumPy lets others run while it computes."""
    return price(chain) if len(chain) <= FEW else await asyncio.to_thread(price, chain)


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
        return InvalidRequest("this contract cannot be priced", [ErrorDetail("time_to_expiry", NO_PRICE)])
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
