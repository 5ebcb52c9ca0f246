"""Where an American put is exercised: the boundary that fulfils its own integral equation, for many puts at once.

L. Andersen, M. Lake, D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20
(2016): fixed-point iterations at Chebyshev nodes in the square root of time, started from QD+ (M. Li, "Analytical
approximations for the critical stock prices of American options", 2010). QuantLib's ``QdFpAmericanEngine`` is another
implementation. Integrals are in the angle ``time = sin(angle)**2``, which takes the square roots at both ends away.

Every put is struck at 1 and expires in one year. Contracts are the last axis of all arrays and nothing mixes them, so
that a put has the same boundary, to the last bit, in whatever company it is computed; alone, though, it must be given
twice, or numpy sums over the other axes in another order (see ``risk/american.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
from scipy.special import ndtr

from contracts import Floats

QD_STEPS = 2
"""Halley steps from the quadratic approximation; what is left of the error is the fixed point's."""
FARTHEST_STEP = 0.3
"""A Halley step keeps at least this share of the boundary."""
LOWEST_START = 1e-3
"""Of the boundary at expiry."""
_NORMAL = 1 / np.sqrt(2 * np.pi)


@dataclass(frozen=True, slots=True, eq=False)
class Puts:
    """Puts (n,) with one boundary: ``rate > 0``, or ``rate == 0 > dividend_yield``. ``deviation`` is positive."""

    rate: Floats
    dividend_yield: Floats
    deviation: Floats

    @property
    def log_at_expiry(self) -> Floats:
        """Logarithm of the boundary just before expiry, its highest: min(1, rate / yield)."""
        capped = self.dividend_yield > self.rate
        ratio = np.divide(self.rate, self.dividend_yield, out=np.ones(len(self.rate)), where=capped)
        return np.log(ratio)


@dataclass(frozen=True)
class Scheme:
    """``equation`` A or B of the paper, the numbers of ``nodes`` in time, of ``points`` of the integrals that give the
    boundary and of those that give the price, and of fixed-point ``steps``, of which the first is Newton's."""

    equation: Literal["A", "B"]
    nodes: int
    points: int
    price_points: int
    steps: int

    @cached_property
    def root_time(self) -> Floats:
        """(nodes, 1) square roots of the times to expiry of the nodes, from 1 on; 0 is left out, where all is known."""
        return (0.5 * (1 + self._chebyshev[:-1]))[:, None]

    @cached_property
    def sine(self) -> Floats:
        """(points, 1) square roots of the share of a node's time that has passed, at the points of its integrals."""
        return np.sin(angles(self.points)[0])[:, None]

    @cached_property
    def measure(self) -> Floats:
        """(points, 1) weights that make a sum an integral over the share of time."""
        angle, weight = angles(self.points)
        return (weight * np.sin(2 * angle))[:, None]

    @cached_property
    def spread(self) -> Floats:
        """(nodes, points, nodes) the matrix from values at the nodes to the points of the integrals of each node."""
        return self.from_nodes(self.root_time * np.cos(angles(self.points)[0]))

    def from_nodes(self, root_time: Floats) -> Floats:
        """(*shape, nodes) matrix from the values at the nodes to those at other times: barycentric interpolation (J.-P.
        Berrut, L. Trefethen, 2004) of what is 0 at expiry."""
        weight = (-1.0) ** np.arange(self.nodes + 1)
        weight[[0, -1]] /= 2
        share = weight / (2 * root_time[..., None] - 1 - self._chebyshev)
        return np.asarray((share / share.sum(axis=-1, keepdims=True))[..., :-1])

    @cached_property
    def price_spread(self) -> Floats:
        """(price_points, nodes) the same for the points of the integrals that give the price."""
        return self.from_nodes(np.cos(angles(self.price_points)[0]))

    @cached_property
    def _chebyshev(self) -> Floats:
        return np.cos(np.arange(self.nodes + 1) * np.pi / self.nodes)


