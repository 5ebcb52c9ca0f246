"""Requests and answers shown in the documentation. Tests check each against its schema."""

from __future__ import annotations

from typing import Any, Final

REQUEST: Final[dict[str, Any]] = {
    "symbol": "AAPL",
    "horizon": 5,
    "timeframe": "1d",
    "models": ["xgboost", "lstm", "transformer"],
    "weights": {"xgboost": 0.5, "lstm": 0.3, "transformer": 0.2},
    "confidence_level": 0.9,
    "explain": False,
}

FORECAST: Final[dict[str, Any]] = {
    "forecast_id": "fc_4c1f2a7be0d94a6f",
    "symbol": "AAPL",
    "timeframe": "1d",
    "as_of": "2022-12-28",
    "current_price": 126.04,
    "currency": "USD",
    "horizon": 2,
    "target_date": "2022-12-30",
    "prediction": {
        "price_target": 126.13,
        "expected_return": 0.0007,
        "direction": "neutral",
        "probability_up": 0.51,
        "confidence": 0.51,
    },
    "interval": {"confidence_level": 0.9, "lower": 120.6, "upper": 131.7},
    "quantiles": {"0.05": 120.6, "0.25": 124.0, "0.5": 126.13, "0.75": 128.3, "0.95": 131.7},
    "path": [
        {"step": 1, "date": "2022-12-29", "median": 126.1, "lower": 122.1, "upper": 130.1},
        {"step": 2, "date": "2022-12-30", "median": 126.13, "lower": 120.6, "upper": 131.7},
    ],
    "members": [
        {
            "model": name,
            "version": "1",
            "weight": weight,
            "price_target": target,
            "status": "ok",
            "error": None,
        }
        for name, weight, target in (
            ("xgboost", 0.5, 126.2),
            ("lstm", 0.3, 126.1),
            ("transformer", 0.2, 126.0),
        )
    ],
    "confidence_breakdown": {
        "model_agreement": 0.8,
        "historical_skill": 0.5,
        "data_quality": 1.0,
        "regime": 0.7,
    },
    "evidence": {
        "coverage": 0.902,
        "samples": 4231,
        "skill_vs_random_walk": 0.02,
        "p_value": 0.003,
        "beats_random_walk": True,
        "window": ["2019-01-02", "2022-12-28"],
        "scope": "equities, horizon 2, all members",
        "up_share": 0.52,
        "direction_accuracy": 0.51,
        "direction_p_value": 0.4,
        "direction_edge": False,
    },
    "data": {
        "provider": "bundled",
        "last_bar": "2022-12-28",
        "stale": True,
        "bars": 8313,
        "fingerprint": "sha256:5f0c",
        "dropped": [],
    },
    "models_version": "1",
    "degraded": [],
    "cached": False,
    "notes": [],
}

ERROR: Final[dict[str, Any]] = {
    "error": {
        "code": "invalid_request",
        "message": "1 field is wrong",
        "details": [{"field": "horizon", "problem": "must be at most 90"}],
        "request_id": "3f0c2d9e5a1b4c7d8e9f0a1b2c3d4e5f",
    }
}

UNKNOWN_SYMBOL: Final[dict[str, Any]] = {
    "error": {
        "code": "unknown_symbol",
        "message": "there is no such symbol",
        "details": [{"field": "symbol", "problem": "NOSUCH is not known to any data source"}],
        "request_id": "3f0c2d9e5a1b4c7d8e9f0a1b2c3d4e5f",
    }
}

BATCH_REQUEST: Final[dict[str, Any]] = {"requests": [{"symbol": "AAPL", "horizon": 2}, {"symbol": "NOSUCH"}]}

BATCH_RESPONSE: Final[dict[str, Any]] = {
    "results": [{"status": 200, "forecast": FORECAST}, {"status": 404, **UNKNOWN_SYMBOL}],
    "count": 2,
    "succeeded": 1,
    "failed": 1,
}

