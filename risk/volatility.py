"""How much returns move, and the shape of their distribution. GARCH is in risk/gjr.py."""

from __future__ import annotations

import numpy as np

from backtest.dynamics import decaying
from contracts import Floats
from risk.measure import require, spread_of

DECAY = 0.94
"""Of the daily variance (J.P. Morgan/Reuters, RiskMetrics Technical Document, 1996)."""

SEED_RETURNS = 20
REMEMBERED = 2000
"""Returns: what lies further back has a share of 1e-53 in the variance."""


def annual_volatility(returns: Floats, periods_per_year: float) -> float:
    """Sample standard deviation (n - 1) times the root of periods_per_year, a fraction a year; 0 if constant."""
    require(returns, 2)
    moves = returns - returns.mean()
    return float(np.sqrt((moves * moves).sum() / (len(returns) - 1) * periods_per_year))


def ewma_variances(returns: Floats, decay: float = DECAY) -> Floats:
    """(n,) -> (n + 1,) variance of each return as known before it; the last is of the next one.

    v_{t+1} = decay v_t + (1 - decay) r_t^2, mean taken as zero (RiskMetrics, 1996). The first is the mean square of the
    first SEED_RETURNS: those see themselves and must not be scored.
    """
    return decaying((1.0 - decay) * returns**2, decay, float(np.mean(returns[:SEED_RETURNS] ** 2)))


def ewma_volatility(returns: Floats, periods_per_year: float) -> float:
    """Volatility of the next return by RiskMetrics, as a fraction a year."""
    require(returns, SEED_RETURNS)
    return float(np.sqrt(ewma_variances(returns[-REMEMBERED:])[-1] * periods_per_year))


def rolling_volatility(returns: Floats, window: int) -> Floats:
    """(n,) -> (n - window + 1,) standard deviation (n - 1) of each run of ``window`` returns, per period."""
    _, variance, _, _ = rolling_moments(returns, window)
    return np.sqrt(variance * window / (window - 1))


def skew(returns: Floats) -> float:
    """Third standardised moment, population moments (Fisher's g1): 0 for a symmetric distribution."""
    scores, squares = _scores(returns, least=3)
    return float((scores * squares).mean() / squares.mean() ** 1.5)


def kurtosis(returns: Floats) -> float:
    """Fourth standardised moment less 3, population moments (Fisher's g2): 0 for a normal distribution."""
    _, squares = _scores(returns, least=4)
    return float((squares * squares).mean() / squares.mean() ** 2) - 3.0


def _scores(returns: Floats, least: int) -> tuple[Floats, Floats]:
    """Standardised returns and their squares, (n,) each."""
    require(returns, least)
    moves = returns - returns.mean()
    scores = moves / spread_of(moves, returns)
    return scores, scores * scores


def rolling_moments(returns: Floats, window: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(n,) -> mean, population variance, skew and excess kurtosis, each (n - window + 1,), of each run of ``window``.

    By running sums of values brought to size one and centred first, which keeps what cancels small. Skew and kurtosis
    are NaN where a run does not vary.
    """
    centre = float(np.mean(returns))
    size = np.max(np.abs(returns - centre)) or np.float64(1.0)
    values = (returns - centre) / size
    squares = values * values
    powers = (values, squares, squares * values, squares * squares)
    first, second, third, fourth = (_running_mean(each, window) for each in powers)
    mean_square = first * first
    variance = second - mean_square
    flat = variance <= 1e-13
    variance = np.where(flat, 0.0, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        skews = (third - first * (3 * second - 2 * mean_square)) / (variance * np.sqrt(variance))
        tails = (fourth - first * (4 * third - 3 * first * (2 * second - mean_square))) / (variance * variance) - 3.0
    skews, tails = (np.where(flat, np.nan, each) for each in (skews, tails))
    return first * size + centre, variance * size**2, skews, tails


def _running_mean(values: Floats, window: int) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[window:] - sums[:-window]) / window
