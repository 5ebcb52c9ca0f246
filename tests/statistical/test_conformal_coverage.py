"""Split conformal prediction covers as often as its theorem says, and repairs a biased forecaster."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import ttest_1samp

from ensemble.conformal import calibrated, fit_offsets
from ensemble.finite_sample import finite_sample_quantile

pytestmark = pytest.mark.statistical

SPLITS = 4000
# A right program fails one of these tests less than once in ten thousand runs; the seeds are fixed besides.
SMALLEST_P = 1e-5


def coverages(n, level, seed):
    """Of each split, the probability that a further uniform score lies below the quantile of n scores."""
    rng = np.random.default_rng(seed)
    return np.array([finite_sample_quantile(rng.random(n), level) for _ in range(SPLITS)])


@pytest.mark.parametrize(("n", "level"), [(20, 0.9), (39, 0.5), (99, 0.95), (150, 0.05), (57, 0.8)])
def test_mean_coverage_lies_between_the_level_and_one_rank_above(n, level):
    found = coverages(n, level, seed=n)
    too_low = ttest_1samp(found, level, alternative="less").pvalue
    too_high = ttest_1samp(found, level + 1 / (n + 1), alternative="greater").pvalue
    assert min(too_low, too_high) > SMALLEST_P


@pytest.mark.parametrize("n", [20, 99])
def test_the_plain_sample_quantile_would_be_caught(n):
    rng = np.random.default_rng(n)
    plain = np.array([np.quantile(rng.random(n), 0.9) for _ in range(SPLITS)])
    assert ttest_1samp(plain, 0.9, alternative="less").pvalue < SMALLEST_P


def test_offsets_repair_a_forecaster_that_is_biased_and_too_sure():
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    rng = np.random.default_rng(3)
    n, later, splits = 200, 200, 300
    below = np.empty((splits, len(levels)))
    for split in range(splits):
        centre, outcomes = 0.5 * rng.standard_normal((2, n + later))
        quantiles = centre[:, None] + 0.3 + 0.4 * ndtri(np.array(levels))
        outcomes = centre + 2 * outcomes
        offsets = fit_offsets(outcomes[:n], quantiles[:n], levels)
        corrected = calibrated(quantiles[n:, None], offsets[None])[:, 0]
        below[split] = (outcomes[n:, None] <= corrected).mean(axis=0)
    for i, level in enumerate(levels):
        assert ttest_1samp(below[:, i], level, alternative="less").pvalue > SMALLEST_P
        assert ttest_1samp(below[:, i], level + 1 / (n + 1), alternative="greater").pvalue > SMALLEST_P
