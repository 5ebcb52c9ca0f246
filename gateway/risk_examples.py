"""Examples of the risk routes in the documentation: real answers, of the methods one, numbers shortened."""

from __future__ import annotations

from typing import Any, Final

RISK_REQUEST: Final[dict[str, Any]] = {
    "symbol": "^GSPC",
    "period_days": 250,
    "confidence_levels": [0.99],
    "include_benchmark": True,
    "benchmark": "^IXIC",
    "risk_free_rate": 0.0,
    "horizon": 1,
}

RISK_RESPONSE: Final[dict[str, Any]] = {
    "symbol": "^GSPC",
    "as_of": "2018-12-31",
    "period": {"first": "2018-01-02", "last": "2018-12-31", "returns": 250},
    "periods_per_year": 252,
    "benchmark": {"symbol": "^IXIC", "first": "2018-01-02", "last": "2018-12-31", "returns": 250},
    "measures": {
        "total_return": -0.07009,
        "annual_return": -0.07063,
        "annual_volatility": 0.1706,
        "ewma_volatility": 0.2812,
        "garch_volatility": 0.3222,
        "downside_deviation": 0.1302,
        "sharpe": -0.3439,
        "sortino": -0.4507,
        "calmar": -0.3571,
        "omega": 0.9393,
        "tail_ratio": 0.706,
        "skew": -0.4161,
        "kurtosis": 3.053,
        "max_drawdown": -0.1978,
        "beta": 0.7821,
        "alpha": -0.03227,
        "correlation": 0.9578,
        "tracking_error": 0.06694,
        "information_ratio": -0.3822,
        "up_capture": 0.5143,
        "down_capture": 0.9326,
    },
    "drawdown": {
        "depth": -0.1978,
        "peak": "2018-09-20",
        "trough": "2018-12-24",
        "recovery": None,
        "periods_to_trough": 65,
        "longest": {"periods": 146, "start": "2018-01-26", "end": "2018-08-24", "is_over": True},
        "unavailable": {"recovery": "the value has not come back to its high"},
    },
    "value_at_risk": [
        {
            "method": "gjr_filtered",
            "definition": "past returns in units of their GJR-GARCH volatility, the last 1,000, "
            "rescaled to today's; parameters fitted every 250 returns on the 2,500 "
            "before; several periods: 10,000 simulated paths, compounded",
            "confidence_level": 0.99,
            "horizon": 1,
            "value_at_risk": 0.04751,
            "expected_shortfall": 0.07168,
            "backtest": {
                "verdict": "Fails: 4 exceedances in 250 days where 2.5 were expected "
                "(Kupiec p = 0.38); they cluster (Christoffersen p = 0.043).",
                "passes": False,
                "days": 250,
                "window": 1000,
                "first": "2018-01-03",
                "last": "2018-12-31",
                "exceedances": 4,
                "expected": 2.5,
                "kupiec": {"statistic": 0.7691, "p_value": 0.3805},
                "independence": {"statistic": 4.107, "p_value": 0.04271},
                "conditional_coverage": {"statistic": 4.876, "p_value": 0.08733},
                "traffic_light": {"zone": "green", "days": 250, "exceedances": 4, "multiplier": 3.0, "unavailable": {}},
                "dates": ["2018-02-02", "2018-02-05", "2018-10-10", "2018-12-04"],
                "unavailable": {},
            },
            "unavailable": {},
        }
    ],
    "risk_level": {"level": "moderate", "rule": "annual volatility 0.171 is between 0.1 and 0.2"},
    "unavailable": {},
    "notes": [],
    "data": {
        "provider": "bundled",
        "last_bar": "2018-12-31",
        "stale": True,
        "bars": 5031,
        "fingerprint": "sha256:0265abf6d8cde841fe09d8809dc86a9215ed3c1ed612bb46be4623dd8278d830",
        "dropped": [],
        "age_seconds": None,
        "suspicious": [],
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
