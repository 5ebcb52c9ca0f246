"""Covariance of several assets' returns, and the part each of them has in the risk of a portfolio of them.

``returns`` is (n_periods, n_assets), simple returns, oldest first; matrices are (n_assets, n_assets), per period.
"""

from __future__ import annotations

import numpy as np

from contracts import Floats


def sample_covariance(returns: Floats) -> Floats:
    """With n - 1."""
    return np.atleast_2d(np.cov(returns, rowvar=False, ddof=1))


def ledoit_wolf(returns: Floats) -> tuple[Floats, float]:
    """Covariance shrunk towards equal variances without correlation, and the share of that target, 0 to 1.

    O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004), with 1/n as
    there (and in scikit-learn), not 1 / (n - 1).
    """
    n_periods, n_assets = returns.shape
    moves = returns - returns.mean(axis=0)
    sample = moves.T @ moves / n_periods
    target = np.trace(sample) / n_assets
    distance = float(np.sum((sample - target * np.eye(n_assets)) ** 2))
    noise = float(np.sum((moves**2).T @ moves**2) / n_periods - np.sum(sample**2)) / n_periods
    share = 0.0 if distance == 0 else min(max(noise, 0.0) / distance, 1.0)
    return (1 - share) * sample + share * target * np.eye(n_assets), share


def correlation(covariance: Floats) -> Floats:
    """-1 to 1; NaN in the row and column of an asset that does not vary."""
    spread = np.sqrt(np.diag(covariance))
    scale = np.outer(spread, spread)
    matrix = np.divide(covariance, scale, out=np.full_like(covariance, np.nan), where=scale > 0)
    return np.clip(matrix, -1.0, 1.0)
