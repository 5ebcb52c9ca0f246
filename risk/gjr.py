"""Volatility by GARCH, and returns filtered by GJR-GARCH with parameters that knew no day they are tested on.

The fits take seconds and `arch`: ``fitted`` is for a process of its own. The rest is arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.dynamics import Dynamics, next_variances
from contracts import Floats
from risk.measure import Undefined

SHORTEST_FIT = 500
LONGEST_FIT = 2500
REFIT_EVERY = 250
"""Two, ten and one year of trading days: a fit on a longer past describes a market that is gone."""


@dataclass(frozen=True, slots=True)
class Refit:
    """Parameters from the LONGEST_FIT returns before place ``at``; those of the fit before it where that failed."""

    at: int
    dynamics: Dynamics


@dataclass(frozen=True, slots=True)
class Fits:
    """GJR refits in order of place, and GARCH(1,1)-t on the last LONGEST_FIT returns; ``problems`` say what failed."""

    gjr: tuple[Refit, ...]
    garch: Dynamics | None
    problems: tuple[str, ...] = ()


def refit_places(count: int, tested: int) -> tuple[int, ...]:
    """Where parameters are fitted anew to test the last ``tested`` of ``count`` returns.

    Every REFIT_EVERY, counted from the first return so that a new day moves none; from the last place before the
    tested days on.
    """
    places = range(SHORTEST_FIT, count + 1, REFIT_EVERY)
    first = max((place for place in places if place <= count - tested), default=SHORTEST_FIT)
    return tuple(place for place in places if place >= first)


def fitted(returns: Floats, places: Sequence[int]) -> Fits:
    """All fits of one series, (n,) returns, about 30 ms each; imports arch."""
    from backtest.garch import FitFailed, fit_garch

    refits: list[Refit] = []
    garch = None
    problems: list[str] = []
    for place in places:
        try:
            refits.append(Refit(place, fit_garch(returns[max(place - LONGEST_FIT, 0) : place], True).dynamics))
        except (FitFailed, ValueError, ArithmeticError) as failure:
            problems.append(f"GJR-GARCH at return {place}: {_first_words(failure)}")
            refits += [Refit(place, refits[-1].dynamics)] if refits else []
    try:
        garch = fit_garch(returns[-LONGEST_FIT:], False).dynamics if len(returns) >= SHORTEST_FIT else None
    except (FitFailed, ValueError, ArithmeticError) as failure:
        problems.append(f"GARCH: {_first_words(failure)}")
    return Fits(tuple(refits), garch, tuple(problems))


def _first_words(failure: Exception) -> str:
    """Without what the optimiser adds for its programmer."""
    return str(failure).partition(";")[0].partition("\n")[0]


def garch_volatility(returns: Floats, fits: Fits, periods_per_year: float) -> float:
    """Volatility of the next return by GARCH(1,1) with Student t innovations (Bollerslev, 1987), a fraction a year."""
    if fits.garch is None:
        raise Undefined(_why_not(len(returns), fits, "GARCH:"))
    return float(np.sqrt(next_variances(returns[-LONGEST_FIT:], fits.garch)[-1] * periods_per_year))


@dataclass(frozen=True, slots=True)
class Filtered:
    """Returns from place ``start`` on in units of their own volatility, by one set of parameters.

    ``variances`` (m + 1,) as known before each return, the last of the next one; ``residuals`` (m,)."""

    start: int
    dynamics: Dynamics
    variances: Floats
    residuals: Floats


def filtered(returns: Floats, refit: Refit, end: int) -> Filtered:
    """The returns from LONGEST_FIT before the refit up to ``end``."""
    start = max(refit.at - LONGEST_FIT, 0)
    variances = next_variances(returns[start:end], refit.dynamics)
    residuals = (returns[start:end] - refit.dynamics.mean) / np.sqrt(variances[:-1])
    return Filtered(start, refit.dynamics, variances, residuals)


def blocks(returns: Floats, fits: Fits) -> list[tuple[Refit, int]]:
    """Each refit with the place up to which it serves. Raises Undefined where there is none."""
    if not fits.gjr:
        raise Undefined(_why_not(len(returns), fits, "GJR"))
    ends = [refit.at for refit in fits.gjr[1:]] + [len(returns)]
    return list(zip(fits.gjr, ends, strict=True))


def _why_not(count: int, fits: Fits, title: str) -> str:
    if count < SHORTEST_FIT:
        return f"needs at least {SHORTEST_FIT} returns, has {count}"
    return next((each for each in fits.problems if each.startswith(title)), "no fit succeeded")
