"""Requests and answers of the option routes, as the documentation shows them: real ones, numbers cut short."""

from __future__ import annotations

from typing import Any, Final

CONTRACT: Final[dict[str, Any]] = {
    "type": "call",
    "style": "european",
    "spot": 100.0,
    "strike": 105.0,
    "rate": 0.03,
    "dividend_yield": 0.01,
    "volatility": 0.2,
    "time_to_expiry": 0.5,
}
AMERICAN: Final[dict[str, Any]] = {**CONTRACT, "type": "put", "style": "american", "dividend_yield": 0.0}

PRICE: Final[dict[str, Any]] = {
    "price": 3.9657,
    "greeks": {
        "delta": 0.41725,
        "gamma": 0.027493,
        "vega": 27.493,
        "theta": -6.2142,
        "theta_per_day": -0.017025,
        "rho": 18.88,
    },
    "method": "Black-Scholes-Merton, closed form",
    "unavailable": {},
}
AMERICAN_PRICE: Final[dict[str, Any]] = {
    "price": 7.8513,
    "greeks": {
        "delta": -0.5928,
        "gamma": 0.030363,
        "vega": 26.979,
        "theta": -4.0587,
        "theta_per_day": -0.01112,
        "rho": -22.288,
    },
    "method": "Andersen-Lake-Offengenden, spectral collocation: price to 2e-5 of the strike",
    "unavailable": {},
}

REFUSED: Final[dict[str, Any]] = {
    "status": 422,
    "error": {
        "code": "invalid_request",
        "message": "1 field is wrong",
        "details": [{"field": "spot", "problem": "is required"}],
        "request_id": "3f0c2d9e5a1b4c7d8e9f0a1b2c3d4e5f",
    },
}
CHAIN: Final[dict[str, Any]] = {
    "contracts": [CONTRACT, AMERICAN, {name: value for name, value in CONTRACT.items() if name != "spot"}]
}
CHAIN_ANSWER: Final[dict[str, Any]] = {
    "results": [{"status": 200, **PRICE}, {"status": 200, **AMERICAN_PRICE}, REFUSED],
}

QUOTE: Final[dict[str, Any]] = {
    **{name: value for name, value in CONTRACT.items() if name != "volatility"},
    "price": 4.2,
}
QUOTES: Final[dict[str, Any]] = {
    "contracts": [
        QUOTE,
        {**QUOTE, "type": "put", "style": "american", "price": 3.0},
        {name: value for name, value in QUOTE.items() if name != "spot"},
    ]
}
VOLATILITY: Final[dict[str, Any]] = {
    "implied_volatility": 0.20851,
    "reason": None,
    "lower_bound": 0.0,
    "upper_bound": 99.501,
    "method": "bisection of Black-Scholes-Merton",
}
VOLATILITIES: Final[dict[str, Any]] = {
    "results": [
        {"status": 200, **VOLATILITY},
        {
            "status": 200,
            "implied_volatility": None,
            "reason": "the price is below 5, what the option is worth without any volatility",
            "lower_bound": 5.0,
            "upper_bound": 105.0,
            "method": "Chandrupatla's method on Andersen-Lake-Offengenden's spectral collocation",
        },
        REFUSED,
    ]
}
