"""Weighted averages of quantile functions (Vincentization: Ratcliff, 1979), and the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from contracts import Floats


def blend(quantiles: Sequence[Floats], weights: Floats) -> Floats:
    """Average members' z quantiles level by level, then sort, so that levels never cross.

    ``quantiles`` holds one (n_rows, n_horizons, n_levels) array a member, ``weights`` is (n_members, n_horizons)
    with columns that sum to one.
    """
    total = np.zeros_like(quantiles[0])
    for member, weight in zip(quantiles, weights, strict=True):
        total = total + member * weight[:, None]
    return in_order(total)


def in_order(quantiles: Floats) -> Floats:
    """The same, sorted along the levels, their last axis. Nearly always they are already, and to look takes a third of
    the time that sorting takes."""
    is_in_order = (quantiles[..., 1:] >= quantiles[..., :-1]).all()
    return quantiles if is_in_order else np.sort(quantiles, axis=-1)


def usable_weights(
    published: Floats, names: Sequence[str], alive: Sequence[str], asked: Mapping[str, float] | None
) -> Floats:
    """(n_alive, n_horizons) weights of the members that answered, each column summing to one.

    ``published`` is (n_members, n_horizons) in the order of ``names``; ``asked`` are the caller's weights, the
    same at every horizon. When every remaining weight is zero, the remaining members count equally: they are
    all there is.
    """
    if asked is None:
        rows = np.stack([published[names.index(name)] for name in alive])
    else:
        rows = np.repeat(np.array([[asked.get(name, 0.0)] for name in alive], dtype=np.float64), published.shape[1], 1)
    totals = rows.sum(axis=0)
    equal = np.full_like(rows, 1.0 / len(rows))
    return np.where(totals > 0, rows / np.where(totals > 0, totals, 1.0), equal)