SCOREBOARD: Final[dict[str, Any]] = {
    "models_version": "1",
    "windows": {
        "training": ["1990-01-01", "2014-12-31"],
        "calibration": ["2015-01-01", "2018-12-31"],
        "evidence": ["2019-01-01", "2022-12-31"],
    },
    "by_asset_class": {
        "equity": {
            "scope": "equity: AAPL, MSFT; origins and outcomes 2019-01-01 to 2022-12-31",
            "window": ["2019-01-02", "2022-12-27"],
            "rows": [
                {
                    "horizon": 5,
                    "n": 2002,
                    "pinball": 0.0098,
                    "skill_vs_random_walk": 0.04,
                    "t_vs_random_walk": 4.1,
                    "skill_vs_ewma": 0.014,
                    "t_vs_ewma": 2.8,
                    "skill_vs_garch": 0.003,
                    "t_vs_garch": 0.9,
                    "skill_vs_gjr": 0.001,
                    "t_vs_gjr": 0.3,
                    "skill_vs_fhs": 0.004,
                    "t_vs_fhs": 1.1,
                    "coverage_50": 0.497,
                    "coverage_80": 0.802,
                    "coverage_90": 0.906,
                    "coverage_95": 0.957,
                    "coverage_99": 0.993,
                    "width_90": 0.144,
                    "direction": 0.554,
                    "direction_se": 0.015,
                    "always_up": 0.555,
                    "brier": 0.2476,
                    "brier_gain": -0.0005,
                    "ece": 0.021,
                }
            ],
        }
    },
    "definitions": {"ece": "Expected calibration error of `confidence`, ten bins."},
}

HISTORY: Final[dict[str, Any]] = {
    "symbol": "AAPL",
    "forecasts": [
        {
            "forecast_id": "4c1f2a7be0d94a6f8f0f6f1d2c3b4a59",
            "symbol": "AAPL",
            "timeframe": "1d",
            "as_of": "2022-12-21",
            "made_at": "2022-12-21T22:10:04.512000Z",
            "horizon": 5,
            "target_date": "2022-12-29",
            "current_price": 135.45,
            "currency": "USD",
            "price_target": 135.9,
            "expected_return": 0.0033,
            "direction": "neutral",
            "probability_up": 0.53,
            "confidence": 0.53,
            "interval": {"confidence_level": 0.9, "lower": 124.1, "upper": 147.2},
            "quantiles": {"0.05": 124.1, "0.25": 131.5, "0.5": 135.9, "0.75": 140.3, "0.95": 147.2},
            "members": [
                {
                    "model": "xgboost",
                    "version": "4413bd12fd6a",
                    "weight": 1.0,
                    "price_target": 135.9,
                    "status": "ok",
                    "error": -0.0464,
                }
            ],
            "models_version": "20221231-f35583bbdb",
            "provider": "yahoo",
            "fingerprint": "sha256:1aabf9d4aa95",
            "degraded": [],
            "state": "settled",
            "settled_at": "2022-12-30T00:05:11.020000Z",
            "realised_date": "2022-12-29",
            "bars_ahead": 5,
            "realised_price": 129.61,
            "realised_return": -0.0431,
            "error": -0.0464,
            "inside_interval": True,
            "pinball": 0.0124,
            "pinball_random_walk": 0.0131,
        }
    ],
    "next_cursor": "MjAyMi0xMi0yMVQyMjoxMDowNC41MTIwMDArMDA6MDAvNGMxZjJhN2JlMGQ5NGE2ZjhmMGY2ZjFkMmMzYjRhNTk",
}

LIVE_SCOREBOARD: Final[dict[str, Any]] = {
    "models_version": "20221231-f35583bbdb",
    "symbol": "AAPL",
    "rows": [
        {
            "model": "ensemble",
            "members": ["xgboost", "lstm", "transformer", "har"],
            "horizon": 5,
            "n": 62,
            "symbols": 1,
            "first": "2023-01-03",
            "last": "2023-04-03",
            "mean_error": -0.0011,
            "absolute_error": 0.0297,
            "absolute_error_random_walk": 0.0298,
            "skill_vs_no_change": 0.0034,
            "coverage_50": 0.51,
            "coverage_90": 0.91,
            "pinball": 0.0098,
            "pinball_random_walk": 0.0102,
            "skill_vs_random_walk": 0.0392,
            "note": "Few outcomes: below 100 these numbers are mostly chance.",
        }
    ],
    "notes": ["Forecasts over several bars overlap from day to day."],
}
