"""Learned weights prefer who is better, and nobody without a reason."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import ndtri

from backtest.score import pinball_loss
from ensemble.weights import SHRINKAGE, fit_weights

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
RNG = np.random.default_rng(8)
OUTCOMES = RNG.standard_normal(3000)


def normal(mean, scale):
    return np.broadcast_to(mean + scale * ndtri(np.array(LEVELS)), (len(OUTCOMES), len(LEVELS)))


def loss(weights, members):
    return pinball_loss(OUTCOMES, np.tensordot(weights, np.stack(members), axes=1), LEVELS).mean()


def test_members_that_say_the_same_get_the_same():
    assert_allclose(fit_weights([normal(0, 1.2)] * 3, OUTCOMES, LEVELS), 1 / 3, rtol=1e-12)


def test_a_single_member_gets_everything():
    assert_allclose(fit_weights([normal(0, 1.2)], OUTCOMES, LEVELS), [1.0])


def test_the_better_member_weighs_more_wherever_it_stands():
    good, bad = normal(0, 1), normal(0.8, 2.5)
    first = fit_weights([good, bad], OUTCOMES, LEVELS)
    assert first[0] > 0.65
    assert_allclose(fit_weights([bad, good], OUTCOMES, LEVELS), first[::-1], rtol=1e-9)


def test_members_that_err_to_both_sides_share():
    weights = fit_weights([normal(0.4, 1), normal(-0.4, 1), normal(0, 6)], OUTCOMES, LEVELS)
    assert_allclose(weights[0], weights[1], atol=0.05)
    assert weights[2] < 0.25


def test_weights_are_a_simplex_no_further_than_half_way_from_equal():
    weights = fit_weights([normal(0, 1), normal(5, 9), normal(0, 1.1)], OUTCOMES, LEVELS)
    assert_allclose(weights.sum(), 1.0, rtol=1e-12)
    assert (weights >= SHRINKAGE / 3 - 1e-12).all()
    assert weights.max() <= SHRINKAGE / 3 + (1 - SHRINKAGE)


def test_before_shrinking_no_other_mixture_is_much_better():
    members = [normal(0.3, 1), normal(-0.2, 0.8), normal(0, 1.6)]
    learned = (fit_weights(members, OUTCOMES, LEVELS) - SHRINKAGE / 3) / (1 - SHRINKAGE)
    best = min(loss(weights, members) for weights in np.random.default_rng(1).dirichlet(np.ones(3), 400))
    assert loss(learned, members) < 1.002 * best


def test_learned_weights_lose_less_than_equal_ones():
    members = [normal(0, 1), normal(0.8, 2.5)]
    assert loss(fit_weights(members, OUTCOMES, LEVELS), members) < loss(np.array([0.5, 0.5]), members)
