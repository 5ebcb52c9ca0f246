"""Examples of the risk routes in the documentation: real answers, of the methods one, numbers shortened."""

from __future__ import annotations

from typing import Any, Final

RISK_REQUEST: Final[dict[str, Any]] = {
    "symbol": "AAPL",
    "period_days": 250,
    "confidence_levels": [0.99],
    "include_benchmark": True,
    "benchmark": "^GSPC",
    "risk_free_rate": 0.0,
    "horizon": 1,
}

RISK_RESPONSE: Final[dict[str, Any]] = {
    "symbol": "AAPL",
    "as_of": "2022-12-28",
    "period": {"first": "2021-12-30", "last": "2022-12-28", "returns": 250},
    "periods_per_year": 252,
    "benchmark": {"symbol": "^GSPC", "first": "2021-12-30", "last": "2022-12-28", "returns": 250},
    "measures": {
        "total_return": -0.2886,
        "annual_return": -0.2905,
        "annual_volatility": 0.3565,
        "ewma_volatility": 0.3588,
        "garch_volatility": 0.3439,
        "downside_deviation": 0.2541,
        "sharpe": -0.7853,
        "sortino": -1.101,
        "calmar": -0.9573,
        "omega": 0.8794,
        "tail_ratio": 0.8908,
        "skew": 0.3271,
        "kurtosis": 1.044,
        "max_drawdown": -0.3035,
        "beta": 1.306,
        "alpha": -0.01038,
        "correlation": 0.8851,
        "tracking_error": 0.1816,
        "information_ratio": -0.4054,
        "up_capture": 2.808,
        "down_capture": 1.038,
    },
    "drawdown": {
        "depth": -0.3035,
        "peak": "2022-01-03",
        "trough": "2022-12-28",
        "recovery": None,
        "periods_to_trough": 248,
        "longest": {"periods": 248, "start": "2022-01-03", "end": "2022-12-28", "is_over": False},
        "unavailable": {"recovery": "the value has not come back to its high"},
    },
    "value_at_risk": [
        {
            "method": "forecast",
            "definition": "quantiles of the forecast that /predict gives for this horizon; expected shortfall is "
            "their mean, with a tail that thins out exponentially beyond the lowest of them, 0.005",
            "confidence_level": 0.99,
            "horizon": 1,
            "value_at_risk": 0.07532,
            "expected_shortfall": 0.1028,
            "backtest": {
                "verdict": "Passes: 1 exceedance in 250 days where 2.5 were expected (Kupiec p = 0.28); "
                "they do not cluster (Christoffersen p = 0.93).",
                "passes": True,
                "days": 250,
                "window": 314,
                "scope": "measured out of sample from 2021-12-31 on: each forecast is made from prices before its day, "
                "by models fitted and calibrated on prices up to 2018-12-31",
                "first": "2021-12-31",
                "last": "2022-12-28",
                "exceedances": 1,
                "expected": 2.5,
                "kupiec": {"statistic": 1.176, "p_value": 0.2781},
                "independence": {"statistic": 0.008065, "p_value": 0.9284},
                "conditional_coverage": {"statistic": 1.185, "p_value": 0.5531},
                "traffic_light": {"zone": "green", "days": 250, "exceedances": 1, "multiplier": 3.0, "unavailable": {}},
                "dates": ["2022-09-13"],
                "unavailable": {},
            },
            "unavailable": {},
        }
    ],
    "risk_level": {"level": "high", "rule": "annual volatility 0.356 is between 0.2 and 0.4"},
    "unavailable": {},
    "notes": [],
    "data": {
        "provider": "bundled",
        "last_bar": "2022-12-28",
        "stale": True,
        "bars": 8313,
        "fingerprint": "sha256:1aabf9d4aa95644654c9e562d4e11391e92c24ea2ba63a8412bfba2c845cfac8",
        "dropped": [],
        "age_seconds": None,
        "suspicious": [{"time": "2000-09-29", "problem": "kept: a jump of -52% in one bar"}],
    },
}

RETURNS_REQUEST: Final[dict[str, Any]] = {
    "returns": [0.01, 0.1, -0.04, 0.02, 0.03, 0.02, 0.01, -0.1],
    "benchmark_returns": [0.005, 0.04, -0.02, 0.01, 0.02, 0.015, 0.0, -0.06],
    "periods_per_year": 252,
    "confidence_levels": [0.95],
    "risk_free_rate": 0.0,
}

RETURNS_RESPONSE: Final[dict[str, Any]] = {
    "returns": 8,
    "periods_per_year": 252.0,
    "measures": {
        "total_return": 0.03893,
        "annual_return": 2.33,
        "annual_volatility": 0.9136,
        "ewma_volatility": None,
        "garch_volatility": None,
        "downside_deviation": 0.6045,
        "sharpe": 1.724,
        "sortino": 2.606,
        "calmar": 23.3,
        "omega": 1.357,
        "tail_ratio": 0.9557,
        "skew": -0.3651,
        "kurtosis": 0.1195,
        "max_drawdown": -0.1,
        "beta": 1.876,
        "alpha": 1.67,
        "correlation": 0.9806,
        "tracking_error": 0.455,
        "information_ratio": 2.769,
        "up_capture": 75.51,
        "down_capture": 1.0,
    },
    "drawdown": {
        "depth": -0.1,
        "peak": 7,
        "trough": 8,
        "recovery": None,
        "periods_to_trough": 1,
        "longest": {"periods": 3, "start": 2, "end": 5, "is_over": True},
        "unavailable": {"recovery": "the value has not come back to its high"},
    },
    "value_at_risk": [
        {
            "method": "gaussian",
            "definition": "normal returns with mean and standard deviation of the window; several "
            "periods: mean and variance in proportion to their number",
            "confidence_level": 0.95,
            "horizon": 1,
            "value_at_risk": 0.08842,
            "expected_shortfall": 0.1125,
            "backtest": {
                "verdict": "4 tested days are too few to tell; at least 50 are needed",
                "passes": None,
                "days": 4,
                "window": 4,
                "scope": "each estimate is made from returns before its day",
                "first": 5,
                "last": 8,
                "exceedances": 1,
                "expected": 0.2,
                "kupiec": None,
                "independence": None,
                "conditional_coverage": None,
                "traffic_light": {
                    "zone": "yellow",
                    "days": 4,
                    "exceedances": 1,
                    "multiplier": None,
                    "unavailable": {"multiplier": "the Basel table is for 250 days at 0.99"},
                },
                "dates": [8],
                "unavailable": {
                    "kupiec": "4 tested days are too few to tell; at least 50 are needed",
                    "independence": "4 tested days are too few to tell; at least 50 are needed",
                    "conditional_coverage": "4 tested days are too few to tell; at least 50 are needed",
                    "passes": "4 tested days are too few to tell; at least 50 are needed",
                },
            },
            "unavailable": {},
        }
    ],
    "risk_level": {"level": "very high", "rule": "annual volatility 0.914 is at least 0.4"},
    "unavailable": {
        "ewma_volatility": "needs at least 20 returns, has 8",
        "garch_volatility": "needs at least 500 returns, has 8",
    },
}
