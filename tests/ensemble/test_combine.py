"""Averages of quantile functions, and whose weight counts when somebody is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from ensemble.combine import blend, in_order, usable_weights

SHAPE = (4, 3, 5)  # n_rows, n_horizons, n_levels
NAMES = ("xgboost", "lstm", "transformer")
PUBLISHED = np.array([[0.5, 0.2, 1.0], [0.3, 0.3, 0.0], [0.2, 0.5, 0.0]])
finite = st.floats(-50, 50, allow_subnormal=False)
quantile_functions = arrays(np.float64, SHAPE, elements=finite).map(lambda values: np.sort(values, axis=-1))
some_weights = arrays(np.float64, (3, 3), elements=st.floats(0.01, 1.0)).map(lambda rows: rows / rows.sum(axis=0))


@given(member=quantile_functions, weights=some_weights)
@settings(max_examples=40, deadline=None)
def test_members_that_agree_stay_as_they_are(member, weights):
    assert_allclose(blend([member, member, member], weights), member, rtol=1e-13, atol=1e-13)


@given(members=st.lists(quantile_functions, min_size=3, max_size=3), weights=some_weights)
@settings(max_examples=40, deadline=None)
def test_the_average_lies_between_the_members_never_crosses_and_ignores_their_order(members, weights):
    blended = blend(members, weights)
    assert (np.diff(blended, axis=-1) >= 0).all()
    assert (blended <= np.max(members, axis=0) + 1e-12).all()
    assert (blended >= np.min(members, axis=0) - 1e-12).all()
    assert_allclose(blend(members[::-1], weights[::-1]), blended, rtol=0, atol=1e-12)


def test_the_average_equals_a_slow_twin():
    rng = np.random.default_rng(0)
    members = [np.sort(rng.standard_normal(SHAPE), axis=-1) for _ in range(3)]
    blended = blend(members, PUBLISHED)
    for row, horizon, level in np.ndindex(SHAPE):
        twin = sum(PUBLISHED[i, horizon] * members[i][row, horizon, level] for i in range(3))
        assert blended[row, horizon, level] == pytest.approx(twin, abs=1e-14)


def test_quantiles_that_cross_are_put_in_order():
    crossed = np.array([[[1.0, 0.0, 2.0]]])
    assert_array_equal(blend([crossed], np.ones((1, 1))), [[[0.0, 1.0, 2.0]]])


def test_weights_of_another_number_of_members_are_refused():
    with pytest.raises(ValueError, match="zip"):
        blend([np.zeros(SHAPE)] * 2, PUBLISHED)


def test_everyone_alive_means_the_published_weights():
    assert_allclose(usable_weights(PUBLISHED, NAMES, NAMES, None), PUBLISHED, rtol=1e-15)


def test_after_a_failure_the_rest_share_in_proportion():
    weights = usable_weights(PUBLISHED, NAMES, ["xgboost", "transformer"], None)
    assert_allclose(weights, [[5 / 7, 2 / 7, 1.0], [2 / 7, 5 / 7, 0.0]], rtol=1e-14)


def test_when_only_weightless_members_are_left_they_count_equally():
    weights = usable_weights(PUBLISHED, NAMES, ["lstm", "transformer"], None)
    assert_allclose(weights[:, 2], [0.5, 0.5])
    assert_allclose(weights[:, 0], [0.6, 0.4])


def test_the_callers_weights_hold_at_every_horizon_and_are_made_to_sum_to_one():
    weights = usable_weights(PUBLISHED, NAMES, NAMES, {"transformer": 3.0, "xgboost": 1.0})
    assert_allclose(weights, np.repeat([[0.25], [0.0], [0.75]], 3, axis=1))


def test_the_callers_weights_of_the_dead_are_forgotten():
    weights = usable_weights(PUBLISHED, NAMES, ["xgboost", "lstm"], {"transformer": 3.0, "xgboost": 1.0})
    assert_allclose(weights, np.repeat([[1.0], [0.0]], 3, axis=1))
    weights = usable_weights(PUBLISHED, NAMES, ["xgboost", "lstm"], {"transformer": 3.0})
    assert_allclose(weights, 0.5)


@given(
    alive=st.sets(st.sampled_from(NAMES), min_size=1),
    asked=st.none() | st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e6), min_size=1),
)
@settings(max_examples=60, deadline=None)
def test_weights_are_never_negative_and_sum_to_one(alive, asked):
    weights = usable_weights(PUBLISHED, NAMES, [name for name in NAMES if name in alive], asked)
    assert weights.shape == (len(alive), 3)
    assert (weights >= 0).all()
    assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-12)


@given(arrays(np.float64, (3, 4, 5), elements=st.integers(0, 9).map(float)))
def test_in_order_is_sorted_and_what_is_sorted_stays_the_very_same(values):
    sorted_values = np.sort(values, axis=-1)
    assert_array_equal(in_order(values), sorted_values)
    assert in_order(sorted_values) is sorted_values
