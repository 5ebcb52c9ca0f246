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
from features.filtered import KNOTS, first_bar, log_volatility
from features.ranges import RANGE_FEATURES, RangePanel, day_variance
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
    filtered = [_filtered(bars, np.array([len(bars) - 1]), stacked is not None) for bars in series]
    last = np.array([len(log_price) - 1])
    return _matrix(_panel(log_price, weekday), last, stacked, np.concatenate(filtered, axis=1))


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
    filtered = _filtered(bars, rows + before, part.candles is not None)
    return _matrix(panel, rows, None if part.candles is None else part.candles[:, :, None], filtered), rows + before


def panel_inputs(log_price: Floats, weekday: Floats, candles: Floats | None = None) -> FeatureMatrix:
    """Inputs at the last bar of a panel that is read from its first bar on.

    (n_bars, n_series) log prices and weekdays (0 is Monday); ``candles`` (4, n_bars, n_series) are log open, high,
    low, adjusted like the price, and volume.
    """
    panel, last = _panel(log_price, weekday), np.array([len(log_price) - 1])
    filtered = [
        _log_volatilities(log_price[:, i], None if candles is None else candles[:, :, i], last)
        for i in range(log_price.shape[1])
    ]
    return _matrix(panel, last, candles, np.concatenate(filtered, axis=1))


@dataclass(frozen=True, slots=True)
class _Part:
    """Neighbouring bars of one series: log price and weekday (n_bars,), candles (4, n_bars) or None."""

    log_price: Floats
    weekday: Floats
    candles: Floats | None


def _recent(bars: Bars, count: int = BARS_NEEDED) -> _Part:
    return _between(bars, len(bars) - count, len(bars))


def _between(bars: Bars, first: int, end: int) -> _Part:
    which = slice(max(first, 0), end)
    log_price = np.log(bars.total_return_close[which])
    candles = None
    if bars.open is not None and bars.high is not None and bars.low is not None and bars.volume is not None:
        adjustment = log_price - np.log(bars.close[which])
        prices = [np.log(column[which]) + adjustment for column in (bars.open, bars.high, bars.low)]
        candles = np.stack([*prices, bars.volume[which]])
    return _Part(log_price, _weekday(bars.times[which]), candles)


def _filtered(bars: Bars, rows: Ints, has_candles: bool) -> Floats:
    """(n_kinds, n_rows, n_knots) log volatility of the next bars (see filtered.py), from closes, and from ranges where
    there are candles. The bars of each calendar year are filtered together, from that year's own first bar on."""
    days = bars.times.astype("datetime64[D]")
    parts = [np.zeros((1 + has_candles, 0, len(KNOTS)))]
    for own in np.split(rows, np.flatnonzero(np.diff(days[rows].astype("datetime64[Y]")).astype(bool)) + 1):
        if len(own):
            first = first_bar(days, int(own[0]), WARM_UP)
            part = _between(bars, first, int(own[-1]) + 1)
            parts.append(_log_volatilities(part.log_price, part.candles if has_candles else None, own - first))
    return np.concatenate(parts, axis=1)


def _log_volatilities(log_price: Floats, candles: Floats | None, rows: Ints) -> Floats:
    """(n_kinds, n_rows, n_knots) of one series; (n_bars,) log prices and (4, n_bars) candles."""
    returns = np.diff(log_price, prepend=np.nan)
    found = [log_volatility(returns, rows)]
    if candles is not None:
        opening, high, low, volume = candles
        view = RangePanel(opening, high, low, log_price, volume, np.ones_like(log_price))
        found.append(log_volatility(returns, rows, day_variance(view)))
    return np.stack(found)


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


def _matrix(panel: PricePanel, rows: Ints, candles: Floats | None, filtered: Floats) -> FeatureMatrix:
    """Rows are (bar, series) with the series running fastest: n_rows = len(rows) * n_series. ``filtered`` (n_kinds,
    n_rows, n_knots) are log volatilities of the next bars, from closes and, where there are candles, from ranges."""
    sigma = panel.sigma[rows].reshape(-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # warm-up rows, cut away below
        columns = [feature.formula(panel)[rows].reshape(-1) for feature in FEATURES]
        ahead = filtered - np.log(sigma)[:, None]
        windows = np.clip(_windows(panel, rows), -LARGEST_VALUE, LARGEST_VALUE)
        regime = np.log(panel.sigma / f.realised(panel.returns, f.YEAR))
    return FeatureMatrix(
        tabular=_bounded(columns, ahead[0]),
        windows=windows.astype(np.float32),
        sigma=sigma,
        regime=regime[rows].reshape(-1),
        ranges=None if candles is None else _ranges(panel, candles, rows, ahead[1]),
    )


def _ranges(panel: PricePanel, candles: Floats, rows: Ints, ahead: Floats) -> Floats32:
    """(n_rows, n_range_names) from (4, n_bars, n_series) candles."""
    opening, high, low, volume = candles
    view = RangePanel(opening, high, low, panel.log_price, volume, panel.sigma)
    with np.errstate(invalid="ignore", divide="ignore"):  # warm-up rows
        columns = [feature.formula(view)[rows].reshape(-1) for feature in RANGE_FEATURES]
    return _bounded(columns, ahead)


def _bounded(columns: Sequence[Floats], ahead: Floats) -> Floats32:
    """Columns of (n_rows,), then those of the volatility ahead (n_rows, n_knots), cut at +-10, in single precision."""
    together = np.concatenate([np.stack(columns, axis=-1), ahead], axis=-1)
    return np.clip(together, -LARGEST_VALUE, LARGEST_VALUE).astype(np.float32)


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
