"""Rolling functions against slow, obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features.windows import decayed_sum, ewma, lag, rolling_max, rolling_mean, rolling_min, rolling_sum

WINDOWS = [1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 20, 31, 32, 33, 60, 63, 64, 65, 100, 120, 127]
VALUES = np.random.default_rng(5).standard_normal((140, 3))


def naive(values, window, statistic):
    """statistic of each window by itself, NaN before the first full one."""
    result = np.full_like(values, np.nan)
    for t in range(window - 1, len(values)):
        for series in range(values.shape[1]):
            result[t, series] = statistic(values[t - window + 1 : t + 1, series])
    return result


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("ours", "twin"), [(rolling_sum, np.sum), (rolling_mean, np.mean)])
def test_sums_equal_their_twins(ours, twin, window):
    assert_allclose(ours(VALUES, window), naive(VALUES, window, twin), rtol=0, atol=1e-13)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("ours", "twin"), [(rolling_max, np.max), (rolling_min, np.min)])
def test_extremes_equal_their_twins(ours, twin, window):
    assert_array_equal(ours(VALUES, window), naive(VALUES, window, twin))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("decay", [0.5, 0.94, 0.98])
def test_the_newest_value_weighs_most_in_a_decayed_sum(window, decay):
    weights = decay ** np.arange(window)[::-1]  # oldest first
    twin = naive(VALUES, window, lambda part: (part * weights).sum())
    assert_allclose(decayed_sum(VALUES, window, decay), twin, rtol=0, atol=1e-13)


@pytest.mark.parametrize("window", WINDOWS)
def test_ewma_equals_its_twin(window):
    weights = 0.94 ** np.arange(window)[::-1]
    twin = naive(VALUES, window, lambda part: np.average(part, weights=weights))
    assert_allclose(ewma(VALUES, window, 0.94), twin, rtol=0, atol=1e-13)


@pytest.mark.parametrize("window", [1, 3, 250])
def test_ewma_of_a_constant_is_that_constant(window):
    assert_allclose(ewma(np.full(260, 0.7), window, 0.94)[window - 1 :], 0.7, rtol=1e-14)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_value_does_not_depend_on_where_the_array_starts(window):
    for function in (rolling_sum, rolling_max, rolling_min, lambda v, w: ewma(v, w, 0.94)):
        whole = function(VALUES, window)
        for start in (1, 2, 9):
            assert_array_equal(function(VALUES[start:], window)[window - 1 :], whole[start + window - 1 :])


@pytest.mark.parametrize("function", [rolling_sum, rolling_mean, rolling_max, rolling_min])
def test_a_window_longer_than_the_array_is_nan(function):
    assert np.isnan(function(VALUES[:7], 8)).all()


@pytest.mark.parametrize("function", [rolling_sum, rolling_mean, rolling_max, rolling_min])
def test_one_missing_value_silences_every_window_that_holds_it_and_no_other(function):
    values = VALUES[:, 0].copy()
    values[20] = np.nan
    holds = np.isnan(function(values, 7))
    assert_array_equal(np.flatnonzero(holds), [*range(6), *range(20, 27)])


@pytest.mark.parametrize("bars", [0, 1, 5, 139])
def test_lag_looks_back(bars):
    lagged = lag(VALUES, bars)
    assert np.isnan(lagged[:bars]).all()
    assert_array_equal(lagged[bars:], VALUES[: len(VALUES) - bars])


@pytest.mark.parametrize("bars", [140, 200])
def test_a_lag_longer_than_the_array_is_nan(bars):
    assert np.isnan(lag(VALUES, bars)).all()
