"""The served methods of value at risk, each with two faces: what it says now, and what it said every day before.

``estimate`` and ``path`` follow one rule: an estimate is made from the last ``window`` returns known, the period asked
for but at most LONGEST_WINDOW. Methods that follow volatility filter all the history that there is, and draw from the
last LONGEST_WINDOW residuals. Without room for that, the path is tested with half of the history as its window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import numpy as np

from contracts import Floats
from risk.gjr import Fits, Refit, blocks, filtered
from risk.measure import Undefined, deviation, require
from risk.rolling import Moments, cornish_fisher_path, filtered_path, gaussian_path, historical_path
from risk.tail import RISKMETRICS, Tail, cornish_fisher, gaussian, historical, needed_for, simulated
from risk.var_backtest import FEWEST_DAYS
from risk.volatility import SEED_RETURNS, ewma_variances, rolling_moments

LONGEST_WINDOW = 1000


@dataclass(frozen=True, slots=True)
class Path:
    """What was said before each of the last (m,) returns, NaN where nothing was; ``window`` returns behind each."""

    losses: Floats
    window: int


class Method(Protocol):
    """Both raise Undefined where the history cannot carry the estimate."""

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> str:
        """In words, how it is estimated and how it reaches over several periods."""
        ...

    def estimate(self, level: float, horizon: int) -> Tail: ...

    def path(self, level: float) -> Path: ...


def methods_for(history: Floats, period: int, fits: Fits | str) -> list[Method]:
    """All that need nothing but returns. ``history`` (n,) holds the ``period`` asked for and what came before it;
    ``fits`` is a reason where there are none."""
    window = min(period, LONGEST_WINDOW)
    variances = cache(partial(ewma_variances, history))
    moments = cache(partial(_rolling_moments, history, window))
    return [
        Historical(history, window),
        Gaussian(history, window, moments),
        GaussianEwma(history, variances),
        CornishFisher(history, window, moments),
        FilteredHistorical(history, variances),
        GjrFiltered(history, fits),
    ]


def _rolling_moments(history: Floats, window: int) -> tuple[Moments, int]:
    """Of the returns before each return that has enough of them, and how many that is."""
    window = _tested_window(len(history), window)
    return rolling_moments(history[:-1], window), window


@dataclass(frozen=True)
class Historical:
    history: Floats
    window: int
    name: str = "historical"
    definition: str = "empirical quantile of the window; several periods: times the root of their number"

    def estimate(self, level: float, horizon: int) -> Tail:
        return historical(self.history[-self.window :], level, horizon)

    def path(self, level: float) -> Path:
        window = _tested_window(len(self.history), self.window)
        require(self.history[:window], needed_for(level))
        return Path(historical_path(self.history, window, level), window)


@dataclass(frozen=True)
class Gaussian:
    history: Floats
    window: int
    moments: Callable[[], tuple[Moments, int]]
    name: str = "gaussian"
    definition: str = (
        "normal returns with mean and standard deviation of the window; several periods: mean and variance in "
        "proportion to their number"
    )

    def estimate(self, level: float, horizon: int) -> Tail:
        returns = self.history[-self.window :]
        return gaussian(float(np.mean(returns)), deviation(returns), level, horizon)

    def path(self, level: float) -> Path:
        moments, window = self.moments()
        return Path(gaussian_path(moments, window, level), window)


@dataclass(frozen=True)
class GaussianEwma:
    history: Floats
    variances: Callable[[], Floats]
    name: str = "gaussian_ewma"
    definition: str = (
        "normal returns of mean zero with the RiskMetrics volatility of all history, decay 0.94; several periods: "
        "times the root of their number"
    )

    def estimate(self, level: float, horizon: int) -> Tail:
        require(self.history, SEED_RETURNS)
        deviation(self.history)
        return gaussian(0.0, float(np.sqrt(self.variances()[-1])), level, horizon)

    def path(self, level: float) -> Path:
        require(self.history, SEED_RETURNS + 1)
        known = np.sqrt(self.variances()[SEED_RETURNS:-1])
        return Path(known * gaussian(0.0, 1.0, level).value_at_risk, SEED_RETURNS)


@dataclass(frozen=True)
class CornishFisher:
    history: Floats
    window: int
    moments: Callable[[], tuple[Moments, int]]
    name: str = "cornish_fisher"
    definition: str = (
        "normal quantile corrected for skew and kurtosis of the window; several periods: independent, so that mean and "
        "variance grow and skew and kurtosis shrink"
    )

    def estimate(self, level: float, horizon: int) -> Tail:
        return cornish_fisher(self.history[-self.window :], level, horizon)

    def path(self, level: float) -> Path:
        moments, window = self.moments()
        require(self.history[:window], 4)
        return Path(cornish_fisher_path(moments, window, level), window)


@dataclass(frozen=True)
class FilteredHistorical:
    history: Floats
    variances: Callable[[], Floats]
    name: str = "filtered_historical"
    definition: str = (
        "past returns in units of their RiskMetrics volatility, the last 1,000, rescaled to today's; several periods: "
        "10,000 simulated paths, compounded"
    )

    def estimate(self, level: float, horizon: int) -> Tail:
        variances, residuals = self._filtered()
        return simulated(residuals[-LONGEST_WINDOW:], float(variances[-1]), level, horizon, RISKMETRICS)

    def path(self, level: float) -> Path:
        variances, residuals = self._filtered()
        window = _tested_window(len(residuals), LONGEST_WINDOW)
        require(residuals[:window], needed_for(level))
        return Path(filtered_path(residuals, variances[:-1], 0.0, window, level), window)

    def _filtered(self) -> tuple[Floats, Floats]:
        """Variances and residuals after the returns that the filter starts from."""
        require(self.history, SEED_RETURNS + 1)
        deviation(self.history)
        variances = self.variances()[SEED_RETURNS:]
        if not variances.min() > 0:
            raise Undefined("the returns did not vary for so long that their volatility is zero")
        return variances, self.history[SEED_RETURNS:] / np.sqrt(variances[:-1])


@dataclass(frozen=True)
class GjrFiltered:
    history: Floats
    fits: Fits | str
    name: str = "gjr_filtered"
    definition: str = (
        "past returns in units of their GJR-GARCH volatility, the last 1,000, rescaled to today's; parameters fitted "
        "every 250 returns on the 2,500 before; several periods: 10,000 simulated paths, compounded"
    )

    def estimate(self, level: float, horizon: int) -> Tail:
        refit, end = blocks(self.history, self._fits())[-1]
        part = filtered(self.history, refit, end)
        return simulated(part.residuals[-LONGEST_WINDOW:], float(part.variances[-1]), level, horizon, part.dynamics)

    def path(self, level: float) -> Path:
        losses = [self._block(refit, end, level) for refit, end in blocks(self.history, self._fits()) if end > refit.at]
        return Path(np.concatenate(losses) if losses else np.empty(0), LONGEST_WINDOW)

    def _block(self, refit: Refit, end: int, level: float) -> Floats:
        """(end - refit.at,) for the returns that one refit serves."""
        part = filtered(self.history, refit, end)
        window = min(LONGEST_WINDOW, refit.at - part.start)
        if window < needed_for(level):
            return np.full(end - refit.at, np.nan)
        since = refit.at - part.start - window
        return filtered_path(part.residuals[since:], part.variances[since:-1], part.dynamics.mean, window, level)

    def _fits(self) -> Fits:
        if isinstance(self.fits, str):
            raise Undefined(self.fits)
        return self.fits


def _tested_window(count: int, window: int) -> int:
    """The window itself where FEWEST_DAYS are left to test it on, else half of the history."""
    window = window if count - window >= FEWEST_DAYS else count // 2
    if window < 2:
        raise Undefined(f"needs more than {count} returns")
    return window
