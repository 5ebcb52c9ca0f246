"""The feature formulas. Everything is a ratio to current volatility or to itself, so price level and currency
drop out and one model serves any symbol. Shapes: (n_bars, n_series) in and out, time on axis 0.

``sigma`` is the RiskMetrics volatility of one bar's log return: sqrt of the exponentially weighted mean of squared
returns with decay 0.94 (J.P. Morgan/Reuters, RiskMetrics Technical Document, 1996), over the last 250 returns.
"""

from __future__ import annotations

import numpy as np

from contracts import Floats
from features.windows import (
    ewma,
    lag,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
)

YEAR = 250
SIGMA_DECAY = 0.94
# A stretch of unchanged prices has zero realised volatility; its log ratio stops here instead of at minus infinity.
SMALLEST_RATIO = 0.05


def volatility(returns: Floats, decay: float = SIGMA_DECAY) -> Floats:
    """Exponentially weighted volatility of one bar's log return, over the last 250 returns."""
    variance: Floats = ewma(returns * returns, YEAR, decay)
    return np.sqrt(variance)


def realised(returns: Floats, window: int) -> Floats:
    """Root mean squared log return of the last ``window`` bars (mean zero, as usual for daily returns)."""
    variance: Floats = rolling_mean(returns * returns, window)
    return np.sqrt(variance)


def log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    """log(numerator / denominator), bounded below at log(0.05)."""
    ratio: Floats = np.log(np.maximum(numerator / denominator, SMALLEST_RATIO))
    return ratio


def momentum(log_price: Floats, sigma: Floats, window: int) -> Floats:
    """Log return of the last ``window`` bars in units of sigma * sqrt(window)."""
    return (log_price - lag(log_price, window)) / (sigma * np.sqrt(window))


def mean_distance(log_price: Floats, sigma: Floats, window: int) -> Floats:
    """Distance of the log price from its moving average, in units of sigma * sqrt(window)."""
    return (log_price - rolling_mean(log_price, window)) / (sigma * np.sqrt(window))


def drawdown(log_price: Floats, sigma: Floats, window: int) -> Floats:
    """Log price below its maximum of the last ``window`` bars (<= 0), in units of sigma * sqrt(window)."""
    return (log_price - rolling_max(log_price, window)) / (sigma * np.sqrt(window))


def runup(log_price: Floats, sigma: Floats, window: int) -> Floats:
    """Log price above its minimum of the last ``window`` bars (>= 0), in units of sigma * sqrt(window)."""
    return (log_price - rolling_min(log_price, window)) / (sigma * np.sqrt(window))


def relative_strength(returns: Floats, window: int) -> Floats:
    """Relative strength index in [-1, 1]: (gains - losses) / (gains + losses) of the last ``window`` returns.

    Cutler's form (plain sums), because Wilder's smoothing remembers the whole past. 0 where nothing moved.
    100 * (value + 1) / 2 is the usual 0 to 100 scale.
    """
    movement = rolling_sum(np.abs(returns), window)
    return np.divide(rolling_sum(returns, window), movement, out=np.zeros_like(movement), where=movement != 0)


def downside_share(returns: Floats, window: int) -> Floats:
    """Share of the squared returns of the last ``window`` bars that came from falls, centred: -0.5 to 0.5."""
    squares = returns * returns
    total = rolling_sum(squares, window)
    falls = rolling_sum(np.where(returns < 0, squares, 0.0 * squares), window)
    return np.divide(falls, total, out=np.full_like(total, 0.5), where=total != 0) - 0.5


def tail_weight(returns: Floats, window: int) -> Floats:
    """log of the largest absolute return over the realised volatility of the same ``window`` bars."""
    scale = realised(returns, window)
    largest = rolling_max(np.abs(returns), window)
    ratio = np.divide(largest, scale, out=np.ones_like(scale), where=scale != 0)
    return np.asarray(np.log(np.maximum(ratio, 1.0)))


def variance_ratio(log_price: Floats, returns: Floats, step: int, window: int) -> Floats:
    """log of (volatility of ``step``-bar returns / sqrt(step)) over volatility of one-bar returns, last ``window``.

    Above 0 the series trended, below 0 it reverted (Lo and MacKinlay, 1988).
    """
    long_returns = (log_price - lag(log_price, step)) / np.sqrt(step)
    return log_ratio(realised(long_returns, window), np.maximum(realised(returns, window), 1e-12))


def volatility_of_volatility(returns: Floats, sigma: Floats, window: int) -> Floats:
    """Standard deviation of log 5-bar volatility over the last ``window`` bars."""
    level = log_ratio(realised(returns, 5), sigma)
    mean = rolling_mean(level, window)
    return np.asarray(np.sqrt(np.maximum(rolling_mean(level * level, window) - mean * mean, 0.0)))


def unchanged_share(returns: Floats, window: int) -> Floats:
    """Share of the last ``window`` returns that are exactly zero."""
    return rolling_mean(np.where(np.isnan(returns), np.nan, (returns == 0).astype(np.float64)), window)
