"""The four fractions that explain a forecast. Each is measured; none enters ``confidence``, which is the calibrated
probability of the likelier sign."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri

from contracts import Floats


def model_agreement(members: Floats, blended: Floats, levels: Sequence[float]) -> Floats | None:
    """1 - mean distance of the members' quantiles from ``blended``, over its interquartile range, in [0, 1]; (...,).

    ``members`` are (..., n_members, n_levels), ``blended`` is (..., n_levels), their average before any correction that
    they do not carry themselves; all at the asked horizon. None for a single member: there is nothing to agree with.
    """
    if members.shape[-2] < 2:
        return None
    width = blended[..., list(levels).index(0.75)] - blended[..., list(levels).index(0.25)]
    distance = np.abs(members - blended[..., None, :]).mean(axis=-1).mean(axis=-1)
    agreement: Floats = np.clip(1.0 - distance / np.maximum(width, 1e-12), 0.0, 1.0)
    return agreement


def historical_skill(skill: float | None, p_value: float | None) -> float | None:
    """Probability, from the Diebold-Mariano test, that the loss is truly below the random walk's (0.5: no telling)."""
    if skill is None or p_value is None:
        return None
    statistic = abs(ndtri(np.clip(p_value, 1e-12, 1.0) / 2))
    return float(ndtr(statistic if skill > 0 else -statistic))


def data_quality(bars: int, sessions: int) -> float:
    """Share of the exchange's sessions in the input window for which a checked bar exists."""
    return float(min(1.0, bars / sessions)) if sessions > 0 else 0.0


def regime_typicality(regime: Floats, reference: Floats) -> Floats:
    """How usual the current volatility is against its own last year: 1 at the median of the calibration window,
    0 beyond its extremes. Two-sided tail probability of log(current / yearly volatility), of each of (...,)."""
    rank = np.interp(regime, reference, _ranks(len(reference)), left=0.0, right=1.0)
    typicality: Floats = 2.0 * np.minimum(rank, 1.0 - rank)
    return typicality


@cache
def _ranks(count: int) -> Floats:
    return np.linspace(0.0, 1.0, count)
