"""Made-up prices that the tests of features, ensemble, backtest and training share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contracts import Bars, Floats, Times

FIRST_DAY = np.datetime64("2001-01-01")  # a Monday


def weekdays(n_bars: int) -> Times:
    """(n_bars,) consecutive Mondays to Fridays."""
    return np.busday_offset(FIRST_DAY, np.arange(n_bars))


def returns_like_prices(n_bars: int, seed: int = 1, volatility: float = 0.01) -> Floats:
    """(n_bars,) heavy-tailed returns whose volatility wanders between a half and twice ``volatility``."""
    rng = np.random.default_rng(seed)
    level = np.exp(0.7 * np.sin(np.arange(n_bars) / 37 + rng.uniform(0, 6)))
    noise: Floats = rng.standard_t(5, n_bars) * level * volatility
    return noise


def closes_from(returns: Floats, first: float = 100.0) -> Floats:
    """(n_bars,) prices whose log returns these are; the first return is where the path starts."""
    return first * np.exp(np.cumsum(returns))


def made_bars(close: Floats, symbol: str = "AAPL", times: Times | None = None) -> Bars:
    """Bars on weekdays."""
    days = weekdays(len(close)) if times is None else times
    return Bars(symbol, "1d", days, np.array(close, np.float64), "made up")


def wandering_bars(n_bars: int, seed: int = 1, symbol: str = "AAPL", volatility: float = 0.01) -> Bars:
    return made_bars(closes_from(returns_like_prices(n_bars, seed, volatility)), symbol)


CANDLES = ("open", "high", "low", "volume")


def with_candles(bars: Bars, seed: int = 0) -> Bars:
    """The same closes with open, high, low and volume; the first bars of a longer series are those of a shorter one."""
    noise = np.random.default_rng(seed).standard_normal((len(bars), 4))
    opening = np.concatenate([bars.close[:1], bars.close[:-1]]) * np.exp(0.003 * noise[:, 0])
    high = np.maximum(opening, bars.close) * np.exp(0.004 * np.abs(noise[:, 1]))
    low = np.minimum(opening, bars.close) * np.exp(-0.004 * np.abs(noise[:, 2]))
    return replace(bars, open=opening, high=high, low=low, volume=np.exp(12 + 0.4 * noise[:, 3]), fingerprint="")


def first_bars(bars: Bars, count: int) -> Bars:
    """What there was after so many bars."""
    columns = {name: getattr(bars, name) for name in (*CANDLES, "adj_close")}
    kept = {name: None if column is None else column[:count].copy() for name, column in columns.items()}
    return replace(bars, times=bars.times[:count].copy(), close=bars.close[:count].copy(), fingerprint="", **kept)


def last_bars(bars: Bars, count: int) -> Bars:
    """The newest bars alone."""
    columns = {name: getattr(bars, name) for name in (*CANDLES, "adj_close")}
    kept = {name: None if column is None else column[-count:].copy() for name, column in columns.items()}
    return replace(bars, times=bars.times[-count:].copy(), close=bars.close[-count:].copy(), fingerprint="", **kept)


def with_future(bars: Bars, cut: int, future: Bars) -> Bars:
    """The same bars before ``cut``, then all columns of ``future``, on the same days."""
    columns = {
        name: np.concatenate([getattr(bars, name)[:cut], getattr(future, name)])
        for name in ("close", *CANDLES)
        if getattr(bars, name) is not None
    }
    return replace(bars, fingerprint="", **columns)
