"""Made-up prices that the tests of features, ensemble, backtest and training share."""

from __future__ import annotations

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
