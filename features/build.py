"""Bars in, FeatureMatrix out: the last bar of many symbols at once (serving) or every bar of one (training).

Both ways run ``_panel`` below; a row is the same to the last bit either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from contracts import Bars, FeatureMatrix, Floats, Floats32, Ints, Times
from errors import UnusableSeries
from features import returns as f
from features.ranges import RANGE_FEATURES, RangePanel
from features.spec import (
    BARS_NEEDED,
    FEATURES,
    LARGEST_VALUE,
    WARM_UP,
    WINDOW_CHANNELS,
    WINDOW_STEPS,
    PricePanel,
)
from features.windows import rolling_min

# Refusals, stated in docs/features.md.
LONGEST_GAP_DAYS = 30
SMALLEST_MOVING_SHARE = 0.5
# Volatility halves every 22 bars of a standstill, so the day trading resumes would find far too narrow an interval.
LONGEST_STANDSTILL = 20
SMALLEST_SIGMA = 1e-5


def latest_inputs(series: Sequence[Bars]) -> FeatureMatrix:
    """Inputs at the last bar of each series; all must be usable (``check_usable``), and all have ranges or none."""
    recent = [_recent(bars) for bars in series]
    log_price = np.stack([part.log_price for part in recent], axis=1)
    weekday = np.stack([part.weekday for part in recent], axis=1)
    candles = [part.candles for part in recent if part.candles is not None]
    stacked = np.stack(candles, axis=2) if len(candles) == len(recent) else None
    return panel_inputs(log_price, weekday, stacked)


def history_inputs(bars: Bars, first: int = WARM_UP) -> tuple[FeatureMatrix, Ints]:
    """Inputs at every bar from ``first`` on that has its warm-up and a volatility, and those bars' positions.

    A year without a move has volatility zero, to which no ratio can be taken: bars are left out until the whole
    window has moved again. Of the other refusals of ``check_usable`` none is applied here.
    """
    before = max(first, WARM_UP) - WARM_UP  # bars that no row looks back to
    part = _recent(bars, len(bars) - before)
    panel = _panel(part.log_price[:, None], part.weekday[:, None])
    moved = (panel.sigma >= SMALLEST_SIGMA) & (rolling_min(panel.sigma, WINDOW_STEPS) > 0)
    rows = np.arange(WARM_UP, len(bars) - before)
    rows = rows[moved[rows, 0]]
    return _matrix(panel, rows, None if part.candles is None else part.candles[:, :, None]), rows + before


def panel_inputs(log_price: Floats, weekday: Floats, candles: Floats | None = None) -> FeatureMatrix:
    """Inputs at the last bar of a panel.

    (n_bars, n_series) log prices and weekdays (0 is Monday); ``candles`` (4, n_bars, n_series) are log open, high,
    low, adjusted like the price, and volume.
    """
    panel = _panel(log_price, weekday)
    return _matrix(panel, np.array([len(log_price) - 1]), candles)


@dataclass(frozen=True, slots=True)
class _Recent:
    """The last bars of one series: log price and weekday (n_bars,), candles (4, n_bars) or None."""

    log_price: Floats
    weekday: Floats
    candles: Floats | None


def _recent(bars: Bars, count: int = BARS_NEEDED) -> _Recent:
    log_price = np.log(bars.total_return_close[-count:])
    candles = None
    if bars.open is not None and bars.high is not None and bars.low is not None and bars.volume is not None:
        adjustment = log_price - np.log(bars.close[-count:])
        prices = [np.log(column[-count:]) + adjustment for column in (bars.open, bars.high, bars.low)]
        candles = np.stack([*prices, bars.volume[-count:]])
    return _Recent(log_price, _weekday(bars.times[-count:]), candles)


def check_usable(bars: Bars) -> None:
    """Refuse what no honest forecast can be made from: too short, too gappy, or not moving.

    Raises UnusableSeries saying what was found and what is needed.
    """
    if len(bars) < BARS_NEEDED:
        raise UnusableSeries(f"{bars.symbol} has {len(bars)} bars; a forecast needs {BARS_NEEDED}")
    gap = np.diff(bars.times[-BARS_NEEDED:]).max() / np.timedelta64(1, "D")
    if gap > LONGEST_GAP_DAYS:
        raise UnusableSeries(
            f"{bars.symbol} has a gap of {gap:.0f} days in its last {BARS_NEEDED} bars; "
            f"at most {LONGEST_GAP_DAYS} are bridged"
        )
    returns = np.diff(np.log(bars.total_return_close[-BARS_NEEDED:]))
    moving = float(np.mean(returns != 0))
    if moving < SMALLEST_MOVING_SHARE:
        raise UnusableSeries(
            f"{bars.symbol} moved on only {moving:.0%} of its last {BARS_NEEDED} bars; "
            f"at least {SMALLEST_MOVING_SHARE:.0%} is needed"
        )
    if not returns[-LONGEST_STANDSTILL:].any():
        raise UnusableSeries(
            f"{bars.symbol} has not moved for its last {LONGEST_STANDSTILL} bars: trading seems to have been halted"
        )
    if f.volatility(np.concatenate([[np.nan], returns]))[-1] < SMALLEST_SIGMA:
        raise UnusableSeries(f"{bars.symbol} has stopped moving: its current volatility is zero")


def _weekday(times: Times) -> Floats:
    """0 is Monday; 1970-01-01 was a Thursday."""
    days = times.astype("datetime64[D]").astype(np.int64)
    return ((days + 3) % 7).astype(np.float64)


def _panel(log_price: Floats, weekday: Floats) -> PricePanel:
    returns = np.full_like(log_price, np.nan)
    returns[1:] = log_price[1:] - log_price[:-1]
    return PricePanel(log_price, returns, f.volatility(returns), weekday)


def _matrix(panel: PricePanel, rows: Ints, candles: Floats | None) -> FeatureMatrix:
    """Rows are (bar, series) with the series running fastest: n_rows = len(rows) * n_series."""
    with np.errstate(invalid="ignore", divide="ignore"):  # warm-up rows, cut away below
        columns = [feature.formula(panel)[rows].reshape(-1) for feature in FEATURES]
        tabular = np.clip(np.stack(columns, axis=1), -LARGEST_VALUE, LARGEST_VALUE)
        windows = np.clip(_windows(panel, rows), -LARGEST_VALUE, LARGEST_VALUE)
        regime = np.log(panel.sigma / f.realised(panel.returns, f.YEAR))
    return FeatureMatrix(
        tabular=tabular.astype(np.float32),
        windows=windows.astype(np.float32),
        sigma=panel.sigma[rows].reshape(-1),
        regime=regime[rows].reshape(-1),
        ranges=None if candles is None else _ranges(panel, candles, rows),
    )


def _ranges(panel: PricePanel, candles: Floats, rows: Ints) -> Floats32:
    """(n_rows, n_range_features) from (4, n_bars, n_series) candles."""
    opening, high, low, volume = candles
    view = RangePanel(opening, high, low, panel.log_price, volume, panel.sigma)
    with np.errstate(invalid="ignore", divide="ignore"):  # warm-up rows
        columns = [feature.formula(view)[rows].reshape(-1) for feature in RANGE_FEATURES]
    return np.clip(np.stack(columns, axis=1), -LARGEST_VALUE, LARGEST_VALUE).astype(np.float32)


def _windows(panel: PricePanel, rows: Ints) -> Floats:
    """(n_rows, n_steps, n_channels): the last 64 bars in units of the volatility at their end, oldest first."""
    ends = panel.sigma[rows][..., None]
    past = [
        sliding_window_view(values, WINDOW_STEPS, axis=0)[rows - (WINDOW_STEPS - 1)]
        for values in (panel.returns, panel.sigma)
    ]
    scaled = past[0] / ends
    channels = (scaled, np.log1p(np.abs(scaled)), np.log(past[1] / ends))
    assert len(channels) == len(WINDOW_CHANNELS)
    return np.stack(channels, axis=-1).reshape(-1, WINDOW_STEPS, len(WINDOW_CHANNELS))
