"""Everything that is told of a portfolio's risk, from its weights and the prices of its holdings: plain values.

Fractions; a year's where the name says so; null where something cannot be computed, with its reason beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from contracts import Floats, Times
from risk import benchmark as against
from risk.covariance import correlation, ledoit_wolf, sample_covariance
from risk.drawdown import max_drawdown
from risk.measure import Undefined, measured
from risk.portfolio import (
    Decomposed,
    TailParts,
    diversification_ratio,
    gaussian_tail,
    historical_tail,
    volatility,
)
from risk.portfolio_terms import EQUAL_WEIGHT, Optimised
from risk.ratios import sharpe
from risk.returns import annual_return, rate_per_period, total_return
from risk.stress import WINDOWS, Window, propagated, replayed
from risk.volatility import annual_volatility

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """``weights`` (n_assets,) sum to one; ``prices`` (n_periods + 1, n_assets) are those that returns are taken from,
    at the (n_periods + 1,) ``days`` that all holdings have. ``period`` is how many of the last returns are measured."""

    symbols: tuple[str, ...]
    weights: Floats
    days: Times
    prices: Floats
    period: int

    @property
    def all_returns(self) -> Floats:
        """(n_periods, n_assets) simple returns."""
        return self.prices[1:] / self.prices[:-1] - 1.0

    @property
    def returns(self) -> Floats:
        """(period, n_assets) those that are measured."""
        return self.all_returns[-self.period :]


@dataclass(frozen=True, slots=True)
class Terms:
    """How it is measured. ``rate`` is a year's."""

    levels: tuple[float, ...]
    horizon: int
    periods_per_year: float
    rate: float
    shrunk: bool


def risk_of(holdings: Holdings, benchmark: tuple[Floats, Floats] | str, terms: Terms) -> Json:
    """Measures, volatility, value at risk, their parts, and the matrices. ``benchmark`` is the portfolio's and the
    benchmark's returns on common days, or why there are none."""
    returns, weights = holdings.returns, holdings.weights
    shrunk, share = ledoit_wolf(returns)
    sample = sample_covariance(returns)
    covariance = shrunk if terms.shrunk else sample
    year = terms.periods_per_year
    told = measured(
        {
            **_alone(returns @ weights, terms),
            "diversification_ratio": lambda: diversification_ratio(weights, covariance),
            "volatility_sample": lambda: volatility(weights, sample).total * float(np.sqrt(year)),
            "volatility_ledoit_wolf": lambda: volatility(weights, shrunk).total * float(np.sqrt(year)),
            **_against(benchmark, terms),
        }
    )
    return {
        "measures": dict(told.values),
        "unavailable": dict(told.unavailable),
        "volatility": _volatility(holdings, covariance, year),
        "value_at_risk": [
            _tail(holdings, name, level, tail) for name, level, tail in _tails(returns, covariance, weights, terms)
        ],
        "covariance": {
            "method": "ledoit_wolf" if terms.shrunk else "sample",
            "shrinkage": share if terms.shrunk else None,
            "symbols": list(holdings.symbols),
            "annual": _rows(covariance * year),
        },
        "correlation": {"symbols": list(holdings.symbols), "matrix": _rows(correlation(covariance))},
    }


def _alone(returns: Floats, terms: Terms) -> dict[str, Callable[[], float]]:
    year = terms.periods_per_year
    return {
        "total_return": lambda: total_return(returns),
        "annual_return": lambda: annual_return(returns, year),
        "annual_volatility": lambda: annual_volatility(returns, year),
        "sharpe": lambda: sharpe(returns, rate_per_period(terms.rate, year), year),
        "max_drawdown": lambda: max_drawdown(returns),
    }


def _against(benchmark: tuple[Floats, Floats] | str, terms: Terms) -> dict[str, Callable[[], float]]:
    names = ("beta", "correlation", "tracking_error", "information_ratio")
    if isinstance(benchmark, str):
        return dict.fromkeys(names, _undefined(benchmark))
    mine, theirs = benchmark
    year = terms.periods_per_year
    return {
        "beta": lambda: against.beta(mine, theirs, rate_per_period(terms.rate, year)),
        "correlation": lambda: against.correlation(mine, theirs),
        "tracking_error": lambda: against.tracking_error(mine, theirs, year),
        "information_ratio": lambda: against.information_ratio(mine, theirs, year),
    }


def _undefined(reason: str) -> Callable[[], float]:
    def measure() -> float:
        raise Undefined(reason)

    return measure


def _volatility(holdings: Holdings, covariance: Floats, year: float) -> Json:
    try:
        parts = volatility(holdings.weights, covariance)
    except Undefined as reason:
        return {"annual": None, "contributions": None, "reason": str(reason)}
    root = float(np.sqrt(year))
    yearly = Decomposed(parts.total * root, parts.components * root, parts.marginal * root)
    return {"annual": yearly.total, "contributions": _parts(holdings.symbols, yearly), "reason": None}


