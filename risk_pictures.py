"""What a risk report shows, as arrays and words: between the formulas and whoever draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from contracts import Floats, Ints
from gateway.risk_picture import Mark, Pictured, Tested
from risk.drawdown import drawdowns
from risk.methods import methods_for
from risk.report import Series, stated
from risk.volatility import ewma_variances, rolling_volatility

WINDOW = 60
DRAWN_FIRST = ("gjr_filtered", "filtered_historical", "historical", "gaussian")
MARKED = "historical"
PERCENT = ("total_return", "annual_return", "annual_volatility", "ewma_volatility", "garch_volatility",
           "downside_deviation", "max_drawdown", "alpha", "tracking_error")  # fmt: skip
NAMES = {
    "ewma_volatility": "EWMA volatility",
    "garch_volatility": "GARCH volatility",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "kurtosis": "excess kurtosis",
    "gaussian": "Gaussian",
    "gaussian_ewma": "Gaussian, EWMA",
    "cornish_fisher": "Cornish-Fisher",
    "filtered_historical": "filtered historical",
    "gjr_filtered": "GJR-filtered",
}
HEAD = ("method", "level", "VaR", "ES", "days", "beyond", "expected", "Kupiec p", "indep. p", "Basel", "verdict")


def pictured(body: dict[str, Any], series: Series, days: Sequence[date]) -> Pictured:
    """``body`` is the plain answer over one day, ``days`` (n + 1,) those of the prices of the whole history."""
    ends = np.asarray(days[len(days) - series.period :], "datetime64[D]")
    year = body["periods_per_year"]
    return Pictured(
        title=f"{body['symbol']}: risk over {series.period:,} trading days",
        lines=_lines(body),
        days=ends,
        returns=series.returns,
        drawdowns=drawdowns(series.returns)[1:],
        volatility=_rolling(series, year),
        volatility_window=WINDOW,
        ewma=np.sqrt(ewma_variances(series.history)[:-1] * year)[-series.period :],
        marks=_marks(body),
        tested=_tested(body, series),
        figures=_figures(body),
        table=(HEAD, *(_row(entry) for entry in body["value_at_risk"])),
    )


def _lines(body: dict[str, Any]) -> tuple[str, ...]:
    period, data = body["period"], body["data"]
    against = body["benchmark"]
    compared = (
        "no benchmark" if against is None else f"against {against['symbol']} on {against['returns']} common returns"
    )
    level = body["risk_level"]
    return (
        f"{period['first']} to {period['last']}, {compared}; a year has {body['periods_per_year']:g} trading days",
        f"Prices: {data['provider']}, up to {data['last_bar']}" + (", not the newest" if data["stale"] else ""),
        "Risk level not available" if level is None else f"Risk level: {level['level']} ({level['rule']})",
    )


def _rolling(series: Series, year: float) -> Floats:
    """(period,) annual, NaN where the history does not reach back."""
    shown = np.full(len(series.history), np.nan)
    if len(series.history) >= WINDOW:
        shown[WINDOW - 1 :] = rolling_volatility(series.history, WINDOW) * np.sqrt(year)
    return shown[-series.period :]


def _marks(body: dict[str, Any]) -> tuple[Mark, ...]:
    return tuple(
        Mark(entry["confidence_level"], entry["value_at_risk"], entry["expected_shortfall"])
        for entry in body["value_at_risk"]
        if entry["method"] == MARKED and entry["value_at_risk"] is not None
    )


def _tested(body: dict[str, Any], series: Series) -> Tested | None:
    """The first of DRAWN_FIRST that was tested, at the first level asked for."""
    methods = {method.name: method for method in methods_for(series.history, series.period, series.fits)}
    for name in DRAWN_FIRST:
        for entry in body["value_at_risk"]:
            if entry["method"] == name and entry["backtest"] is not None:
                level = entry["confidence_level"]
                path, places = stated(methods[name], level, series)
                return Tested(
                    in_words(name), level, _in_period(places, series), path.losses, entry["backtest"]["verdict"]
                )
    return None


def _in_period(places: Ints, series: Series) -> Ints:
    return places - (len(series.history) - series.period)


def _figures(body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Every measure, in words and as it is usually written."""
    return tuple((in_words(name), _written(name, value)) for name, value in body["measures"].items())


def in_words(name: str) -> str:
    """A name of the API as one writes it."""
    return NAMES.get(name) or name.replace("_", " ")


def _written(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:,.1f} %" if name in PERCENT else f"{value:,.2f}"


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    tested = entry["backtest"]
    said = (
        in_words(entry["method"]),
        f"{100 * entry['confidence_level']:g} %",
        *(
            "–" if entry[name] is None else f"{100 * entry[name]:.2f} %"
            for name in ("value_at_risk", "expected_shortfall")
        ),
    )
    if tested is None:
        return (*said, *("–",) * 6, "not tested")
    verdict = {True: "passes", False: "fails", None: "cannot tell"}[tested["passes"]]
    return (
        *said,
        str(tested["days"]),
        str(tested["exceedances"]),
        f"{tested['expected']:.1f}",
        *("–" if tested[name] is None else f"{tested[name]['p_value']:.2g}" for name in ("kupiec", "independence")),
        tested["traffic_light"]["zone"],
        verdict,
    )
