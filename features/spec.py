"""Names, order, warm-up and fingerprint of the model inputs. A model set stores the fingerprint; a runner that finds
another one refuses to load, because its numbers would be wrong without looking wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from contracts import Floats, MemberInput
from features import returns as f
from features.filtered import KNOTS, MEMORY_YEARS
from features.ranges import RANGE_FEATURES
from features.windows import lag

WINDOW_STEPS = 64
WINDOW_CHANNELS = ("return", "log_abs_return", "volatility_ratio")
LARGEST_VALUE = 10.0


@dataclass(frozen=True, slots=True)
class PricePanel:
    """What every formula reads; arrays are (n_bars, n_series). ``returns[0]`` is NaN."""

    log_price: Floats
    returns: Floats
    sigma: Floats
    weekday: Floats


@dataclass(frozen=True, slots=True)
class Feature:
    """A named column. ``warm_up`` is how many bars before the first one that has a value."""

    name: str
    warm_up: int
    formula: Callable[[PricePanel], Floats]


def _per_window(name: str, windows: Sequence[int], formula: Callable[[PricePanel, int], Floats]) -> Iterator[Feature]:
    return (_feature(f"{name}_{w}", w, partial(_at_window, formula, w)) for w in windows)


def _at_window(formula: Callable[[PricePanel, int], Floats], window: int, panel: PricePanel) -> Floats:
    return formula(panel, window)


def _feature(name: str, warm_up: int, formula: Callable[[PricePanel], Floats]) -> Feature:
    return Feature(name, max(warm_up, f.YEAR), formula)  # every column divides by sigma, which needs a year


FEATURES: tuple[Feature, ...] = (
    *_per_window("momentum", (1, 2, 5, 10, 20, 60, 120, 250), lambda p, w: f.momentum(p.log_price, p.sigma, w)),
    *_per_window(
        "volatility_ratio", (5, 10, 20, 60, 120, 250), lambda p, w: f.log_ratio(f.realised(p.returns, w), p.sigma)
    ),
    _feature("fast_volatility_ratio", f.YEAR, lambda p: f.log_ratio(f.volatility(p.returns, 0.8), p.sigma)),
    _feature("slow_volatility_ratio", f.YEAR, lambda p: f.log_ratio(f.volatility(p.returns, 0.98), p.sigma)),
    *_per_window("absolute_return_lag", (0, 1, 2, 3), lambda p, k: lag(np.abs(p.returns), k) / p.sigma),
    *_per_window("downside_share", (5, 20, 60), lambda p, w: f.downside_share(p.returns, w)),
    *_per_window("tail_weight", (20, 120), lambda p, w: f.tail_weight(p.returns, w)),
    *_per_window("mean_distance", (10, 50, 200), lambda p, w: f.mean_distance(p.log_price, p.sigma, w)),
    *_per_window("drawdown", (20, 250), lambda p, w: f.drawdown(p.log_price, p.sigma, w)),
    _feature("runup_250", 250, lambda p: f.runup(p.log_price, p.sigma, 250)),
    _feature("relative_strength_14", 14, lambda p: f.relative_strength(p.returns, 14)),
    _feature("variance_ratio_5_120", 125, lambda p: f.variance_ratio(p.log_price, p.returns, 5, 120)),
    _feature("volatility_of_volatility_60", f.YEAR + 60, lambda p: f.volatility_of_volatility(p.returns, p.sigma, 60)),
    _feature("unchanged_share_60", 60, lambda p: f.unchanged_share(p.returns, 60)),
    _feature("weekday_sin", 0, lambda p: np.sin(p.weekday * (2 * np.pi / 7))),
    _feature("weekday_cos", 0, lambda p: np.cos(p.weekday * (2 * np.pi / 7))),
)
# The volatility of the next bars over sigma, which members take as the unit of their answers: the last columns of a row
# of features, and of a row with ranges (filtered.py).
AHEAD_NAMES = tuple(f"volatility_ahead_{h}" for h in KNOTS)
RANGE_AHEAD_NAMES = tuple(f"range_volatility_ahead_{h}" for h in KNOTS)
FEATURE_NAMES = (*(feature.name for feature in FEATURES), *AHEAD_NAMES)
RANGE_NAMES = (*(feature.name for feature in RANGE_FEATURES), *RANGE_AHEAD_NAMES)
WARM_UP = max(*(feature.warm_up for feature in FEATURES), f.YEAR + WINDOW_STEPS)
BARS_NEEDED = WARM_UP + 1
ROW_WIDTHS: dict[MemberInput, int] = {
    "tabular": len(FEATURE_NAMES),
    "ranges": len(FEATURE_NAMES) + len(RANGE_NAMES),
    "flat": len(FEATURE_NAMES) + WINDOW_STEPS * len(WINDOW_CHANNELS),
}


def fingerprint() -> str:
    """sha256 over the layout and over the values that the code gives for four fixed price paths.

    Hashing values, rounded to 5 decimals, catches a changed formula and ignores a reformatted one.
    """
    from features.build import panel_inputs  # here, because build imports this module

    probe = panel_inputs(*_probe_paths())
    layout = {
        "features": [(feature.name, feature.warm_up) for feature in FEATURES],
        "ranges": [(feature.name, feature.warm_up) for feature in RANGE_FEATURES],
        "window": [WINDOW_STEPS, *WINDOW_CHANNELS],
        "ahead": [*AHEAD_NAMES, *RANGE_AHEAD_NAMES, MEMORY_YEARS],
    }
    digest = hashlib.sha256(json.dumps(layout).encode())
    for values in (probe.tabular, probe.ranges, probe.windows, probe.sigma, probe.regime):
        digest.update((np.round(np.asarray(values, np.float64), 5) + 0.0).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _probe_paths() -> tuple[Floats, Floats, Floats]:
    """Log prices, weekdays and candles of four series: plain, calm at the end, still for stretches, with jumps."""
    n_bars = BARS_NEEDED + 5
    bars = np.arange(n_bars)[:, None]
    steps = 0.01 * np.random.Generator(np.random.PCG64(20140101)).standard_normal((n_bars, 4))
    steps = steps * (1 + 0.5 * np.sin(bars / 40))
    steps[-6:, 1] *= 0.001
    steps[:, 2] = np.where(bars[:, 0] % 7 < 5, steps[:, 2], 0.0)
    steps[::50, 3] = 0.4
    log_price = np.cumsum(steps, axis=0) + 4.0
    spread = np.abs(steps) + 0.005
    candles = [log_price - 0.4 * steps, log_price + spread, log_price - 1.5 * spread, np.exp(10 + 20 * spread)]
    return log_price, np.broadcast_to(bars % 5, steps.shape).astype(np.float64), np.stack(candles)