@cache
def angles(points: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre points and weights from 0 to a right angle."""
    point, weight = np.polynomial.legendre.leggauss(points)
    return (point + 1) * np.pi / 4, weight * np.pi / 4


def density(distance: Floats) -> Floats:
    """Of the normal distribution."""
    return np.asarray(_NORMAL * np.exp(-0.5 * distance * distance))


def weighted(matrix: Floats, values: Floats) -> Floats:
    """(*shape, n): ``matrix`` (*shape, nodes) times ``values`` (nodes, n). Not by BLAS, whose threads cost more than a
    product of this size."""
    return np.asarray(np.einsum("...k,kn->...n", matrix, values))


def settled(puts: Puts, scheme: Scheme, depth: Floats) -> Floats:
    """The ``depth`` (nodes, n) of the boundary, a logarithm below its cap, after the steps of the fixed point. Far from
    the money distributions underflow and quotients are 0 / 0: a node where this happens stays as it is."""
    step = _Step(puts, scheme)
    for at in range(scheme.steps):
        found = step.from_depth(depth, newton=at == 0)
        depth = np.where(np.isfinite(found), np.maximum(found, 0.0), depth)
    return depth


class _Step:
    """One step of the fixed point, with what does not change from one to the next."""

    def __init__(self, puts: Puts, scheme: Scheme) -> None:
        rate, carry = puts.rate, puts.dividend_yield
        time, passed = scheme.root_time**2, (scheme.root_time[:, None] * scheme.sine) ** 2
        measure = scheme.root_time[:, None] ** 2 * scheme.measure
        self.scheme, self.top = scheme, puts.log_at_expiry
        # (nodes, n), from now to the time of each node
        self.deviation = puts.deviation * scheme.root_time
        self.drift = (self.top + (rate - carry) * time) / self.deviation + 0.5 * self.deviation
        self.cash, self.asset = np.exp(-rate * time), np.exp(-carry * time)
        # (nodes, points, n), to the points of the integrals
        self.spread = puts.deviation * (scheme.root_time[:, None] * scheme.sine)
        self.spread_drift = (rate - carry) * passed / self.spread + 0.5 * self.spread
        self.cash_measure = rate * measure * np.exp(-rate * passed)
        self.asset_measure = carry * measure * np.exp(-carry * passed)
        if scheme.equation == "A":
            self.cash_measure /= self.spread

    def from_depth(self, depth: Floats, *, newton: bool) -> Floats:
        """The next depth (nodes, n)."""
        upper = self.drift - depth / self.deviation
        lower_density, upper_density = density(upper - self.deviation), density(upper)
        at_cash, at_asset = self._integrals(depth)
        slope_above, slope_below = self.cash * lower_density, self.asset * upper_density
        if self.scheme.equation == "A":
            above = slope_above / self.deviation + at_cash
            below = slope_below / self.deviation + self.asset * ndtr(upper) + at_asset
            turn = 1 - upper / self.deviation
            slope_above, slope_below = slope_above * turn, slope_below * turn
        else:
            above = self.cash * ndtr(upper - self.deviation) + at_cash
            below = self.asset * ndtr(upper) + at_asset
        target = above / below
        if newton:
            level = np.exp(self.top - depth)
            slope = (slope_above - slope_below * target) / (below * level * self.deviation)
            target = level - (target - level) / (slope - 1)
        return np.asarray(self.top - np.log(target))

    def _integrals(self, depth: Floats) -> tuple[Floats, Floats]:
        """What the cash and the asset of early exercise contribute at each node (nodes, n), discounted to it."""
        depths = np.sqrt(np.maximum(weighted(self.scheme.spread, depth**2), 0.0))
        upper = (depths - depth[:, None]) / self.spread + self.spread_drift
        lower = upper - self.spread
        if self.scheme.equation == "A":
            cash, asset = density(lower), ndtr(upper) + density(upper) / self.spread
        else:
            cash, asset = ndtr(lower), ndtr(upper)
        return (self.cash_measure * cash).sum(axis=1), (self.asset_measure * asset).sum(axis=1)


def _first_guess(puts: Puts, time: Floats, deviation: Floats) -> Floats:
    """(nodes, n) the boundary as G. Barone-Adesi and R. Whaley guess it (1987): it falls from its height at
    expiry towards that of a put that never expires."""
    drift = puts.rate - puts.dividend_yield
    omega = 2 * drift / puts.deviation**2
    power = -0.5 * (omega - 1 + np.sqrt((omega - 1) ** 2 + 8 * puts.rate / puts.deviation**2))
    top, perpetual = np.exp(puts.log_at_expiry), power / (power - 1)
    left = np.exp(np.minimum((drift * time - 2 * deviation) / (1 - perpetual), 0.0))
    guess = perpetual + (top - perpetual) * left
    return np.asarray(np.clip(np.where(np.isfinite(guess), guess, top), LOWEST_START * top, top))


def start(puts: Puts, scheme: Scheme) -> Floats:
    """The ``depth`` (nodes, n) of the QD+ boundary: the root of its equation at each node, by Halley's method. Names
    as in the paper by Li; the form of the equation is that of Andersen, Lake and Offengenden."""
    rate, carry = puts.rate, puts.dividend_yield
    time, deviation = scheme.root_time**2, puts.deviation * scheme.root_time
    variance = puts.deviation**2
    cash, asset, passed = np.exp(-rate * time), np.exp(-carry * time), -np.expm1(-rate * time)
    per_time = np.divide(rate, passed, out=np.ones_like(passed) / time, where=passed != 0)
    omega = 2 * (rate - carry) / variance
    root = np.sqrt((omega - 1) ** 2 + 8 * per_time / variance)
    weight = -2 / (variance * root)
    beta = weight * cash * per_time * (1 - 2 * per_time / (variance * root**2)) + 0.5 * (omega - 1 + root)
    top, level = np.exp(puts.log_at_expiry), _first_guess(puts, time, deviation)
    for _ in range(QD_STEPS):
        upper = (np.log(level) + (rate - carry) * time) / deviation + 0.5 * deviation
        lower = upper - deviation
        peak = asset * density(upper)
        held, paid = asset * ndtr(-upper), cash * ndtr(-lower)
        gamma = peak / (deviation * level)
        theta = rate * paid - carry * level * held - 0.5 * variance * level**2 * gamma
        charm = -peak * ((rate - carry) / deviation - lower / (2 * time)) - carry * held
        colour = gamma * (carry + (rate - carry) * upper / deviation + (1 - upper * lower) / (2 * time))
        value = (1 - held) * level - beta * (1 - level - (paid - level * held)) + weight * theta
        slope = (1 - held) * (1 + beta) + peak / deviation + weight * charm
        bend = gamma * (1 - upper / deviation) + beta * gamma + weight * colour
        step = value / slope / np.maximum(1 - 0.5 * value * bend / slope**2, FARTHEST_STEP)
        level = np.clip(np.where(np.isfinite(step), level - step, level), FARTHEST_STEP * level, top)
    return np.asarray(puts.log_at_expiry - np.log(level))
