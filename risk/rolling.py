"""Value at risk of one period for every return, from the ``window`` returns before it and nothing later.

All answer (n - window,) losses of n returns: the first is for the return after the first ``window``.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import rank_filter
from scipy.special import ndtri

from contracts import Floats
from risk.tail import corrected_quantile, tail_is_increasing

Moments = tuple[Floats, Floats, Floats, Floats]
"""Mean, population variance, skew and kurtosis of the returns behind each."""


def rolling_quantile(values: Floats, window: int, share: float) -> Floats:
    """(n,) -> (n - window + 1,) quantile of each run of ``window`` values, interpolated as numpy does."""
    place = share * (window - 1)
    lower = int(place)
    below = _rolling_rank(values, window, lower)
    if place == lower:
        return below
    return below + (place - lower) * (_rolling_rank(values, window, lower + 1) - below)


def historical_path(returns: Floats, window: int, level: float) -> Floats:
    """See tail.historical."""
    return -rolling_quantile(returns[:-1], window, 1.0 - level)


def gaussian_path(moments: Moments, window: int, level: float) -> Floats:
    """See tail.gaussian, with the sample mean and standard deviation (n - 1) of volatility.rolling_moments."""
    mean, variance, _, _ = moments
    return -(mean + np.sqrt(variance * (window / (window - 1))) * float(ndtri(1.0 - level)))


def cornish_fisher_path(moments: Moments, window: int, level: float) -> Floats:
    """See tail.cornish_fisher; NaN where it is not defined."""
    mean, variance, skews, tails = moments
    z = float(ndtri(1.0 - level))
    losses = -(mean + np.sqrt(variance * (window / (window - 1))) * corrected_quantile(z, skews, tails))
    return np.where(tail_is_increasing(z, skews, tails), losses, np.nan)


def filtered_path(residuals: Floats, variances: Floats, mean: float, window: int, level: float) -> Floats:
    """See tail.simulated: the quantile of the last residuals times the volatility of the day. ``variances`` (n,)."""
    quantiles = rolling_quantile(residuals[:-1], window, 1.0 - level)
    return -(mean + np.sqrt(variances[window:]) * quantiles)


def _rolling_rank(values: Floats, window: int, rank: int) -> Floats:
    """(n - window + 1,) the value of that rank (0 is the smallest) in each run."""
    ranked = rank_filter(values, rank, size=window, mode="nearest")
    first = window // 2
    return np.asarray(ranked[first : first + len(values) - window + 1], np.float64)
