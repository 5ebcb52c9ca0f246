"""Forecasts to look at: a few origins of a symbol, chosen by rule, with what was known and what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts import Floats, Ints, Times
from ensemble.distribution import Distribution
from ensemble.surface import at_level
from training.history import History

FAN_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HISTORY_BARS = 90
SHORTEST_FAN = 20
# Which origins: where the current volatility has this rank among the origins of the window.
MOODS = {"calm": 0.02, "usual": 0.5, "stormy": 0.98}


@dataclass(frozen=True, slots=True)
class Fan:
    """One forecast. ``past`` (n_past,) ends with the price at the origin; ``quantiles`` (n_steps, n_levels) of
    FAN_LEVELS and ``came`` (n_steps,) are prices 1 to n_steps bars later. Prices as returns are taken from them."""

    symbol: str
    mood: str
    past_times: Times
    past: Floats
    times: Times
    quantiles: Floats
    came: Floats


def sample_fans(history: History, rows: Ints, spread: Distribution, longest: int) -> tuple[Fan, ...]:
    """One fan a mood, of origins whose whole path is known; ``spread`` has a row for each of ``rows``."""
    steps = max(longest, SHORTEST_FAN)
    complete = np.flatnonzero(history.rows[rows] + steps < len(history.bars))
    if not complete.size:
        return ()
    ranked = complete[np.argsort(history.matrix.sigma[rows[complete]], kind="stable")]
    return tuple(
        _fan(history, int(rows[at]), spread.row(int(at)), mood, steps)
        for mood, rank in MOODS.items()
        for at in [ranked[round(rank * (len(ranked) - 1))]]
    )


def _fan(history: History, row: int, spread: Distribution, mood: str, steps: int) -> Fan:
    bar, prices, times = int(history.rows[row]), history.bars.total_return_close, history.bars.times
    known, ahead = slice(max(bar - HISTORY_BARS, 0), bar + 1), slice(bar + 1, bar + 1 + steps)
    returns = [at_level(spread.surfaces[0, :steps], spread.levels, level) for level in FAN_LEVELS]
    return Fan(
        symbol=history.bars.symbol,
        mood=mood,
        past_times=times[known],
        past=prices[known],
        times=times[ahead],
        quantiles=prices[bar] * np.exp(np.stack(returns, axis=-1)),
        came=prices[ahead],
    )
