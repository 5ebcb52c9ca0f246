"""Everything that is said of one series of returns, put together: measures, value at risk with its backtests, level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import numpy as np

from contracts import Floats, Ints
from risk import benchmark as against
from risk import ratios
from risk.drawdown import Drawdown, worst_drawdown
from risk.gjr import Fits, garch_volatility
from risk.measure import Measured, Undefined, deviation, finite, measured
from risk.methods import Method, Path, methods_for
from risk.returns import annual_return, rate_per_period, total_return
from risk.tail import Tail, from_quantiles
from risk.var_backtest import Backtest, backtest
from risk.volatility import annual_volatility, ewma_volatility, kurtosis, skew

RISK_LEVELS = (("low", 0.10), ("moderate", 0.20), ("high", 0.40))
"""Below this annual volatility; what is above all of them is very high."""

FORECAST = (
    "quantiles of the forecast that /predict gives for this horizon; expected shortfall is their mean, with a tail "
    "that thins out exponentially beyond the lowest of them, 0.005"
)


BEFORE_EACH_DAY = "each estimate is made from returns before its day"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller may choose. ``risk_free_rate`` is a year's, compound; ``horizon`` in periods."""

    confidence_levels: tuple[float, ...]
    horizon: int
    periods_per_year: float
    risk_free_rate: float


@dataclass(frozen=True, slots=True)
class Series:
    """``history`` (n,) returns, oldest first, of which the last ``period`` are asked about and the others only inform
    the estimates of volatility and the backtests. ``benchmark`` has returns (m,) of both on common dates in the period,
    or is a reason why not; ``fits`` may be one as well."""

    history: Floats
    period: int
    benchmark: tuple[Floats, Floats] | str
    fits: Fits | str

    @property
    def returns(self) -> Floats:
        """(period,)"""
        return self.history[-self.period :]


@dataclass(frozen=True, slots=True)
class ValueAtRisk:
    """One method at one confidence level. ``tested`` (days,) are the places in the history that the backtest is about,
    ``window`` the returns behind each of its estimates, ``scope`` in words what these knew. What is None has its reason
    in ``unavailable``."""

    method: str
    definition: str
    confidence_level: float
    horizon: int
    tail: Tail | None
    backtest: Backtest | None
    tested: Ints
    window: int | None
    unavailable: Mapping[str, str]
    scope: str = BEFORE_EACH_DAY


@dataclass(frozen=True, slots=True)
class PastForecasts:
    """The value at risk that forecasts stated: ``losses`` (days,) before the returns at ``places`` (days,) of the
    history, each from ``window`` returns or more."""

    losses: Floats
    places: Ints
    window: int
    scope: str


