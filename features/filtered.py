"""How volatile the next h bars will be: GJR-GARCH with twelve fixed sets of parameters, averaged.

    v <- (1 - p) L + (a + g 1[r < 0]) e + b v,   p = a + g / 2 + b          (Glosten, Jagannathan and Runkle, 1993)
    V_h = h L + (v - L) (1 - p^h) / (1 - p)                                  variance of the sum of the next h returns

L is the mean square of up to the last 1000 returns. The shock e is the squared return, or for bars with a range their
day variance (ranges.py) in units of it: a range says more of a day than where it ended (Engle and Gallo, 2006). Each
set counts by how likely it made the returns so far, of Student t with five degrees of freedom, a return of a year ago
counting half: Bayesian averaging with forgetting (Raftery, Karny and Ettler, 2010). So reaction and persistence become
the symbol's own, and follow it when they change, though nothing is fitted.

The filter starts at New Year four years before the bar (``first_bar``), and reads nothing before.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.linalg.blas import dtbsv

from contracts import Floats, Floats32, Ints, Times
from features.returns import YEAR

KNOTS = (1, 5, 20, 90)
"""Bars ahead for which there is a column; between them its logarithm is read off linearly in log horizon."""
PERSISTENCE = (0.94, 0.98, 0.995)
ASYMMETRY = (0.2, 0.9)  # share of the reaction that falls alone cause
REACTION, RANGE_REACTION = (0.04, 0.12), (0.12, 0.3)  # a range is less noisy, so more of it can be believed
MEMORY_YEARS = 4
LONG_RUN_BARS = 1000
START_BARS = 64  # the long-run variance needs a few returns before the filter sets out
FREEDOM = 5.0
FORGETTING = 0.5 ** (1.0 / YEAR)
SMALLEST_VARIANCE = 1e-10
LARGEST_RANGE_SHARE = 3.0


def first_bar(days: Times, row: int, at_least: int) -> int:
    """Where the filter of the bar ``row`` starts: New Year four years before, and no fewer than ``at_least`` bars
    before the first one of the bar's own year, where there are so many."""
    year = days[row].astype("datetime64[Y]")
    own_year, long_ago = (np.searchsorted(days, day.astype("datetime64[D]")) for day in (year, year - MEMORY_YEARS))
    return int(min(long_ago, max(own_year - at_least, 0)))


def log_volatility(returns: Floats, rows: Ints, day_variance: Floats | None = None) -> Floats:
    """log of sqrt(V_h / h) at these bars of one series, (n_rows, n_knots), h in KNOTS.

    ``returns`` (n_bars,) are log returns, of which the first is not read; ``day_variance`` (n_bars,) as well. The value
    at a bar uses that bar and earlier ones.
    """
    squares = returns[1:] ** 2
    long_run, known = _running_mean(squares), np.asarray(rows)
    shocks = squares if day_variance is None else _scaled(day_variance[1:], squares, long_run)
    log_likelihood, volatility = [], []
    candidates = _candidates(REACTION if day_variance is None else RANGE_REACTION)
    for a, g, b in candidates:
        variance = _filtered(returns[1:], shocks, long_run, a, g, b)
        log_likelihood.append(_log_likelihood(squares, variance)[known - START_BARS])
        volatility.append(variance[known - START_BARS])
    weights = _posterior(log_likelihood)
    target = long_run[known]
    total = np.zeros((len(known), len(KNOTS)))
    bars = np.array(KNOTS)
    for (a, g, b), weight, variance in zip(candidates, weights, volatility, strict=True):
        p = a + g / 2.0 + b
        fading = (1.0 - p**bars) / (1.0 - p) / bars
        total = total + weight[:, None] * (target[:, None] + (variance - target)[:, None] * fading)
    return np.log(total) / 2.0


def knot_weights(horizons: tuple[int, ...]) -> Floats:
    """(n_knots, n_horizons): what each column counts for at these horizons; columns sum to one."""
    at = np.log(np.asarray(horizons, np.float64))
    return np.stack([np.interp(at, np.log(KNOTS), unit) for unit in np.eye(len(KNOTS))])


def unit(columns: Floats | Floats32, weights: Floats) -> Floats:
    """(n_rows, n_knots) columns of log volatility ahead over sigma, and ``knot_weights`` -> (n_rows, n_horizons): the
    volatility of z = r_h / (sigma sqrt(h)), the unit of members' answers. No BLAS: a row has the same bits in any
    company."""
    result: Floats = np.exp(np.einsum("nk,kh->nh", columns.astype(np.float64), weights))
    return result


def _candidates(reactions: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """(a, g, b) of each set."""
    return [
        (reaction * (1.0 - share), 2.0 * reaction * share, persistence - reaction)
        for persistence, reaction, share in product(PERSISTENCE, reactions, ASYMMETRY)
    ]


def _running_mean(squares: Floats) -> Floats:
    """(n_returns,) -> (n_returns + 1,): mean of up to the last 1000 known at each bar; the first bar has none."""
    total = np.concatenate([[0.0], np.cumsum(squares)])
    bars = np.arange(len(total))
    first = np.maximum(bars - LONG_RUN_BARS, 0)
    mean: Floats = (total - total[first]) / np.maximum(bars - first, 1)
    return np.maximum(mean, SMALLEST_VARIANCE)


def _scaled(day_variance: Floats, squares: Floats, long_run: Floats) -> Floats:
    """Day variances times what makes their mean that of the squared returns, as known the bar before; squared returns
    until there is such a mean."""
    share = np.clip(long_run / _running_mean(day_variance), 1.0 / LARGEST_RANGE_SHARE, LARGEST_RANGE_SHARE)
    return np.where(np.arange(len(squares)) < START_BARS, squares, day_variance * share[:-1])


def _filtered(returns: Floats, shocks: Floats, long_run: Floats, a: float, g: float, b: float) -> Floats:
    """Variance of the next return, as known at each bar from START_BARS on."""
    reaction = np.where(returns[START_BARS:] < 0, a + g, a)
    pushes = (1.0 - a - g / 2.0 - b) * long_run[START_BARS + 1 :] + reaction * shocks[START_BARS:]
    return np.maximum(_decaying(np.concatenate([long_run[START_BARS : START_BARS + 1], pushes]), b), SMALLEST_VARIANCE)


def _log_likelihood(squares: Floats, variance: Floats) -> Floats:
    """Discounted log likelihood at each bar from START_BARS on, up to a constant."""
    ratio = squares[START_BARS:] / variance[:-1]
    terms = -0.5 * np.log(variance[:-1]) - (FREEDOM + 1.0) / 2.0 * np.log(1.0 + ratio / (FREEDOM - 2.0))
    return _decaying(np.concatenate([[0.0], terms]), FORGETTING)


def _decaying(pushes: Floats, decay: float) -> Floats:
    """(n,) -> (n,): decay times the one before, plus the push.

    Forward substitution in a lower bidiagonal system, one after the other: later pushes change no earlier value. A
    quarter of the time of scipy.signal.lfilter, without the 50 MB that it would cost a gateway.
    """
    bands = np.empty((2, len(pushes)), order="F")
    bands[0], bands[1] = 1.0, -decay
    result: Floats = dtbsv(1, bands, pushes, lower=1, diag=1)
    return result


def _posterior(log_likelihood: list[Floats]) -> list[Floats]:
    """Weights that sum to one at each row. Added up one by one, so that a row has the same bits in any company."""
    largest = np.maximum.reduce(log_likelihood)
    odds = [np.exp(each - largest) for each in log_likelihood]
    total = odds[0]
    for each in odds[1:]:
        total = total + each
    return [each / total for each in odds]
