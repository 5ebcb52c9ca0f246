"""A request and its real answer, numbers and lists cut short, as the documentation shows them."""

from __future__ import annotations

from typing import Any, Final

REQUEST: Final[dict[str, Any]] = {
    "weights": {"AAPL": 0.6, "XOM": 0.4},
    "period_days": 250,
    "confidence_levels": [0.95],
    "include_benchmark": False,
    "shocks": {"AAPL": -0.2},
    "optimisation": {"methods": ["minimum_variance"], "max_weight": 0.7},
}

RESPONSE: Final[dict[str, Any]] = {
    "as_of": "2022-12-28",
    "currency": "USD",
    "period": {"first": "2021-12-30", "last": "2022-12-28", "returns": 250},
    "periods_per_year": 252,
    "weights": {"AAPL": 0.6, "XOM": 0.4},
    "value": None,
    "gross_exposure": 1.0,
    "benchmark": None,
    "measures": {
        "total_return": 0.06657,
        "annual_return": 0.06712,
        "annual_volatility": 0.2867,
        "sharpe": 0.3692,
        "max_drawdown": -0.159,
        "diversification_ratio": 1.263,
        "volatility_sample": 0.2867,
        "volatility_ledoit_wolf": 0.2799,
        "beta": None,
        "correlation": None,
        "tracking_error": None,
        "information_ratio": None,
    },
    "unavailable": {
        "beta": "include_benchmark is false",
        "correlation": "include_benchmark is false",
        "tracking_error": "include_benchmark is false",
        "information_ratio": "include_benchmark is false",
    },
    "volatility": {
        "annual": 0.2799,
        "contributions": {
            "AAPL": {"component": 0.1858, "marginal": 0.3097, "share": 0.6639},
            "XOM": {"component": 0.09408, "marginal": 0.2352, "share": 0.3361},
        },
        "reason": None,
    },
    "value_at_risk": [
        {
            "method": "historical",
            "confidence_level": 0.95,
            "value_at_risk": 0.03027,
            "expected_shortfall": 0.03677,
            "contributions": {
                "value_at_risk": {
                    "AAPL": {"component": 0.02338, "marginal": 0.03897, "share": 0.7724},
                    "XOM": {"component": 0.006891, "marginal": 0.01723, "share": 0.2276},
                },
                "expected_shortfall": {
                    "AAPL": {"component": 0.02487, "marginal": 0.04144, "share": 0.6763},
                    "XOM": {"component": 0.0119, "marginal": 0.02975, "share": 0.3237},
                },
            },
            "reason": None,
        },
        {
            "method": "gaussian",
            "confidence_level": 0.95,
            "value_at_risk": 0.02858,
            "expected_shortfall": 0.03595,
            "contributions": {
                "value_at_risk": {
                    "AAPL": {"component": 0.01992, "marginal": 0.0332, "share": 0.697},
                    "XOM": {"component": 0.008662, "marginal": 0.02166, "share": 0.303},
                },
                "expected_shortfall": {
                    "AAPL": {"component": 0.02481, "marginal": 0.04136, "share": 0.6902},
                    "XOM": {"component": 0.01114, "marginal": 0.02785, "share": 0.3098},
                },
            },
            "reason": None,
        },
    ],
    "covariance": {
        "method": "ledoit_wolf",
        "shrinkage": 0.2073,
        "symbols": ["AAPL", "XOM"],
        "annual": [[0.1262, 0.02746], [0.02746, 0.1234]],
    },
    "correlation": {"symbols": ["AAPL", "XOM"], "matrix": [[1.0, 0.22], [0.22, 1.0]]},
    "stress": {
        "historical": [
            {
                "name": "Financial crisis, 2008-09 to 2009-03",
                "first": "2008-09-01",
                "last": "2009-03-31",
                "return": -0.2838,
                "max_drawdown": -0.3795,
                "worst_day": -0.1334,
                "contributions": {"AAPL": -0.2279, "XOM": -0.05586},
                "reason": None,
            }
        ],
        "shock": {
            "shocks": {"AAPL": -0.2},
            "return": -0.1419,
            "moves": {"AAPL": -0.2, "XOM": -0.05474},
            "contributions": {"AAPL": -0.12, "XOM": -0.0219},
            "returns": 250,
        },
    },
    "optimisation": {
        "out_of_sample": {"first": "2014-12-26", "last": "2022-12-28", "refits": 8, "reason": None},
        "portfolios": [
            {
                "method": "minimum_variance",
                "weights": {"AAPL": 0.523, "XOM": 0.477},
                "trade": 0.154,
                "out_of_sample": {
                    "total_return": 1.406,
                    "annual_return": 0.116,
                    "annual_volatility": 0.2397,
                    "sharpe": 0.5782,
                    "max_drawdown": -0.4623,
                    "turnover": 0.1487,
                    "unavailable": {},
                },
                "reason": None,
            },
            {
                "method": "equal_weight",
                "weights": {"AAPL": 0.5, "XOM": 0.5},
                "trade": 0.2,
                "out_of_sample": {
                    "total_return": 2.969,
                    "annual_return": 0.188,
                    "annual_volatility": 0.2435,
                    "sharpe": 0.83,
                    "max_drawdown": -0.411,
                    "turnover": 0.1726,
                    "unavailable": {},
                },
                "reason": None,
            },
            {
                "method": "current",
                "weights": {"AAPL": 0.6, "XOM": 0.4},
                "trade": 0.0,
                "out_of_sample": {
                    "total_return": 3.357,
                    "annual_return": 0.202,
                    "annual_volatility": 0.2475,
                    "sharpe": 0.8678,
                    "max_drawdown": -0.386,
                    "turnover": 0.1565,
                    "unavailable": {},
                },
                "reason": None,
            },
        ],
        "reason": None,
    },
    "notes": [],
    "data": {
        "AAPL": {
            "provider": "bundled",
            "last_bar": "2022-12-28",
            "stale": True,
            "bars": 8313,
            "fingerprint": "sha256:1aab",
            "dropped": [],
            "age_seconds": None,
            "suspicious": [{"time": "2000-09-29", "problem": "kept: a jump of -52% in one bar"}],
            "first_bar": "1990-01-02",
            "missing_sessions": 0,
        },
        "XOM": {
            "provider": "bundled",
            "last_bar": "2022-12-28",
            "stale": True,
            "bars": 8313,
            "fingerprint": "sha256:1aab",
            "dropped": [],
            "age_seconds": None,
            "suspicious": [],
            "first_bar": "1990-01-02",
            "missing_sessions": 0,
        },
    },
}
