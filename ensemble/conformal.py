"""Split conformal calibration of quantiles, one offset for each horizon and level.

The score of an outcome y under the quantile q is y - q; its finite-sample quantile at the quantile's own level,
added to q, covers that level on exchangeable data (one-sided form of Romano, Patterson and Candes, 2019,
"Conformalized quantile regression"). Market data are not exchangeable, so what holds on later data is measured
(see backtest/) and served as evidence instead of being assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts import Floats
from ensemble.combine import in_order
from ensemble.finite_sample import finite_sample_quantile


def fit_offsets(outcomes: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """(n_rows,) outcomes and (n_rows, n_levels) quantiles, both in z -> (n_levels,) offsets to add.

    Rows whose outcome is NaN (not known yet) are left out.
    """
    known = ~np.isnan(outcomes)
    scores = outcomes[known, None] - quantiles[known]
    return np.array([finite_sample_quantile(scores[:, i], level) for i, level in enumerate(levels)])


def calibrated(quantiles: Floats, offsets: Floats) -> Floats:
    """Add (n_horizons, n_levels) offsets to (n_rows, n_horizons, n_levels) quantiles and keep them in order."""
    return in_order(quantiles + offsets)
