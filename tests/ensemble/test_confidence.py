"""The four fractions that explain a forecast, at their limits and between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from ensemble.confidence import data_quality, historical_skill, model_agreement, regime_typicality

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NORMAL = ndtri(np.array(LEVELS))
IQR = 2 * ndtri(0.75)


def test_members_that_agree_agree_fully():
    assert model_agreement(np.array([NORMAL, NORMAL]), NORMAL, LEVELS) == 1.0


def test_members_an_interquartile_range_away_do_not_agree_at_all():
    assert model_agreement(np.array([NORMAL + IQR, NORMAL - IQR]), NORMAL, LEVELS) == pytest.approx(0.0, abs=1e-12)
    assert model_agreement(np.array([NORMAL + 9 * IQR, NORMAL - 9 * IQR]), NORMAL, LEVELS) == 0.0


def test_half_the_range_away_is_half_an_agreement_in_any_unit():
    members = [NORMAL + IQR / 2, NORMAL - IQR / 2]
    assert model_agreement(np.array(members), NORMAL, LEVELS) == pytest.approx(0.5)
    assert model_agreement(np.array(members) * 0.01, NORMAL * 0.01, LEVELS) == pytest.approx(0.5)


def test_a_single_member_has_nobody_to_agree_with():
    assert model_agreement(np.array([NORMAL]), NORMAL, LEVELS) is None


def test_a_distribution_without_width_gives_a_number():
    assert model_agreement(np.array([NORMAL, NORMAL]), np.zeros(5), LEVELS) == 0.0


@pytest.mark.parametrize(("skill", "p_value"), [(None, 0.1), (0.1, None), (None, None)])
def test_no_evidence_is_no_skill(skill, p_value):
    assert historical_skill(skill, p_value) is None


@pytest.mark.parametrize("statistic", [0.0, 0.5, 1.96, 4.0])
def test_skill_is_the_one_sided_probability_of_the_two_sided_test(statistic):
    p_value = 2 * ndtr(-statistic)
    assert historical_skill(0.01, p_value) == pytest.approx(ndtr(statistic), abs=1e-12)
    assert historical_skill(-0.01, p_value) == pytest.approx(ndtr(-statistic), abs=1e-12)


def test_a_p_value_of_nothing_stays_within_bounds():
    assert historical_skill(0.1, 0.0) == pytest.approx(1.0)
    assert historical_skill(-0.1, 0.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("bars", "sessions", "share"), [(315, 315, 1.0), (300, 400, 0.75), (320, 315, 1.0), (5, 0, 0.0)]
)
def test_data_quality_is_the_share_of_sessions_with_a_bar(bars, sessions, share):
    assert data_quality(bars, sessions) == share


REFERENCE = np.linspace(-1.0, 1.0, 101) ** 3  # not evenly spread


@pytest.mark.parametrize(
    ("regime", "typical"),
    [
        (REFERENCE[50], 1.0),
        (REFERENCE[25], 0.5),
        (REFERENCE[75], 0.5),
        (-1.0, 0.0),
        (1.0, 0.0),
        (-7.0, 0.0),
        (7.0, 0.0),
    ],
)
def test_a_regime_is_typical_in_the_middle_and_not_beyond_the_ends(regime, typical):
    assert regime_typicality(regime, REFERENCE) == pytest.approx(typical, abs=1e-12)


@given(regime=st.floats(-3, 3))
def test_typicality_is_a_two_sided_tail_probability(regime):
    sample = np.random.default_rng(0).standard_normal(20_000)
    reference = np.quantile(sample, np.linspace(0, 1, 101))
    twin = 2 * min((sample <= regime).mean(), (sample > regime).mean())
    assert regime_typicality(regime, reference) == pytest.approx(twin, abs=0.011)
