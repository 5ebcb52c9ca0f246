"""What must hold of inputs and outcomes if nobody looks ahead. Each guard is shown to fail on a leak in
test_look_ahead.py; the tests that use them say nothing more than which series they try."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from backtest.splits import log_returns_ahead
from contracts import Bars, FeatureMatrix
from features.build import history_inputs
from tests.features.series import first_bars, with_future


def assert_same_rows(ours: FeatureMatrix, twin: FeatureMatrix) -> None:
    """Bit for bit, and no NaN."""
    for name in FeatureMatrix.__dataclass_fields__:
        left, right = getattr(ours, name), getattr(twin, name)
        assert (left is None) == (right is None)
        if left is not None:
            assert left.dtype == right.dtype
            assert not np.isnan(left).any()
            assert_array_equal(left, right, err_msg=name)


def assert_future_is_unseen(bars: Bars, cut: int, future: Bars) -> None:
    """Inputs at bars before ``cut`` are the same to the last bit if ``future`` replaces all bars from there on, and if
    nothing follows."""
    known = history_inputs(first_bars(bars, cut))[0]
    other = history_inputs(with_future(bars, cut, future))[0]
    actual = history_inputs(bars)[0]
    first = np.arange(len(known))
    assert_same_rows(actual.take(first), known)
    assert_same_rows(other.take(first), known)


def assert_outcome_starts_at_origin(bars: Bars, origin: int, horizon: int, ahead=log_returns_ahead) -> None:
    """An outcome depends on the close at its origin and at its end, and on nothing before."""
    rows, horizons = np.array([origin]), np.array([horizon])
    expected = np.log(bars.close[origin + horizon] / bars.close[origin])
    past_changed = bars.close.copy()
    past_changed[:origin] *= np.linspace(0.5, 2.0, origin)
    for closes in (bars.close, past_changed):
        np.testing.assert_allclose(ahead(closes, rows, horizons)[0, 0], expected, rtol=0, atol=1e-12)
