"""Every range feature against a slow twin, its variances against simulated days, and prices that were adjusted."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest
from numpy.testing import assert_allclose

from features import build
from features.build import latest_inputs
from features.ranges import RANGE_FEATURES, RangePanel, day_variance, parkinson_variance
from features.spec import BARS_NEEDED, LARGEST_VALUE, RANGE_NAMES
from tests.features.filter_twin import naive_ahead
from tests.features.series import closes_from, made_bars, returns_like_prices, wandering_bars, with_candles
from tests.features.test_formulas import FLOAT32, bounded_log, sigma_at


def naive_ranges(bars):
    """All columns at the last bar, by name, from lists."""
    opening, high, low, close = ([math.log(x) for x in each] for each in (bars.open, bars.high, bars.low, bars.close))
    returns = [math.nan] + [b - a for a, b in pairwise(close)]
    now = len(close) - 1
    sigma = sigma_at(returns, now)

    def overnight(t):
        return opening[t] - close[t - 1]

    def rogers_satchell(t):
        return (high[t] - close[t]) * (high[t] - opening[t]) + (low[t] - close[t]) * (low[t] - opening[t])

    def variance(t):
        return overnight(t) ** 2 + rogers_satchell(t)

    def smoothed(decay):
        weights = [decay**k for k in range(250)]
        return sum(w * variance(now - k) for k, w in enumerate(weights)) / sum(weights)

    def volume(count):
        return fmean(math.log(max(v, 1.0)) for v in bars.volume[-count:])

    found = {
        f"range_volatility_{w}": bounded_log(math.sqrt(fmean(variance(now - k) for k in range(w))) / sigma)
        for w in (1, 2, 5, 10, 20, 60)
    }
    found["range_volatility_smoothed"] = bounded_log(math.sqrt(smoothed(0.94)) / sigma)
    found["range_volatility_fast"] = bounded_log(math.sqrt(smoothed(0.8)) / sigma)
    parkinson = fmean((high[now - k] - low[now - k]) ** 2 / (4 * math.log(2)) for k in range(5))
    found["parkinson_volatility_5"] = bounded_log(math.sqrt(parkinson) / sigma)
    found["overnight_move"] = abs(overnight(now)) / sigma
    width = high[now] - low[now]
    found["close_location"] = (close[now] - low[now]) / width - 0.5 if width > 0 else 0.0
    for short, long in ((1, 20), (5, 60)):
        found[f"volume_ratio_{short}_{long}"] = min(max(volume(short) - volume(long), -3.0), 3.0)
    days = [variance(t) for t in range(1, now + 1)]
    for count, value in naive_ahead(returns[1:], sigma, (0.12, 0.3), days).items():
        found[f"range_volatility_ahead_{count}"] = value
    return {name: min(max(value, -LARGEST_VALUE), LARGEST_VALUE) for name, value in found.items()}


def cases():
    plain = with_candles(wandering_bars(BARS_NEEDED + 4, 2), 2)
    gap = with_candles(made_bars(closes_from(returns_like_prices(BARS_NEEDED, 3))), 3)
    opening, high, low = gap.open.copy(), gap.high.copy(), gap.low.copy()
    opening[-1] *= 1.4
    high[-1] = max(high[-1], opening[-1])
    gap = replace(gap, open=opening, high=high, low=low, fingerprint="")
    still = with_candles(wandering_bars(BARS_NEEDED, 4), 4)
    columns = {name: getattr(still, name).copy() for name in ("open", "high", "low")}
    for column in columns.values():
        column[-3:] = still.close[-3:]  # bars without range
    volume = still.volume.copy()
    volume[-1], volume[-7] = 0.0, 1e12
    still = replace(still, **columns, volume=volume, fingerprint="")
    at_high = with_candles(wandering_bars(BARS_NEEDED, 5), 5)
    high = at_high.high.copy()
    high[-1] = max(at_high.close[-1], at_high.open[-1])
    busy = at_high.volume.copy()
    busy[-1] *= 1e6
    at_high = replace(at_high, high=high, volume=busy, fingerprint="")
    return {"plain": plain, "gap": gap, "still": still, "at its high": at_high}


@pytest.mark.parametrize("name", cases())
def test_every_column_equals_its_twin(name):
    bars = cases()[name]
    ours = dict(zip(RANGE_NAMES, latest_inputs([bars]).ranges[0].tolist(), strict=True))
    assert ours == pytest.approx(naive_ranges(bars), rel=FLOAT32, abs=FLOAT32)


def test_every_case_shows_something_else():
    rows = [latest_inputs([bars]).ranges[0] for bars in cases().values()]
    assert (np.ptp(np.stack(rows), axis=0) > 1e-3).all()


def test_a_bar_without_range_closes_in_its_middle_and_says_that_nothing_moved():
    bars = cases()["still"]
    ours = dict(zip(RANGE_NAMES, latest_inputs([bars]).ranges[0].tolist(), strict=True))
    assert ours["close_location"] == 0.0
    assert ours["volume_ratio_1_20"] == -3.0


@pytest.mark.parametrize("drift", [0.0, 0.02])
def test_variances_are_those_of_the_days_they_measure(drift):
    """3000 days of 1000 steps, half of the variance of a day overnight. Rogers and Satchell's is blind to the drift
    of a day; Parkinson's is not, and misses what happens overnight. Steps hide a part of the range: 5 % of variance."""
    rng = np.random.default_rng(8)
    n_days, n_steps, sigma = 3000, 1000, 0.01
    nights = sigma * rng.standard_normal(n_days)
    steps = drift / n_steps + sigma / n_steps**0.5 * rng.standard_normal((n_days, n_steps))
    within = np.concatenate([np.zeros((n_days, 1)), np.cumsum(steps, axis=1)], axis=1)
    before = np.concatenate([[0.0], np.cumsum(nights + within[:, -1])[:-1]])
    opening = before + nights
    path = (opening[:, None] + within)[..., None]
    panel = RangePanel(path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1], path[:, 0], path[:, 0])
    assert np.nanmean(day_variance(panel)) == pytest.approx(2 * sigma**2, rel=0.06)
    parkinson = np.mean(parkinson_variance(panel))
    if drift:
        assert parkinson > 1.5 * sigma**2
    else:
        assert parkinson == pytest.approx(sigma**2, rel=0.08)