def _tails(
    returns: Floats, covariance: Floats, weights: Floats, terms: Terms
) -> list[tuple[str, float, Callable[[], TailParts]]]:
    mean, horizon = returns.mean(axis=0), terms.horizon
    return [
        (name, level, tail)
        for level in terms.levels
        for name, tail in (
            ("historical", lambda level=level: historical_tail(weights, returns, level, horizon)),
            ("gaussian", lambda level=level: gaussian_tail(weights, mean, covariance, level, horizon)),
        )
    ]


def _tail(holdings: Holdings, method: str, level: float, tail: Callable[[], TailParts]) -> Json:
    about = {"method": method, "confidence_level": level}
    try:
        parts = tail()
    except Undefined as reason:
        missing = ("value_at_risk", "expected_shortfall", "contributions")
        return {**about, **dict.fromkeys(missing), "reason": str(reason)}
    return {
        **about,
        "value_at_risk": parts.value_at_risk.total,
        "expected_shortfall": parts.expected_shortfall.total,
        "contributions": {
            "value_at_risk": _parts(holdings.symbols, parts.value_at_risk),
            "expected_shortfall": _parts(holdings.symbols, parts.expected_shortfall),
        },
        "reason": None,
    }


def _parts(symbols: Sequence[str], parts: Decomposed) -> Json:
    columns = zip(symbols, parts.components, parts.marginal, parts.shares, strict=True)
    return {
        symbol: {"component": float(component), "marginal": float(marginal), "share": _number(share)}
        for symbol, component, marginal, share in columns
    }


def stress_of(holdings: Holdings) -> list[Json]:
    """Each historical window with today's weights; null with a reason where a holding has no prices for it."""
    return [_replayed(holdings, window) for window in WINDOWS]


def _replayed(holdings: Holdings, window: Window) -> Json:
    about = {"name": window.name, "first": window.first, "last": window.last}
    first, last = np.datetime64(window.first, "D"), np.datetime64(window.last, "D")
    start = int(np.searchsorted(holdings.days, first)) - 1
    end = int(np.searchsorted(holdings.days, last, side="right"))
    nothing = dict.fromkeys(("return", "max_drawdown", "worst_day", "contributions"))
    if start < 0 or last > holdings.days[-1]:
        reason = f"the holdings have common prices from {holdings.days[0]} to {holdings.days[-1]} only"
        return {**about, **nothing, "reason": reason}
    try:
        stressed = replayed(holdings.weights, holdings.prices[start:end])
    except Undefined as undefined:
        return {**about, **nothing, "reason": str(undefined)}
    return {
        **about,
        "return": stressed.result,
        "max_drawdown": stressed.max_drawdown,
        "worst_day": stressed.worst_day,
        "contributions": dict(zip(holdings.symbols, stressed.contributions.tolist(), strict=True)),
        "reason": None,
    }


def shock_of(holdings: Holdings, symbols: Sequence[str], returns: Floats, shocks: Mapping[str, float]) -> Json:
    """What the caller's ``shocks`` do. ``symbols`` are the holdings, then others that are shocked; ``returns``
    (n_periods, n_symbols) are theirs on common days."""
    shocked = np.array([shocks.get(symbol, np.nan) for symbol in symbols])
    moved = propagated(sample_covariance(returns), shocked)[: len(holdings.symbols)]
    parts = holdings.weights * moved
    return {
        "shocks": dict(shocks),
        "return": float(parts.sum()),
        "moves": dict(zip(holdings.symbols, moved.tolist(), strict=True)),
        "contributions": dict(zip(holdings.symbols, parts.tolist(), strict=True)),
        "returns": len(returns),
    }


def optimisation_of(holdings: Holdings, found: Optimised, terms: Terms) -> Json:
    """Weights by method, and every walk's figures over the same days."""
    steps = dict.fromkeys([*found.weights, *found.walks, *found.unavailable])
    first: date | None = holdings.days[-found.tested].item() if found.walks else None
    return {
        "out_of_sample": {
            "first": first,
            "last": holdings.days[-1].item() if found.walks else None,
            "refits": found.refits,
            "reason": found.no_walk,
        },
        "portfolios": [_optimised(holdings, name, found, terms) for name in steps],
    }


def _optimised(holdings: Holdings, name: str, found: Optimised, terms: Terms) -> Json:
    weights = found.weights.get(name)
    if weights is None and name not in found.unavailable:
        n_assets = len(holdings.symbols)
        weights = np.full(n_assets, 1 / n_assets) if name == EQUAL_WEIGHT else holdings.weights
    return {
        "method": name,
        "weights": None if weights is None else dict(zip(holdings.symbols, weights.tolist(), strict=True)),
        "trade": None if weights is None else float(np.abs(weights - holdings.weights).sum()),
        "out_of_sample": _walk(name, found, terms),
        "reason": found.unavailable.get(name),
    }


def _walk(name: str, found: Optimised, terms: Terms) -> Json | None:
    walk = found.walks.get(name)
    if walk is None:
        return None
    told = measured(_alone(walk.returns, terms))
    return {**told.values, "turnover": walk.turnover, "unavailable": dict(told.unavailable)}


def _rows(matrix: Floats) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in matrix]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
