"""Members in, one calibrated distribution a row out: the right weights, the right offsets, no mixing of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from contracts import FeatureMatrix
from ensemble.direction import raw_probability_up
from ensemble.distribution import (
    MemberFailure,
    blending_of,
    calibrated_blend,
    distribution,
    each_alone,
    offsets_for,
    recent_corrections,
)
from ensemble.online import Correction, Past, corrections, no_correction
from ensemble.surface import surface
from tests.ensemble.model_sets import (
    GRID,
    NAMES,
    OTHERS,
    OTHERS_WITH_RANGES,
    STOCKS,
    STOCKS_WITH_RANGES,
    made_up_set,
    offsets_of,
    set_with_ranges,
)

ROWS = 4
RNG = np.random.default_rng(6)
MATRIX = FeatureMatrix(
    tabular=np.zeros((ROWS, 1), np.float32),
    windows=np.zeros((ROWS, 1, 1), np.float32),
    sigma=np.array([0.005, 0.01, 0.02, 0.04]),
    regime=np.array([-0.5, 0.0, 0.2, 3.0]),
)
MEMBERS = {name: np.sort(RNG.standard_normal((ROWS, *GRID.shape)), axis=-1) for name in NAMES}
SET = made_up_set()
BROKEN = MemberFailure("it broke")
KINDS = (STOCKS, STOCKS_WITH_RANGES, OTHERS, OTHERS_WITH_RANGES)


def without(*names):
    return {name: BROKEN if name in names else z for name, z in MEMBERS.items()}


def blended_by_hand(alive, kind=STOCKS):
    """(n_rows, n_horizons, n_levels): a slow twin, one number at a time; offsets and drift are left out."""
    z = np.empty((ROWS, *GRID.shape))
    for row, h, q in np.ndindex(z.shape):
        weights = {name: SET.calibration[kind].weights[NAMES.index(name), h] for name in alive}
        z[row, h, q] = sum(weights[n] * MEMBERS[n][row, h, q] for n in alive) / sum(weights.values())
    return z


@pytest.mark.parametrize("missing", [(), ("xgboost",), ("lstm",), ("transformer",), ("xgboost", "transformer")])
@pytest.mark.parametrize("kind", [STOCKS, STOCKS_WITH_RANGES])
def test_what_remains_is_blended_and_corrected_by_its_own_offsets(missing, kind):
    spread = distribution(SET, kind, without(*missing), MATRIX)
    alive = [name for name in NAMES if name not in missing]
    mask = sum(2 ** NAMES.index(name) for name in alive)
    z = blended_by_hand(alive, kind) + offsets_of(SET, kind, mask)
    assert_allclose(spread.surfaces, surface(np.sort(z, axis=-1), MATRIX.sigma, GRID), rtol=1e-10, atol=1e-14)
    assert spread.members == tuple(alive)
    assert set(spread.failures) == set(missing)


def test_a_member_that_was_not_asked_is_neither_alive_nor_a_failure():
    spread = distribution(SET, STOCKS, {"lstm": MEMBERS["lstm"]}, MATRIX)
    assert spread.members == ("lstm",)
    assert not spread.failures


def test_the_callers_weights_change_the_blend_and_not_the_offsets():
    asked = distribution(SET, STOCKS, MEMBERS, MATRIX, {"lstm": 2.0})
    z = np.sort(MEMBERS["lstm"] + offsets_of(SET, STOCKS, 0b111), axis=-1)
    assert_allclose(asked.surfaces, surface(z, MATRIX.sigma, GRID), rtol=1e-10)


def test_a_mask_names_the_members_by_their_place_whatever_the_order():
    assert [SET.mask([name]) for name in NAMES] == [1, 2, 4]
    assert SET.mask(["transformer", "xgboost"]) == SET.mask(("xgboost", "transformer")) == 0b101
    assert SET.mask([]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_subset_that_was_fitted_has_its_own_offsets(kind):
    for mask in range(1, 8):
        names = [name for i, name in enumerate(NAMES) if mask >> i & 1]
        for order in (names, names[::-1]):
            assert_array_equal(offsets_for(SET, kind, order), offsets_of(SET, kind, mask))


def test_a_subset_that_was_not_fitted_has_the_mean_of_each_alone():
    fitted = SET.calibration[STOCKS]
    kept = np.isin(fitted.masks, [1, 2, 4, 7])
    sparse = replace(fitted, masks=fitted.masks[kept], offsets=fitted.offsets[kept])
    model_set = replace(SET, calibration={STOCKS: sparse})
    alone = [offsets_of(SET, STOCKS, mask) for mask in (1, 4)]
    assert_allclose(offsets_for(model_set, STOCKS, ["xgboost", "transformer"]), (alone[0] + alone[1]) / 2, rtol=1e-15)
    assert_array_equal(offsets_for(model_set, STOCKS, NAMES), offsets_of(SET, STOCKS, 7))


def test_members_with_weight_are_those_of_the_kind():
    model_set = set_with_ranges()
    assert model_set.weighted(STOCKS) == model_set.weighted(OTHERS) == NAMES
    assert model_set.weighted(STOCKS_WITH_RANGES) == model_set.weighted(OTHERS_WITH_RANGES) == (*NAMES, "har_range")


@pytest.mark.parametrize("kind", [OTHERS, OTHERS_WITH_RANGES])
def test_without_drift_the_median_is_the_current_price_and_the_rest_moves_with_it(kind):
    spread = distribution(SET, kind, MEMBERS, MATRIX)
    middle = GRID.levels.index(0.5)
    assert_array_equal(spread.surfaces[..., middle], 0.0)
    raw = np.sort(blended_by_hand(NAMES, kind) + offsets_of(SET, kind, 0b111), axis=-1)
    expected = raw - raw[..., middle : middle + 1]
    assert_allclose(spread.surfaces, surface(expected, MATRIX.sigma, GRID), rtol=1e-10, atol=1e-14)
    assert np.abs(raw[..., middle]).max() > 0.1  # there was a drift to remove
    for own in each_alone(SET, kind, MEMBERS, MATRIX).values():
        assert_array_equal(own[..., middle], 0.0)


def test_without_drift_the_sign_is_not_recalibrated():
    spread = distribution(SET, OTHERS, MEMBERS, MATRIX)
    assert_allclose(spread.probability_up, raw_probability_up(spread.surfaces, GRID.levels), rtol=1e-12)
    assert_allclose(spread.probability_up, 0.5, atol=1e-12)


def test_with_drift_the_median_stays_where_the_members_put_it():
    middle = GRID.levels.index(0.5)
    assert np.abs(distribution(SET, STOCKS, MEMBERS, MATRIX).surfaces[..., middle]).min() > 0


def test_a_correction_scales_about_the_median_and_shifts():
    log_scale = RNG.uniform(-0.5, 0.5, (ROWS, len(GRID.horizons)))
    shift = 0.05 * RNG.standard_normal((ROWS, *GRID.shape))
    spread = distribution(SET, OTHERS, MEMBERS, MATRIX, None, Correction(log_scale, shift))
    z = calibrated_blend(SET, OTHERS, MEMBERS)
    twin = np.empty_like(z)
    for row, h, q in np.ndindex(z.shape):
        median = z[row, h, 3]
        twin[row, h, q] = median + (z[row, h, q] - median) * np.exp(log_scale[row, h]) + shift[row, h, q]
    assert_allclose(spread.surfaces, surface(np.sort(twin, axis=-1), MATRIX.sigma, GRID), rtol=1e-10, atol=1e-14)


def with_linear(*names):
    """The set with these members called linear, which makes them witnesses."""
    members = tuple(replace(each, kind="linear") if each.name in names else each for each in SET.members)
    return replace(SET, members=members)


@pytest.mark.parametrize("kind", [STOCKS, OTHERS])
@pytest.mark.parametrize("linear", [(), ("lstm",), ("lstm", "xgboost")])
def test_a_correction_is_learned_from_the_witnesses_at_the_rates_of_the_kind(kind, linear):
    days = np.datetime64("2003-01-01") + np.arange(ROWS)
    outcomes, last = RNG.standard_normal((ROWS, len(GRID.horizons))), np.array([ROWS - 1])
    model_set = with_linear(*linear)
    found = recent_corrections(model_set, kind, MEMBERS, outcomes, days, last)
    witnesses = {name: z for name, z in MEMBERS.items() if name in linear or not linear}
    assert tuple(witnesses) == model_set.witnesses(kind)
    z = calibrated_blend(SET, kind, witnesses)
    (twin,) = corrections([Past(z, outcomes, days, last)], GRID, SET.calibration[kind].rates)
    assert_array_equal(found.shift, twin.shift)
    assert_array_equal(found.log_scale, twin.log_scale)
    assert np.abs(found.shift).max() > 0.01


def test_no_correction_changes_nothing():
    none = no_correction(GRID)
    repeated = Correction(np.repeat(none.log_scale, ROWS, axis=0), np.repeat(none.shift, ROWS, axis=0))
    with_it, without_it = (distribution(SET, STOCKS, MEMBERS, MATRIX, None, each) for each in (repeated, None))
    assert_allclose(with_it.surfaces, without_it.surfaces, rtol=1e-12, atol=1e-16)


def test_probability_is_recalibrated_by_horizon():
    spread = distribution(SET, STOCKS, MEMBERS, MATRIX)
    intercept, slope = SET.calibration[STOCKS].direction[6]
    raw = np.array([np.interp(0.0, spread.surfaces[row, 6], GRID.levels) for row in range(ROWS)])
    twin = 1 / (1 + np.exp(-(intercept + slope * np.log((1 - raw) / raw))))
    assert_allclose(spread.probability_up[:, 6], twin, atol=0.02)  # the twin is linear between levels
    assert ((spread.probability_up > 0) & (spread.probability_up < 1)).all()


@pytest.mark.parametrize("kind", [STOCKS, OTHERS])
def test_a_row_among_many_is_as_a_row_alone(kind):
    correction = Correction(0.3 * RNG.random((ROWS, len(GRID.horizons))), 0.1 * RNG.random((ROWS, *GRID.shape)))
    together = distribution(SET, kind, MEMBERS, MATRIX, None, correction)
    for row in range(ROWS):
        members = {name: z[row : row + 1] for name, z in MEMBERS.items()}
        only = np.array([row])
        alone = distribution(SET, kind, members, MATRIX.take(only), None, correction.take(only))
        cut = together.row(row)
        for name in ("surfaces", "probability_up", "regime", "weights"):
            assert_array_equal(getattr(cut, name), getattr(alone, name))
        assert (cut.members, cut.levels) == (alone.members, alone.levels)


def test_each_alone_is_what_asking_for_one_gives():
    surfaces = each_alone(SET, STOCKS, without("lstm"), MATRIX)
    assert list(surfaces) == ["xgboost", "transformer"]
    for name, own in surfaces.items():
        alone = distribution(SET, STOCKS, {name: MEMBERS[name]}, MATRIX)
        assert_allclose(own, alone.surfaces, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("n_steps", range(1, GRID.horizons[-1] + 1))
@pytest.mark.parametrize("kind", [STOCKS, OTHERS])
def test_what_is_not_asked_for_changes_nothing_and_is_not_there(kind, n_steps):
    """Horizons of the grid beyond those that the steps need are left out."""
    correction = Correction(0.3 * RNG.random((ROWS, len(GRID.horizons))), 0.1 * RNG.random((ROWS, *GRID.shape)))
    asked = kind, MEMBERS, MATRIX
    whole, start = (distribution(SET, *asked, None, correction, steps) for steps in (None, n_steps))
    assert_array_equal(start.surfaces, whole.surfaces[:, :n_steps])
    assert_array_equal(start.probability_up, whole.probability_up[:, :n_steps])
    all_alone, alone = each_alone(SET, *asked), each_alone(SET, *asked, n_steps)
    for name in NAMES:
        assert_array_equal(alone[name], all_alone[name][:, :n_steps])


def test_the_probability_at_some_places_is_the_one_of_them_all():
    spread = distribution(SET, STOCKS, MEMBERS, MATRIX)
    rows, steps = np.arange(ROWS), (np.arange(ROWS) * 7) % GRID.horizons[-1]
    assert_array_equal(spread.probability_up_at(rows, steps), spread.probability_up[rows, steps])


PAIRS = (("lstm", 0.5), ("xgboost", 2.0))


def test_a_blending_is_worked_out_once_whatever_the_order_of_the_weights():
    one, again = (blending_of(SET, STOCKS, NAMES, dict(weights)) for weights in (PAIRS, PAIRS[::-1]))
    assert one is again
    assert one is not blending_of(replace(SET, version="another"), STOCKS, NAMES, dict(PAIRS))
    assert one is not blending_of(SET, STOCKS, NAMES)
