"""Roots of many functions at once, against what is known of each."""

from __future__ import annotations

import numpy as np
import pytest

from risk.root import MOST_TURNS, root_below

POWERS = np.array([1.0, 2.0, 5.0, 0.2])
WANTED = np.array([0.5, 1e-2, 3.0, 1.2])


def powers(x, rows):
    return x ** POWERS[rows] - WANTED[rows] ** POWERS[rows]


@pytest.mark.parametrize("slope", [1.0, 1e9, 0.0])
def test_each_function_has_its_root_whatever_the_first_slope(slope):
    root = root_below(powers, np.full(4, 10.0), np.full(4, slope))
    np.testing.assert_allclose(root, WANTED, rtol=1e-9)


def test_a_function_that_is_flat_below_its_root_has_one():
    turns = []

    def kinked(x, rows):
        turns.append(len(rows))
        return np.maximum(x - 0.7, 0.0) ** 1.5 - 1e-6

    root = root_below(kinked, np.array([4.0]), np.array([1e-3]))
    np.testing.assert_allclose(root, 0.7 + 1e-6 ** (1 / 1.5), rtol=1e-10)
    assert len(turns) < MOST_TURNS / 2


def test_what_is_not_a_number_has_none_and_stops_no_other():
    def one_of_them(x, rows):
        return np.where(rows == 0, np.nan, x - 0.25)

    root = root_below(one_of_them, np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    assert np.isnan(root[0])
    assert root[1] == pytest.approx(0.25)
