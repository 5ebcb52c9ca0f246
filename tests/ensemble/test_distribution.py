"""Members in, one calibrated distribution a row out: the right weights, the right offsets, no mixing of rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from contracts import FeatureMatrix
from ensemble.distribution import MemberFailure, distribution, each_alone
from ensemble.surface import surface
from tests.ensemble.model_sets import GRID, NAMES, made_up_set

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


def without(*names):
    return {name: BROKEN if name in names else z for name, z in MEMBERS.items()}


@pytest.mark.parametrize("missing", [(), ("xgboost",), ("lstm",), ("transformer",), ("xgboost", "transformer")])
def test_what_remains_is_blended_and_corrected_by_its_own_offsets(missing):
    """A slow twin, one number at a time."""
    spread = distribution(SET, without(*missing), MATRIX)
    alive = [name for name in NAMES if name not in missing]
    mask = sum(2 ** NAMES.index(name) for name in alive)
    z = np.empty((ROWS, *GRID.shape))
    for row, h, q in np.ndindex(z.shape):
        weights = {name: SET.weights[NAMES.index(name), h] for name in alive}
        z[row, h, q] = sum(weights[n] * MEMBERS[n][row, h, q] for n in alive) / sum(weights.values())
        z[row, h, q] += SET.calibration.offsets[mask - 1, h, q]
    assert_allclose(spread.surfaces, surface(np.sort(z, axis=-1), MATRIX.sigma, GRID), rtol=1e-10, atol=1e-14)
    assert spread.members == tuple(alive)
    assert spread.subset == mask - 1
    assert set(spread.failures) == set(missing)


def test_a_member_that_was_not_asked_is_neither_alive_nor_a_failure():
    spread = distribution(SET, {"lstm": MEMBERS["lstm"]}, MATRIX)
    assert spread.members == ("lstm",)
    assert not spread.failures
    assert spread.subset == 1


def test_the_callers_weights_change_the_blend_and_not_the_offsets():
    asked = distribution(SET, MEMBERS, MATRIX, {"lstm": 2.0})
    z = np.sort(MEMBERS["lstm"] + SET.calibration.offsets[-1], axis=-1)
    assert_allclose(asked.surfaces, surface(z, MATRIX.sigma, GRID), rtol=1e-10)


def test_probability_is_recalibrated_by_horizon():
    spread = distribution(SET, MEMBERS, MATRIX)
    intercept, slope = SET.calibration.direction[6]
    raw = np.array([np.interp(0.0, spread.surfaces[row, 6], GRID.levels) for row in range(ROWS)])
    twin = 1 / (1 + np.exp(-(intercept + slope * np.log((1 - raw) / raw))))
    assert_allclose(spread.probability_up[:, 6], twin, atol=0.02)  # the twin is linear between levels
    assert ((spread.probability_up > 0) & (spread.probability_up < 1)).all()


def test_a_row_among_many_is_as_a_row_alone():
    together = distribution(SET, MEMBERS, MATRIX)
    for row in range(ROWS):
        members = {name: z[row : row + 1] for name, z in MEMBERS.items()}
        alone = distribution(SET, members, MATRIX.take(np.array([row])))
        cut = together.row(row)
        for name in ("surfaces", "probability_up", "regime", "weights"):
            assert_array_equal(getattr(cut, name), getattr(alone, name))
        assert (cut.members, cut.subset, cut.levels) == (alone.members, alone.subset, alone.levels)


def test_each_alone_is_what_asking_for_one_gives():
    surfaces = each_alone(SET, without("lstm"), MATRIX)
    assert list(surfaces) == ["xgboost", "transformer"]
    for name, own in surfaces.items():
        assert_allclose(own, distribution(SET, {name: MEMBERS[name]}, MATRIX).surfaces, rtol=1e-12, atol=1e-15)
