"""Every column against a slow twin that reads one list of closes, newest last."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, pstdev

import numpy as np
import pytest

from features.build import history_inputs, latest_inputs
from features.spec import BARS_NEEDED, FEATURE_NAMES, LARGEST_VALUE, WINDOW_STEPS
from tests.features.filter_twin import naive_ahead
from tests.features.series import closes_from, made_bars, returns_like_prices

FLOAT32 = 2e-6  # inputs are handed out in single precision


def sigma_at(returns, t, decay=0.94):
    weights = [decay**k for k in range(250)]
    return math.sqrt(sum(w * returns[t - k] ** 2 for k, w in enumerate(weights)) / sum(weights))


def rms(values):
    return math.sqrt(fmean(v * v for v in values))


def bounded_log(ratio):
    return math.log(max(ratio, 0.05))


def naive_features(closes, weekday):
    """All columns at the last bar, by name."""
    price = [math.log(close) for close in closes]
    returns = [math.nan] + [b - a for a, b in pairwise(price)]
    now = len(price) - 1
    sigma = sigma_at(returns, now)

    def last(count):
        return returns[-count:]

    found = {f"momentum_{w}": (price[-1] - price[-1 - w]) / sigma / math.sqrt(w) for w in (1, 2, 5, 10, 20, 60, 120)}
    found["momentum_250"] = (price[-1] - price[-251]) / sigma / math.sqrt(250)
    for w in (5, 10, 20, 60, 120, 250):
        found[f"volatility_ratio_{w}"] = bounded_log(rms(last(w)) / sigma)
    found["fast_volatility_ratio"] = bounded_log(sigma_at(returns, now, 0.8) / sigma)
    found["slow_volatility_ratio"] = bounded_log(sigma_at(returns, now, 0.98) / sigma)
    for k in range(4):
        found[f"absolute_return_lag_{k}"] = abs(returns[now - k]) / sigma
    for w in (5, 20, 60):
        total = sum(r * r for r in last(w))
        found[f"downside_share_{w}"] = sum(r * r for r in last(w) if r < 0) / total - 0.5 if total else 0.0
    for w in (20, 120):
        scale = rms(last(w))
        found[f"tail_weight_{w}"] = math.log(max(abs(r) for r in last(w)) / scale) if scale else 0.0
    for w in (10, 50, 200):
        found[f"mean_distance_{w}"] = (price[-1] - fmean(price[-w:])) / sigma / math.sqrt(w)
    for w in (20, 250):
        found[f"drawdown_{w}"] = (price[-1] - max(price[-w:])) / sigma / math.sqrt(w)
    found["runup_250"] = (price[-1] - min(price[-250:])) / sigma / math.sqrt(250)
    gains, losses = (sum(abs(r) for r in last(14) if r * sign > 0) for sign in (1, -1))
    found["relative_strength_14"] = (gains - losses) / (gains + losses) if gains + losses else 0.0
    five_bar = [(price[-1 - k] - price[-6 - k]) / math.sqrt(5) for k in range(120)]
    found["variance_ratio_5_120"] = bounded_log(rms(five_bar) / rms(last(120)))
    levels = [bounded_log(rms(returns[now - k - 4 : now - k + 1]) / sigma_at(returns, now - k)) for k in range(60)]
    found["volatility_of_volatility_60"] = pstdev(levels)
    found["unchanged_share_60"] = fmean(r == 0 for r in last(60))
    found["weekday_sin"] = math.sin(2 * math.pi * weekday / 7)
    found["weekday_cos"] = math.cos(2 * math.pi * weekday / 7)
    for bars, value in naive_ahead(returns[1:], sigma, (0.04, 0.12)).items():
        found[f"volatility_ahead_{bars}"] = value
    return {name: min(max(value, -LARGEST_VALUE), LARGEST_VALUE) for name, value in found.items()}


def paths():
    plain = closes_from(returns_like_prices(BARS_NEEDED + 3, seed=2))
    falling = closes_from(returns_like_prices(BARS_NEEDED, seed=3) - 0.004)
    pausing = returns_like_prices(BARS_NEEDED, seed=4)
    pausing[::4] = 0.0
    pausing[-22:-1] = 0.0
    jumping = returns_like_prices(BARS_NEEDED + 1, seed=5)
    jumping[-3] = 1.5
    return {"plain": plain, "falling": falling, "pausing": closes_from(pausing), "jumping": closes_from(jumping)}


@pytest.mark.parametrize("name", paths())
def test_every_column_equals_its_twin(name):
    bars = made_bars(paths()[name])
    twin = naive_features(bars.close.tolist(), bars.times[-1].item().weekday())
    ours = dict(zip(FEATURE_NAMES, latest_inputs([bars]).tabular[0].tolist(), strict=True))
    assert twin.keys() == ours.keys()
    assert ours == pytest.approx(twin, rel=FLOAT32, abs=FLOAT32)


def test_every_path_shows_something_else():
    rows = [latest_inputs([made_bars(path)]).tabular[0] for path in paths().values()]
    assert (np.ptp(np.stack(rows), axis=0) > 1e-3).mean() > 0.9


def test_the_window_holds_the_last_64_returns_oldest_first_in_units_of_the_volatility_at_its_end():
    bars = made_bars(paths()["plain"])
    price = np.log(bars.close).tolist()
    returns = [math.nan] + [b - a for a, b in pairwise(price)]
    sigma = sigma_at(returns, len(price) - 1)
    (window,) = latest_inputs([bars]).windows
    assert window.shape == (WINDOW_STEPS, 3)
    for step in range(WINDOW_STEPS):
        at = len(price) - WINDOW_STEPS + step
        scaled = returns[at] / sigma
        twin = [scaled, math.log1p(abs(scaled)), math.log(sigma_at(returns, at) / sigma)]
        assert window[step].tolist() == pytest.approx(twin, rel=FLOAT32, abs=FLOAT32)


def test_sigma_and_regime_equal_their_twins():
    bars = made_bars(paths()["plain"])
    price = np.log(bars.close).tolist()
    returns = [math.nan] + [b - a for a, b in pairwise(price)]
    matrix = latest_inputs([bars])
    sigma = sigma_at(returns, len(price) - 1)
    assert matrix.sigma[0] == pytest.approx(sigma, rel=1e-12)
    assert matrix.regime[0] == pytest.approx(math.log(sigma / rms(returns[-250:])), rel=1e-9)


def test_the_weekday_is_that_of_the_bar():
    bars = made_bars(closes_from(returns_like_prices(BARS_NEEDED + 7)))
    matrix, rows = history_inputs(bars)
    sine = matrix.tabular[:, FEATURE_NAMES.index("weekday_sin")]
    for value, row in zip(sine, rows, strict=True):
        assert value == pytest.approx(math.sin(2 * math.pi * bars.times[row].item().weekday() / 7), abs=1e-6)
