"""The correction by recent outcomes: the recursion against a slow twin, and no outcome before it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ensemble.online import (
    Correction,
    Past,
    anchor,
    corrected,
    no_correction,
    stacked,
)
from ensemble.online import corrections as of_all
from ensemble.recursion import LARGEST_LOG_SCALE
from tests.ensemble.model_sets import GRID, gaussian

RATES = np.array([0.06, 0.04])
N_ROWS = 640
DAYS = np.busday_offset(np.datetime64("2002-06-03"), np.arange(N_ROWS)).astype("datetime64[D]")
EVERY = np.arange(N_ROWS)
NEW_YEAR_2004 = int(np.searchsorted(DAYS, np.datetime64("2004-01-01")))


def path(seed=0, n_rows=N_ROWS):
    """Forecasts that wander, and outcomes wilder than they say; those of the end are still open."""
    rng = np.random.default_rng(seed)
    quantiles = gaussian(0.2 * rng.standard_normal(n_rows)) * rng.uniform(0.6, 1.2, (n_rows, len(GRID.horizons), 1))
    outcomes = 0.1 + 1.4 * rng.standard_normal((n_rows, len(GRID.horizons)))
    open_still = np.arange(n_rows)[:, None] + np.asarray(GRID.horizons) >= n_rows
    return np.sort(quantiles, axis=-1), np.where(open_still, np.nan, outcomes)


def corrections(quantiles, outcomes, origins, wanted, grid, rates):
    """Of one symbol alone."""
    (found,) = of_all([Past(quantiles, outcomes, origins, wanted)], grid, rates)
    return found


def naive(quantiles, outcomes, origins, row, rates):
    """Scale and shift in force at a row, one horizon and one number at a time."""
    start = next(i for i in range(len(origins)) if origins[i].item().year >= origins[row].item().year - 1)
    found = []
    for j, horizon in enumerate(GRID.horizons):
        scale, shift, in_force = 0.0, [0.0] * len(GRID.levels), {}
        for now in range(start, row + 1):
            then = now - horizon
            if then >= start and not np.isnan(outcomes[then, j]):
                z, old = outcomes[then, j], in_force[then]
                bounds = dict(zip(GRID.levels, old, strict=True))
                miss_90 = 0.0 if bounds[0.05] <= z <= bounds[0.95] else 1.0
                miss_50 = 0.0 if bounds[0.25] <= z <= bounds[0.75] else 1.0
                scale += rates[0] / horizon**0.5 * ((miss_90 - 0.10) + 0.5 * (miss_50 - 0.50))
                scale = min(max(scale, -1.0), 1.0)
                for q, level in enumerate(GRID.levels):
                    shift[q] += rates[1] / horizon**0.5 * (level - (1.0 if z <= old[q] else 0.0))
            median = quantiles[now, j, GRID.levels.index(0.5)]
            in_force[now] = sorted(
                median + (value - median) * np.exp(scale) + by
                for value, by in zip(quantiles[now, j], shift, strict=True)
            )
        found.append((scale, shift))
    return [scale for scale, _ in found], [shift for _, shift in found]


@pytest.mark.parametrize("row", [0, 1, 25, 150, NEW_YEAR_2004 - 1, NEW_YEAR_2004, NEW_YEAR_2004 + 1, N_ROWS - 1])
def test_the_recursion_equals_its_twin(row):
    quantiles, outcomes = path()
    found = corrections(quantiles, outcomes, DAYS, np.array([row]), GRID, RATES)
    scale, shift = naive(quantiles, outcomes, DAYS, row, RATES)
    assert_allclose(found.log_scale[0], scale, rtol=0, atol=1e-10)
    assert_allclose(found.shift[0], shift, rtol=0, atol=1e-10)


def test_any_rows_that_are_wanted_are_those_of_all():
    quantiles, outcomes = path()
    every = corrections(quantiles, outcomes, DAYS, EVERY, GRID, RATES)
    wanted = np.array([NEW_YEAR_2004 + 30, 5, NEW_YEAR_2004 - 1, NEW_YEAR_2004, N_ROWS - 1, 5])
    some = corrections(quantiles, outcomes, DAYS, wanted, GRID, RATES)
    assert_array_equal(some.log_scale, every.log_scale[wanted])
    assert_array_equal(some.shift, every.shift[wanted])


@pytest.mark.parametrize("n_rows", [1, 2, 5, GRID.horizons[-1], GRID.horizons[-1] + 1])
def test_a_series_younger_than_the_longest_horizon_is_corrected_by_the_outcomes_it_has(n_rows):
    quantiles, outcomes = path(n_rows=n_rows)
    found = corrections(quantiles, outcomes, DAYS[:n_rows], np.arange(n_rows), GRID, RATES)
    learned = found.log_scale[-1] != 0
    assert learned.tolist() == [n_rows > horizon for horizon in GRID.horizons]


def assert_nothing_is_used_before_it_is_known(correct):
    """At every row: outcomes still open do not matter, whatever they will be; those just known do."""
    quantiles, outcomes = path()
    for row in (30, 200, NEW_YEAR_2004, NEW_YEAR_2004 + 40):
        open_still = EVERY[:, None] + np.asarray(GRID.horizons) > row
        other = np.where(open_still, 9.0 - 3.0 * outcomes, outcomes)
        unknown = np.where(open_still, np.nan, outcomes)
        now = np.array([row])
        ours = correct(quantiles, outcomes, DAYS, now, GRID, RATES)
        for changed in (other, unknown):
            theirs = correct(quantiles, changed, DAYS, now, GRID, RATES)
            assert_array_equal(ours.log_scale, theirs.log_scale)
            assert_array_equal(ours.shift, theirs.shift)
        made_later = np.where(EVERY[:, None, None] >= row, 5.0 + quantiles, quantiles)
        theirs = correct(made_later, outcomes, DAYS, now, GRID, RATES)
        assert_array_equal(ours.shift, theirs.shift)


def test_no_outcome_is_used_before_it_is_known():
    assert_nothing_is_used_before_it_is_known(corrections)


def test_outcomes_that_are_a_bar_early_are_caught():
    def a_bar_early(quantiles, outcomes, *rest):
        return corrections(quantiles, np.roll(outcomes, -1, axis=0), *rest)

    with pytest.raises(AssertionError):
        assert_nothing_is_used_before_it_is_known(a_bar_early)


def test_outcomes_that_are_learned_from_a_bar_before_they_are_known_are_caught():
    def impatient(quantiles, outcomes, origins, wanted, grid, rates):
        sooner = corrections(quantiles, outcomes, origins, np.minimum(wanted + 1, len(origins) - 1), grid, rates)
        return Correction(sooner.log_scale, sooner.shift)

    with pytest.raises(AssertionError):
        assert_nothing_is_used_before_it_is_known(impatient)


@pytest.mark.parametrize("j", range(len(GRID.horizons)))
def test_an_outcome_counts_from_the_bar_on_at_which_it_is_known(j):
    quantiles, outcomes = path()
    origin, horizon = 300, GRID.horizons[j]
    outcomes[origin, j] = 50.0
    high = corrections(quantiles, outcomes, DAYS, EVERY, GRID, RATES)
    outcomes[origin, j] = 0.0
    low = corrections(quantiles, outcomes, DAYS, EVERY, GRID, RATES)
    differs = (high.shift != low.shift).any(axis=(1, 2))
    assert int(np.argmax(differs)) == origin + horizon
    others = np.delete(np.arange(len(GRID.horizons)), j)
    assert_array_equal(high.shift[:, others], low.shift[:, others])  # one horizon does not teach another


def test_two_new_years_later_an_outcome_is_forgotten():
    quantiles, outcomes = path()
    new_year_2003 = int(np.searchsorted(DAYS, np.datetime64("2003-01-01")))
    changed = outcomes.copy()
    changed[:new_year_2003] += 3.0
    ours, theirs = (corrections(quantiles, each, DAYS, EVERY, GRID, RATES) for each in (outcomes, changed))
    assert_array_equal(ours.shift[NEW_YEAR_2004:], theirs.shift[NEW_YEAR_2004:])
    assert_array_equal(ours.log_scale[NEW_YEAR_2004:], theirs.log_scale[NEW_YEAR_2004:])
    assert (ours.shift[new_year_2003 : NEW_YEAR_2004 - 1] != theirs.shift[new_year_2003 : NEW_YEAR_2004 - 1]).any()


@pytest.mark.parametrize(
    ("day", "start"),
    [("2004-01-01", "2003-01-01"), ("2004-12-31", "2003-01-01"), ("2003-12-31", "2002-01-01")],
)
def test_the_anchor_is_new_year_of_the_year_before(day, start):
    assert anchor(np.datetime64(day)) == np.datetime64(start)
    assert anchor(np.datetime64(f"{day}T15:30")) == np.datetime64(start)


@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([0.0, 1e-6, 1.0, 50.0, 1e12]),
    lean=st.sampled_from([-1.0, 0.0, 1.0]),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=25, deadline=None)
def test_a_correction_is_bounded_whatever_happens(seed, size, lean, rates):
    quantiles, outcomes = path(seed, 300)
    outcomes = size * (outcomes + 1e3 * lean)
    found = corrections(quantiles, outcomes, DAYS[:300], np.arange(300), GRID, np.array(rates))
    assert np.abs(found.log_scale).max() <= LARGEST_LOG_SCALE
    known = np.maximum(np.arange(300)[:, None] - np.asarray(GRID.horizons) + 1, 0)  # outcomes seen so far
    largest = rates[1] / np.sqrt(GRID.horizons) * known * GRID.levels[-1]
    assert (np.abs(found.shift) <= largest[..., None] + 1e-9).all()


def test_misses_alone_widen_to_the_bound_and_hits_alone_narrow_to_it():
    quantiles, outcomes = path()
    last, scale_alone = np.array([N_ROWS - 1]), np.array([0.06, 0.0])
    far = np.broadcast_to(np.where(EVERY[:, None] % 2, 60.0, -60.0), outcomes.shape)
    missed = corrections(quantiles, far, DAYS, last, GRID, scale_alone)
    hit = corrections(quantiles, quantiles[..., GRID.levels.index(0.5)], DAYS, last, GRID, scale_alone)
    assert missed.log_scale[0, 0] == LARGEST_LOG_SCALE
    assert hit.log_scale[0, 0] == -LARGEST_LOG_SCALE


def test_rates_of_nothing_correct_nothing():
    quantiles, outcomes = path()
    found = corrections(quantiles, outcomes, DAYS, EVERY, GRID, np.zeros(2))
    assert not found.log_scale.any()
    assert not found.shift.any()


def test_quantiles_stay_in_order_and_a_correction_of_nothing_leaves_them():
    quantiles, _ = path()
    rng = np.random.default_rng(3)
    wild = Correction(rng.uniform(-1, 1, (N_ROWS, 5)), rng.standard_normal(quantiles.shape))
    assert (np.diff(corrected(quantiles, wild, GRID), axis=-1) >= 0).all()
    assert_allclose(corrected(quantiles, no_correction(GRID), GRID), quantiles, rtol=1e-14, atol=1e-15)


def test_stacked_rows_are_the_rows():
    rng = np.random.default_rng(4)
    whole = Correction(rng.standard_normal((3, 5)), rng.standard_normal((3, 5, 7)))
    again = stacked([whole.take(np.array([i])) for i in range(3)])
    assert_array_equal(again.log_scale, whole.log_scale)
    assert_array_equal(again.shift, whole.shift)