@dataclass(frozen=True, slots=True)
class RiskLevel:
    level: str
    rule: str


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Of ``count`` returns. ``drawdown`` and ``level`` are None where ``measures.unavailable`` has max_drawdown or
    annual_volatility."""

    count: int
    measures: Measured
    drawdown: Drawdown | None
    value_at_risk: tuple[ValueAtRisk, ...]
    level: RiskLevel | None


@np.errstate(all="ignore")  # what overflows or is divided by zero is found by its result, and gets a reason
def report(series: Series, terms: Terms) -> RiskReport:
    """Every measure, every method at every level; never raises for what the returns are like."""
    worst = cache(partial(worst_drawdown, series.returns))
    measures = measures_of(series, terms, worst)
    methods = methods_for(series.history, series.period, series.fits)
    entries = [value_at_risk(method, level, series, terms) for method in methods for level in terms.confidence_levels]
    try:
        drawdown: Drawdown | None = worst()
    except Undefined:
        drawdown = None
    volatility = measures.values["annual_volatility"]
    return RiskReport(
        series.period, measures, drawdown, tuple(entries), None if volatility is None else risk_level(volatility)
    )


def measures_of(series: Series, terms: Terms, worst: Callable[[], Drawdown]) -> Measured:
    """Each measure by its name; definitions are those of the functions that are called. What several need, as the
    ``worst`` drawdown, is worked out once."""
    returns, year = series.returns, terms.periods_per_year
    rate = rate_per_period(terms.risk_free_rate, year)
    gain = cache(partial(annual_return, returns, year))
    below = cache(partial(ratios.downside_deviation, returns, rate, year))
    alone: dict[str, Callable[[], float]] = {
        "total_return": partial(total_return, returns),
        "annual_return": gain,
        "annual_volatility": partial(annual_volatility, returns, year),
        "ewma_volatility": partial(ewma_volatility, series.history, year),
        "garch_volatility": partial(_garch, series, year),
        "downside_deviation": below,
        "sharpe": partial(ratios.sharpe, returns, rate, year),
        "sortino": lambda: ratios.sortino(returns, below(), rate, year),
        "calmar": lambda: ratios.calmar(gain(), worst().depth),
        "omega": partial(ratios.omega, returns, rate),
        "tail_ratio": partial(ratios.tail_ratio, returns),
        "skew": partial(skew, returns),
        "kurtosis": partial(kurtosis, returns),
        "max_drawdown": lambda: worst().depth,
    }
    return measured(alone | _relative(series, rate, year))


def _relative(series: Series, rate: float, year: float) -> dict[str, Callable[[], float]]:
    names = (
        "beta",
        "alpha",
        "correlation",
        "tracking_error",
        "information_ratio",
        "up_capture",
        "down_capture",
    )
    if isinstance(series.benchmark, str):
        return dict.fromkeys(names, partial(_missing, series.benchmark))
    pair = series.benchmark
    slope = cache(partial(against.beta, *pair, rate))
    return {
        "beta": slope,
        "alpha": lambda: against.alpha(*pair, slope(), rate, year),
        "correlation": partial(against.correlation, *pair),
        "tracking_error": partial(against.tracking_error, *pair, year),
        "information_ratio": partial(against.information_ratio, *pair, year),
        "up_capture": partial(against.up_capture, *pair, year),
        "down_capture": partial(against.down_capture, *pair, year),
    }


def _missing(reason: str) -> float:
    raise Undefined(reason)


def _garch(series: Series, year: float) -> float:
    if isinstance(series.fits, str):
        raise Undefined(series.fits)
    return garch_volatility(series.history, series.fits, year)


def value_at_risk(method: Method, level: float, series: Series, terms: Terms) -> ValueAtRisk:
    """One method at one level, with the backtest of its losses over one period on the days asked about."""
    unavailable: dict[str, str] = {}
    try:
        tail: Tail | None = checked(lambda: method.estimate(level, terms.horizon))
    except Undefined as reason:
        tail = None
        unavailable |= dict.fromkeys(("value_at_risk", "expected_shortfall"), str(reason))
    tested, places, window = None, np.empty(0, np.intp), None
    try:
        path, places = stated(method, level, series)
        tested, window = backtest(series.history[places], path.losses, level), path.window
    except Undefined as reason:
        unavailable["backtest"] = str(reason)
    return ValueAtRisk(method.name, method.definition, level, terms.horizon, tail, tested, places, window, unavailable)


def from_forecast(
    level: float, horizon: int, quantiles: Sequence[float] | str, past: PastForecasts | str, history: Floats
) -> ValueAtRisk:
    """From return quantiles at ``tail.levels_of_tail``, and what they were before; or the reason why there are none."""
    unavailable: dict[str, str] = {}
    tail = tested = None
    try:
        tail = checked(partial(from_quantiles, level, _present(quantiles)))
    except Undefined as reason:
        unavailable |= dict.fromkeys(("value_at_risk", "expected_shortfall"), str(reason))
    try:
        said = _present(past)
        tested = backtest(history[said.places], said.losses, level)
    except Undefined as reason:
        unavailable["backtest"] = str(reason)
        said = PastForecasts(np.empty(0), np.empty(0, np.intp), 0, "")
    return ValueAtRisk(
        "forecast", FORECAST, level, horizon, tail, tested, said.places, said.window, unavailable, said.scope
    )


Part = TypeVar("Part")


def _present(part: Part | str) -> Part:
    """The part; raises Undefined where there is a reason in its place."""
    if isinstance(part, str):
        raise Undefined(part)
    return part


def checked(estimate: Callable[[], Tail]) -> Tail:
    """The estimate; raises Undefined where a number in it is not finite."""
    tail = estimate()
    return Tail(finite(lambda: tail.value_at_risk), finite(lambda: tail.expected_shortfall))


def stated(method: Method, level: float, series: Series) -> tuple[Path, Ints]:
    """What the method said, on the days of the period on which it said something, and their places in the history."""
    deviation(series.returns)
    path = method.path(level)
    losses = path.losses[-series.period :]
    days = np.flatnonzero(np.isfinite(losses))
    return Path(losses[days], path.window), days + len(series.history) - len(losses)


def risk_level(volatility: float) -> RiskLevel:
    """low, moderate, high or very high, from the annual volatility alone."""
    lower = 0.0
    for name, limit in RISK_LEVELS:
        if volatility < limit:
            return RiskLevel(name, f"annual volatility {volatility:.3f} is between {lower:g} and {limit:g}")
        lower = limit
    return RiskLevel("very high", f"annual volatility {volatility:.3f} is at least {lower:g}")
