"""Price, delta and gamma of American puts from their exercise boundary. Shapes and units as in american_boundary.py.

Price = European price + what early exercise brings: interest on the strike less the yield of the asset, for the time
that the asset is below the boundary (I. Kim, 1990). Delta and gamma are the derivatives of that integral in the spot.
Where the spot is close to the boundary, the integrands turn a sharp corner; the leading term, whose integral is known,
is taken out before the sum and added after it, so that the sum is as exact there as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr

from contracts import Floats, Ints
from risk.american_boundary import Puts, Scheme, angles, density, settled, start, weighted

CLOSE_DRIFT = 3.0
"""Up to this 2 |rate - yield| / variance the steps of equation A settle fast, above it those of B (measured)."""
CLOSE = Scheme("A", nodes=8, points=8, price_points=24, steps=3)
WIDE = Scheme("B", nodes=10, points=10, price_points=32, steps=5)
LONG_EXTENT, LONGEST_EXTENT = 2.0, 16.0
"""Of max(|rate|, |yield|, variance / 4): above the first the boundary takes more nodes; above the second, for rate and
yield alone, even these miss it, and no price is better than one that may be wrong by a percent (measured)."""
LONG = Scheme("B", nodes=24, points=32, price_points=64, steps=10)
FAR = 5.0
"""Deviations from the boundary at which its corner is no more seen."""
BLOCK = 512
"""Contracts computed at a time: the arrays of a block fit into the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class PutValues:
    """(n,) each, in strikes: ``delta`` and ``gamma`` per spot in strikes. ``beside`` (n_beside, n) are other prices."""

    price: Floats
    delta: Floats
    gamma: Floats
    beside: Floats


def put_values(spot: Floats, puts: Puts, *beside: Puts) -> PutValues:
    """Price, delta and gamma, at ``spot`` (n,) in strikes, and prices of other puts (n,) that differ from ``puts`` so
    little that a difference of the prices is a derivative: all take the same steps, from the same boundary. NaN where
    rate or yield is above LONGEST_EXTENT."""
    values = np.full((3 + len(beside), len(spot)), np.nan)
    for scheme, rows in _by_scheme(puts):
        for block in (rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK)):
            # At least two: alone, sums over the other axes would be taken in another order, to another last bit.
            columns = block if len(block) > 1 else np.repeat(block, 2)
            # Far from the money distributions underflow, and what they are multiplied with may overflow.
            with np.errstate(all="ignore"):
                found = _values(spot[columns], [_taken(it, columns) for it in (puts, *beside)], scheme)
            values[:, block] = found[:, : len(block)]
    price, delta, gamma, *others = values
    return PutValues(price, delta, gamma, np.array(others))


def _by_scheme(puts: Puts) -> list[tuple[Scheme, Ints]]:
    """The positions of the puts that each scheme is for."""
    drift, variance = 2 * np.abs(puts.rate - puts.dividend_yield), puts.deviation**2
    growth = np.maximum(np.abs(puts.rate), np.abs(puts.dividend_yield))
    is_long, is_close = np.maximum(growth, variance / 4) > LONG_EXTENT, drift <= CLOSE_DRIFT * variance
    masks = ((CLOSE, ~is_long & is_close), (WIDE, ~is_long & ~is_close), (LONG, is_long & (growth <= LONGEST_EXTENT)))
    return [(scheme, np.flatnonzero(mask)) for scheme, mask in masks]


def _taken(puts: Puts, rows: Ints) -> Puts:
    return Puts(*(getattr(puts, field.name)[rows] for field in fields(puts)))


def _values(spot: Floats, puts: Sequence[Puts], scheme: Scheme) -> Floats:
    """(2 + n_puts, n) price, delta and gamma of the first, prices of the others."""
    all_of_them = Puts(*(np.concatenate([getattr(it, field.name) for it in puts]) for field in fields(Puts)))
    depth = settled(all_of_them, scheme, np.tile(start(puts[0], scheme), len(puts)))
    spots = np.tile(spot, len(puts))
    above = np.log(spots) - all_of_them.log_at_expiry + depth[0]
    held = _european(spots, all_of_them) + _early_exercise(spots, all_of_them, scheme, depth, np.maximum(above, 0.0))
    exercised = np.array([1 - spots, np.full(len(spots), -1.0), np.zeros(len(spots))])
    price, delta, gamma = np.where(above > 0, held, exercised).reshape(3, len(puts), len(spot))
    return np.vstack([price[:1], delta[:1], gamma[:1], price[1:]])


def _european(spot: Floats, puts: Puts) -> Floats:
    """(3, n), as risk/options.py has it."""
    upper = (np.log(spot) + puts.rate - puts.dividend_yield) / puts.deviation + 0.5 * puts.deviation
    asset = np.exp(-puts.dividend_yield)
    delta = -asset * ndtr(-upper)
    price = np.exp(-puts.rate) * ndtr(puts.deviation - upper) + spot * delta
    return np.array([price, delta, asset * density(upper) / (spot * puts.deviation)])


def _early_exercise(spot: Floats, puts: Puts, scheme: Scheme, depth: Floats, above: Floats) -> Floats:
    """(3, n) what early exercise adds. ``depth`` is that of the boundary, ``above`` is log(spot / boundary) now."""
    rate, carry, deviation = puts.rate, puts.dividend_yield, puts.deviation
    angle, weight = (column[:, None] for column in angles(scheme.price_points))
    sine, cosine = np.sin(angle), np.cos(angle)
    passed, spread = sine**2, deviation * sine
    depths = np.sqrt(np.maximum(weighted(scheme.price_spread, depth**2), 0.0))
    upper = (np.log(spot) - puts.log_at_expiry + depths + (rate - carry) * passed) / spread + 0.5 * spread
    asset = carry * np.exp(-carry * passed) * ndtr(-upper)
    lower = upper - spread
    asset_peak, interest = carry * np.exp(-carry * passed) * density(upper), rate * np.exp(-rate * passed)
    pull = interest * density(lower) / spot - asset_peak

    far = above / deviation
    gain = rate - carry * spot
    pull_now = np.where(far < FAR, rate * np.exp(depth[0] - puts.log_at_expiry) - carry, 0.0)
    corner, corner_density = ndtr(-far / sine), density(far / sine)
    tail, tail_density = ndtr(-far), density(far)
    ramp = tail_density - far * tail
    measure = 2 * weight * cosine
    price = measure * sine * (interest * ndtr(-lower) - spot * asset - gain * corner)
    delta = measure * ((pull_now * corner_density - pull) / deviation - sine * asset)
    gamma = measure / sine * (pull * upper + spread * asset_peak - pull_now * corner_density * far / sine)
    scale = spot * deviation**2
    return np.array(
        [
            price.sum(axis=0) + gain * (tail - far * ramp),
            delta.sum(axis=0) - 2 * pull_now * ramp / deviation,
            (gamma.sum(axis=0) + 2 * pull_now * tail) / scale,
        ]
    )
