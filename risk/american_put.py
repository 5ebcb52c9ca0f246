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
BLOCK = 16_000
"""Numbers in the largest array of what is computed at a time: 128 kB, which stay in the processor's second cache, and
which malloc has at hand (above, it asks the system for new pages every time)."""


@dataclass(frozen=True, slots=True, eq=False)
class PutValues:
    """(n,) each, in strikes: ``delta`` and ``gamma`` per spot in strikes. ``beside`` (n_beside, n) are other prices."""

    price: Floats
    delta: Floats
    gamma: Floats
    beside: Floats


def put_prices(spot: Floats, puts: Puts) -> Floats:
    """(n,) prices at ``spot`` (n,) in strikes. NaN where rate or yield is above LONGEST_EXTENT."""
    return np.asarray(_by_block(spot, [puts], slopes=False)[0])


def put_values(spot: Floats, puts: Puts, *beside: Puts) -> PutValues:
    """Price, delta and gamma, and prices of other puts (n,) that differ from ``puts`` so little that a difference of
    the prices is a derivative: all take the same steps, from the same boundary."""
    price, delta, gamma, *others = _by_block(spot, [puts, *beside], slopes=True)
    return PutValues(price, delta, gamma, np.array(others))


def _by_block(spot: Floats, puts: Sequence[Puts], *, slopes: bool) -> Floats:
    """(n_values, n) as ``_values`` has them."""
    values = np.full((len(puts) + 2 * slopes, len(spot)), np.nan)
    for scheme, rows in _by_scheme(puts[0]):
        size = BLOCK // (scheme.nodes * scheme.points * len(puts))
        for block in (rows[at : at + size] for at in range(0, len(rows), size)):
            # At least two: alone, sums over the other axes would be taken in another order, to another last bit.
            columns = block if len(block) > 1 else np.repeat(block, 2)
            # Far from the money distributions underflow, and what they are multiplied with may overflow.
            with np.errstate(all="ignore"):
                found = _values(spot[columns], [_taken(it, columns) for it in puts], scheme, slopes=slopes)
            values[:, block] = found[:, : len(block)]
    return values


def _by_scheme(puts: Puts) -> list[tuple[Scheme, Ints]]:
    """The positions of the puts that each scheme is for."""
    drift, variance = 2 * np.abs(puts.rate - puts.dividend_yield), puts.deviation**2
    growth = np.maximum(np.abs(puts.rate), np.abs(puts.dividend_yield))
    is_long, is_close = np.maximum(growth, variance / 4) > LONG_EXTENT, drift <= CLOSE_DRIFT * variance
    masks = ((CLOSE, ~is_long & is_close), (WIDE, ~is_long & ~is_close), (LONG, is_long & (growth <= LONGEST_EXTENT)))
    return [(scheme, np.flatnonzero(mask)) for scheme, mask in masks]


def _taken(puts: Puts, rows: Ints) -> Puts:
    return Puts(*(getattr(puts, field.name)[rows] for field in fields(puts)))


def _values(spot: Floats, puts: Sequence[Puts], scheme: Scheme, *, slopes: bool) -> Floats:
    """Price of the first, its delta and gamma where ``slopes`` are wanted, prices of the others: each (n,)."""
    count = len(spot)
    everyone = Puts(*(np.concatenate([getattr(it, field.name) for it in puts]) for field in fields(Puts)))
    depth = settled(everyone, scheme, np.tile(start(puts[0], scheme), len(puts)))
    spots = np.tile(spot, len(puts))
    above = np.log(spots) - everyone.log_at_expiry + depth[0]
    early = _EarlyExercise(spots, everyone, scheme, depth, np.maximum(above, 0.0))
    price = np.where(above > 0, _european_price(spots, everyone) + early.price(), 1 - spots).reshape(len(puts), count)
    if not slopes:
        return np.asarray(price)
    held = above[:count] > 0
    delta, gamma = _european_slopes(spot, puts[0]) + early.slopes(count)
    return np.vstack([price[:1], np.where(held, delta, -1.0), np.where(held, gamma, 0.0), price[1:]])


def _upper(spot: Floats, puts: Puts) -> Floats:
    return (np.log(spot) + puts.rate - puts.dividend_yield) / puts.deviation + 0.5 * puts.deviation


def _european_price(spot: Floats, puts: Puts) -> Floats:
    """(n,), as risk/options.py has it."""
    upper = _upper(spot, puts)
    asset, cash = spot * np.exp(-puts.dividend_yield), np.exp(-puts.rate)
    return np.asarray(cash * ndtr(puts.deviation - upper) - asset * ndtr(-upper))


def _european_slopes(spot: Floats, puts: Puts) -> Floats:
    """(2, n) delta and gamma."""
    upper, asset = _upper(spot, puts), np.exp(-puts.dividend_yield)
    return np.array([-asset * ndtr(-upper), asset * density(upper) / (spot * puts.deviation)])


class _EarlyExercise:
    """What early exercise adds. ``depth`` (nodes, n) is that of the boundary, ``above`` is log(spot / boundary) now."""

    def __init__(self, spot: Floats, puts: Puts, scheme: Scheme, depth: Floats, above: Floats) -> None:
        rate, carry = puts.rate, puts.dividend_yield
        angle, weight = (column[:, None] for column in angles(scheme.price_points))
        self.spot, self.rate, self.carry, self.deviation = spot, rate, carry, puts.deviation
        self.boundary = np.exp(puts.log_at_expiry - depth[0])
        self.sine, self.measure = np.sin(angle), 2 * weight * np.cos(angle)
        passed, self.spread = self.sine**2, puts.deviation * self.sine
        depths = np.sqrt(np.maximum(weighted(scheme.price_spread, depth**2), 0.0))
        distance = np.log(spot) - puts.log_at_expiry + depths + (rate - carry) * passed
        self.upper = distance / self.spread + 0.5 * self.spread
        self.lower = self.upper - self.spread
        self.asset, self.interest = carry * np.exp(-carry * passed), rate * np.exp(-rate * passed)
        self.asset_below = self.asset * ndtr(-self.upper)
        self.gain = rate - carry * spot
        self.far = above / puts.deviation
        self.tail = ndtr(-self.far)
        self.ramp = density(self.far) - self.far * self.tail

    def price(self) -> Floats:
        """(n,)"""
        corner = self.gain * ndtr(-self.far / self.sine)
        smooth = self.interest * ndtr(-self.lower) - self.spot * self.asset_below - corner
        return np.asarray(
            (self.measure * self.sine * smooth).sum(axis=0) + self.gain * (self.tail - self.far * self.ramp)
        )

    def slopes(self, count: int) -> Floats:
        """(2, count) delta and gamma of the first ones."""
        first = slice(count)
        spot, deviation, upper = self.spot[first], self.deviation[first], self.upper[:, first]
        far, tail, ramp, spread = self.far[first], self.tail[first], self.ramp[first], self.spread[:, first]
        peak = self.asset[:, first] * density(upper)
        pull = self.interest[:, first] * density(self.lower[:, first]) / spot - peak
        pull_now = np.where(far < FAR, self.rate[first] / self.boundary[first] - self.carry[first], 0.0)
        corner = pull_now * density(far / self.sine)
        delta = self.measure * ((corner - pull) / deviation - self.sine * self.asset_below[:, first])
        gamma = self.measure / self.sine * (pull * upper + spread * peak - corner * far / self.sine)
        return np.array(
            [
                delta.sum(axis=0) - 2 * pull_now * ramp / deviation,
                (gamma.sum(axis=0) + 2 * pull_now * tail) / (spot * deviation**2),
            ]
        )
