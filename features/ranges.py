"""Inputs from open, high, low and volume, for bars that have them.

The range of a day says far more about its volatility than the return from close to close. Everything is a ratio to
the same sigma as the other features. Shapes: (n_bars, n_series), time on axis 0; prices are log prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from contracts import Floats
from features.returns import YEAR, log_ratio
from features.windows import ewma, lag, rolling_mean

LARGEST_VOLUME_RATIO = 3.0


@dataclass(frozen=True, slots=True)
class RangePanel:
    """Log prices of each bar, all adjusted by the factor that adjusts the close, and volume in any unit. ``sigma`` is
    the volatility of close-to-close returns."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True)
class RangeFeature:
    name: str
    warm_up: int
    formula: Callable[[RangePanel], Floats]


def overnight(panel: RangePanel) -> Floats:
    """Log return from the last close to this open; NaN on the first bar."""
    return panel.open - lag(panel.close, 1)


def day_variance(panel: RangePanel) -> Floats:
    """Variance of one day: overnight squared plus the drift-free range estimator of Rogers and Satchell (1991)."""
    within = (panel.high - panel.close) * (panel.high - panel.open) + (panel.low - panel.close) * (
        panel.low - panel.open
    )
    return overnight(panel) ** 2 + np.maximum(within, 0.0)


def parkinson_variance(panel: RangePanel) -> Floats:
    """Parkinson (1980): squared log range over 4 log 2; blind to what happens overnight."""
    return (panel.high - panel.low) ** 2 / (4.0 * np.log(2.0))


def volatility_over_sigma(variance: Floats, panel: RangePanel) -> Floats:
    """log of the root of a variance over sigma, bounded below."""
    return log_ratio(np.sqrt(np.maximum(variance, 0.0)), panel.sigma)


def close_location(panel: RangePanel) -> Floats:
    """Where in its range the bar closed: -0.5 at the low, 0.5 at the high, 0 for a bar without range."""
    width = panel.high - panel.low
    return np.divide(panel.close - panel.low, width, out=np.full_like(width, 0.5), where=width > 0) - 0.5


def volume_ratio(panel: RangePanel, short: int, long: int) -> Floats:
    """Mean log volume of the last ``short`` bars less that of the last ``long``, bounded."""
    log_volume = np.log(np.maximum(panel.volume, 1.0))
    ratio = rolling_mean(log_volume, short) - rolling_mean(log_volume, long)
    return np.clip(ratio, -LARGEST_VOLUME_RATIO, LARGEST_VOLUME_RATIO)


def _mean_variance(window: int) -> Callable[[RangePanel], Floats]:
    return lambda panel: volatility_over_sigma(rolling_mean(day_variance(panel), window), panel)


def _smoothed_variance(decay: float) -> Callable[[RangePanel], Floats]:
    return lambda panel: volatility_over_sigma(ewma(day_variance(panel), YEAR, decay), panel)


RANGE_FEATURES: tuple[RangeFeature, ...] = (
    *(RangeFeature(f"range_volatility_{w}", max(w, YEAR), _mean_variance(w)) for w in (1, 2, 5, 10, 20, 60)),
    RangeFeature("range_volatility_smoothed", YEAR, _smoothed_variance(0.94)),
    RangeFeature("range_volatility_fast", YEAR, _smoothed_variance(0.8)),
    RangeFeature(
        "parkinson_volatility_5", YEAR, lambda p: volatility_over_sigma(rolling_mean(parkinson_variance(p), 5), p)
    ),
    RangeFeature("overnight_move", YEAR, lambda p: np.abs(overnight(p)) / p.sigma),
    RangeFeature("close_location", YEAR, close_location),
    RangeFeature("volume_ratio_1_20", YEAR, lambda p: volume_ratio(p, 1, 20)),
    RangeFeature("volume_ratio_5_60", YEAR, lambda p: volume_ratio(p, 5, 60)),
)