def exact_ranges(bars):
    """(n_features, n_bars) in double precision."""
    part = build._recent(bars, len(bars))
    panel = build._panel(part.log_price[:, None], part.weekday[:, None])
    opening, high, low, volume = part.candles[:, :, None]
    view = RangePanel(opening, high, low, panel.log_price, volume, panel.sigma)
    return np.stack([feature.formula(view)[BARS_NEEDED - 1 :, 0] for feature in RANGE_FEATURES])


@pytest.mark.parametrize("at", [BARS_NEEDED - 30, BARS_NEEDED + 20, BARS_NEEDED + 39])
@pytest.mark.parametrize("factor", [4.0, 0.1, 1 / 0.985], ids=["split", "reverse split", "dividend"])
def test_a_split_or_a_dividend_changes_nothing(factor, at):
    """Before day ``at`` prices were traded ``factor`` times as high; the source adjusts the close alone."""
    bars = with_candles(wandering_bars(BARS_NEEDED + 40, 6), 6)
    as_traded = np.where(np.arange(len(bars)) < at, factor, 1.0)
    prices = {name: getattr(bars, name) * as_traded for name in ("open", "high", "low", "close")}
    traded = replace(bars, **prices, adj_close=bars.close.copy(), fingerprint="")
    assert_allclose(exact_ranges(traded), exact_ranges(bars), rtol=0, atol=1e-9)
    unadjusted = replace(traded, adj_close=None, fingerprint="")
    assert np.abs(exact_ranges(unadjusted) - exact_ranges(bars)).max() > 1e-3


@pytest.mark.parametrize("unit", [100.0, 1e-3])
def test_the_unit_of_volume_drops_out(unit):
    bars = with_candles(wandering_bars(BARS_NEEDED + 5, 6), 6)
    lots = replace(bars, volume=bars.volume * unit, fingerprint="")
    assert_allclose(exact_ranges(lots), exact_ranges(bars), rtol=0, atol=1e-9)


def test_ranges_say_nothing_to_the_other_inputs():
    bars = with_candles(wandering_bars(BARS_NEEDED + 5, 7), 7)
    wider = replace(bars, high=bars.high * 1.5, low=bars.low / 1.5, fingerprint="")
    ours, theirs = latest_inputs([bars]), latest_inputs([wider])
    assert_allclose(theirs.tabular, ours.tabular, rtol=0, atol=0)
    assert_allclose(theirs.windows, ours.windows, rtol=0, atol=0)
    assert (theirs.ranges != ours.ranges).any()
