"""Whether a value at risk holds what it says: exceedances counted and tested, on days that it did not know.

Kupiec (1995), Techniques for verifying the accuracy of risk measurement models; Christoffersen (1998), Evaluating
interval forecasts; Basel Committee (1996), Supervisory framework for the use of backtesting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, chdtrc, xlogy

from contracts import Floats, Ints
from risk.measure import Undefined

SIGNIFICANCE = 0.05
FEWEST_DAYS = 50
TRAFFIC_DAYS = 250
YELLOW, RED = 0.95, 0.9999
"""Where the zones begin: probability of that many exceedances or fewer, if the model is right (Basel, 1996)."""
MULTIPLIERS = (3.0, 3.0, 3.0, 3.0, 3.0, 3.4, 3.5, 3.65, 3.75, 3.85, 4.0)
"""Of the capital requirement for 0 to 10 and more exceedances of the 99 % VaR in 250 days (Basel, 1996, table 2)."""

Hits = NDArray[np.bool_]
Zone = Literal["green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """``p_value`` is the chance of a statistic at least this large if the model is right."""

    statistic: float
    p_value: float

    @property
    def passes(self) -> bool:
        return self.p_value >= SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """``multiplier`` is None but for 99 % and 250 days, for which Basel has a table."""

    zone: Zone
    days: int
    exceedances: int
    multiplier: float | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """``at`` are the places of the exceedances among the ``days`` tested. A test that is None has its reason in
    ``unavailable``, by its name; ``passes`` is None where the tests cannot tell."""

    days: int
    expected: float
    at: Ints
    kupiec: LikelihoodRatio | None
    independence: LikelihoodRatio | None
    conditional_coverage: LikelihoodRatio | None
    traffic_light: TrafficLight
    passes: bool | None
    verdict: str
    unavailable: dict[str, str]


def kupiec(exceedances: int, days: int, level: float) -> LikelihoodRatio:
    """Proportion of failures: is the share of exceedances 1 - level? Chi-square with one degree of freedom."""
    share = 1.0 - level
    seen = exceedances / days
    statistic = 2.0 * (_likelihood(exceedances, days, seen) - _likelihood(exceedances, days, share))
    return _chi_square(statistic, 1)


def independence(hits: Hits) -> LikelihoodRatio:
    """Christoffersen: is an exceedance as likely on the day after one as on any other? One degree of freedom.

    Raises Undefined where none, or every one, of the days that have a next day is an exceedance.
    """
    before, after = hits[:-1], hits[1:]
    if not before.any() or before.all():
        raise Undefined("needs a day with an exceedance and one without, each with a day after it")
    followed, days_after = int(np.sum(before & after)), int(np.sum(before))
    new, other_days = int(np.sum(~before & after)), int(np.sum(~before))
    split = _likelihood(followed, days_after, followed / days_after) + _likelihood(new, other_days, new / other_days)
    share = (followed + new) / len(before)
    return _chi_square(2.0 * (split - _likelihood(followed + new, len(before), share)), 1)


def conditional_coverage(coverage: LikelihoodRatio, independent: LikelihoodRatio) -> LikelihoodRatio:
    """Christoffersen: both at once, the sum of the statistics, with two degrees of freedom."""
    return _chi_square(coverage.statistic + independent.statistic, 2)


def traffic_light(hits: Hits, level: float) -> TrafficLight:
    """Of the last 250 tested days, or of all if fewer."""
    recent = hits[-TRAFFIC_DAYS:]
    count = int(np.sum(recent))
    chance = float(bdtr(count, len(recent), 1.0 - level))
    is_green = chance < YELLOW or count <= len(recent) * (1.0 - level)  # of few days, none is what is expected
    zone: Zone = "green" if is_green else "yellow" if chance < RED else "red"
    has_table = len(recent) == TRAFFIC_DAYS and abs(level - 0.99) < 1e-9
    return TrafficLight(zone, len(recent), count, MULTIPLIERS[min(count, 10)] if has_table else None)


def backtest(returns: Floats, value_at_risk: Floats, level: float) -> Backtest:
    """(n,) returns against the VaR (n,) stated for each before it; an exceedance is a loss beyond it.

    Days with a VaR of NaN, none stated, must have been left out. Raises Undefined without a single day.
    """
    if len(returns) == 0:
        raise Undefined("no day has enough history before it")
    hits = -returns > value_at_risk
    days, count = len(hits), int(np.sum(hits))
    expected = round(days * (1.0 - level), 9)
    if days < FEWEST_DAYS:
        reason = f"{days} tested days are too few to tell; at least {FEWEST_DAYS} are needed"
        names = ("kupiec", "independence", "conditional_coverage", "passes")
        nothing = dict.fromkeys(names, reason)
        light = traffic_light(hits, level)
        return Backtest(days, expected, np.flatnonzero(hits), None, None, None, light, None, reason, nothing)
    coverage = kupiec(count, days, level)
    try:
        independent: LikelihoodRatio | None = independence(hits)
        unavailable = {}
    except Undefined as reason_:
        independent, unavailable = None, dict.fromkeys(("independence", "conditional_coverage"), str(reason_))
    both = None if independent is None else conditional_coverage(coverage, independent)
    light = traffic_light(hits, level)
    passes = coverage.passes and (independent is None or independent.passes)
    verdict = _verdict(count, expected, days, coverage, independent)
    return Backtest(
        days, expected, np.flatnonzero(hits), coverage, independent, both, light, passes, verdict, unavailable
    )


def _verdict(count: int, expected: float, days: int, coverage: LikelihoodRatio, alone: LikelihoodRatio | None) -> str:
    times = "1 exceedance" if count == 1 else f"{count} exceedances"
    seen = f"{times} in {days} days where {expected:.1f} were expected (Kupiec p = {coverage.p_value:.2g})"
    if not coverage.passes:
        way = "more losses beyond it than it says" if count > expected else "fewer losses beyond it than it says"
        first = f"Fails: {seen}, {way}"
    else:
        first = seen
    if alone is None:
        second = "too few of them to tell whether they cluster"
    elif alone.passes:
        second = f"they do not cluster (Christoffersen p = {alone.p_value:.2g})"
    else:
        second = f"they cluster (Christoffersen p = {alone.p_value:.2g})"
    if coverage.passes:
        first = ("Passes: " if alone is None or alone.passes else "Fails: ") + first
    return f"{first}; {second}."


def _likelihood(successes: int, trials: int, share: float) -> float:
    """Log-likelihood of a binomial without its constant; 0 log 0 is 0."""
    return float(xlogy(successes, share) + xlogy(trials - successes, 1.0 - share))


def _chi_square(statistic: float, degrees: int) -> LikelihoodRatio:
    statistic = max(statistic, 0.0)
    return LikelihoodRatio(statistic, float(chdtrc(degrees, statistic)))
