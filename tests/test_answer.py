"""One distribution as the answer that a caller reads: what is claimed follows from what was measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answer import Common, answers
from contracts import AssetClass, BarIssue, ForecastRequest, Instrument, kind_of
from ensemble.distribution import MemberFailure, distribution, each_alone
from ensemble.surface import at_level
from features.build import latest_inputs
from features.spec import BARS_NEEDED
from figures import Subject, tail_level
from tests.ensemble.model_sets import GRID, NAMES, STOCKS, gaussian, made_up_set, uncalibrated_set
from tests.features.series import made_bars, wandering_bars
from tests.in_memory import Weekdays

NOW = datetime(2002, 4, 1, tzinfo=UTC)
BARS = wandering_bars(BARS_NEEDED + 10)
AAPL = Instrument("AAPL", AssetClass.EQUITY, "weekdays", "USD")


def subject(model_set, mean=0.0, failed=(), instrument=AAPL, bars=BARS):
    matrix, kind = latest_inputs([bars]), kind_of(instrument.asset_class, bars.has_ranges)
    members = {
        name: MemberFailure("broken") if name in failed else gaussian(mean + 0.01 * i, 1 + 0.1 * i)
        for i, name in enumerate(NAMES)
    }
    spread = distribution(model_set, kind, members, matrix)
    own = each_alone(model_set, kind, members, matrix)
    return Subject(bars, instrument, kind, spread, own)


def answered(horizon=5, model_set=None, level=0.9, **parts):
    used = model_set or uncalibrated_set()
    request = ForecastRequest("AAPL", horizon, confidence_level=level)
    (got,) = answers([(request, subject(used, **parts))], Common(used, Weekdays(), NOW))
    return got


def measured(horizon=5, **changes):
    """A set whose evidence for shares says this at one horizon, for every subset of the members."""
    model_set = uncalibrated_set()
    table = model_set.evidence["equity"]
    arrays = {}
    for name, value in changes.items():
        arrays[name] = getattr(table, name).copy()
        arrays[name][..., horizon - 1] = value
    return replace(model_set, evidence={"equity": replace(table, **arrays)})


@pytest.mark.parametrize(
    ("skill", "p_value", "beats"),
    [(0.02, 0.049, True), (0.02, 0.05, False), (0.02, 0.9, False), (-0.02, 0.001, False), (0.0, 0.001, False)],
)
def test_beating_the_random_walk_takes_both_a_gain_and_its_significance(skill, p_value, beats):
    got = answered(model_set=measured(skill=skill, p_value=p_value))
    assert got.evidence.beats_random_walk is beats
    assert any(note.startswith("No measured skill") for note in got.notes) is not beats


@pytest.mark.parametrize(
    ("gain", "p_value", "edge"),
    [(0.01, 0.01, True), (0.01, 0.05, False), (0.01, 0.5, False), (-0.01, 0.001, False)],
)
@pytest.mark.parametrize("mean", [0.3, -0.3])
def test_a_direction_is_named_only_where_an_edge_was_measured(gain, p_value, edge, mean):
    got = answered(model_set=measured(direction_skill=gain, direction_p_value=p_value), mean=mean)
    assert got.evidence.direction_edge is edge
    assert got.direction == (("bullish" if mean > 0 else "bearish") if edge else "neutral")
    assert any(note.startswith("Direction is neutral") for note in got.notes) is not edge


def test_an_edge_at_another_horizon_does_not_count():
    model_set = measured(horizon=6, direction_skill=0.01, direction_p_value=0.001)
    quiet = measured(horizon=5, direction_skill=-0.01)
    table = replace(model_set.evidence["equity"], direction_skill=quiet.evidence["equity"].direction_skill)
    assert answered(model_set=replace(model_set, evidence={"equity": table})).direction == "neutral"


@given(level=st.integers(500, 990))
@settings(max_examples=40, deadline=None)
def test_the_interval_is_central_at_any_level(level):
    got = answered(level=level / 1000)
    spread = subject(uncalibrated_set()).spread
    tail = (1 - level / 1000) / 2
    for bound, at in ((got.lower, tail), (got.upper, 1 - tail)):
        twin = BARS.close[-1] * np.exp(at_level(spread.surfaces[0, 4], GRID.levels, at))
        assert bound == pytest.approx(twin, rel=1e-10)


@pytest.mark.parametrize(
    ("level", "tail"), [(0.9, 0.05), (0.95, 0.025), (0.99, 0.005), (0.8, 0.1), (0.5, 0.25), (0.7, 0.15)]
)
def test_tails_are_free_of_binary_dust(level, tail):
    assert tail_level(level) == tail


def test_measured_coverage_between_two_levels_is_interpolated():
    low, high, between = (answered(level=level).evidence.coverage for level in (0.80, 0.81, 0.805))
    assert between == pytest.approx((low + high) / 2)


def test_the_shown_weight_is_that_of_the_grid_horizon_nearest_below():
    model_set = made_up_set()
    for horizon, column in ((1, 0), (2, 1), (4, 1), (5, 2), (9, 2), (10, 3), (19, 3), (20, 4)):
        got = answered(horizon, model_set)
        weights = [member.weight for member in got.members]
        assert weights == pytest.approx(model_set.calibration[STOCKS].weights[:, column].tolist())


def test_a_members_target_is_its_own_median():
    got = answered(5, mean=0.2)
    sigma = latest_inputs([BARS]).sigma[0]
    for i, member in enumerate(got.members):
        z = 0.2 + 0.01 * i
        assert member.price_target == pytest.approx(BARS.close[-1] * np.exp(z * sigma * np.sqrt(5)), rel=1e-9)


def test_members_that_failed_are_named_in_the_note_and_in_order():
    got = answered(failed=("transformer", "xgboost"))
    assert got.degraded == ("xgboost", "transformer")
    assert [member.status for member in got.members] == ["failed", "ok", "failed"]
    assert got.notes[-1] == "Answered without xgboost, transformer; interval and evidence are those of the rest."


def test_missing_sessions_lower_the_quality_of_the_data():
    assert answered().confidence_breakdown.data_quality == pytest.approx(1.0, abs=0.005)
    days = np.busday_offset(np.datetime64("2001-01-01"), np.delete(np.arange(400), range(100, 160, 2))[: len(BARS)])
    gappy = made_bars(BARS.close, times=days)
    got = answered(bars=gappy)
    first, last = days[-BARS_NEEDED].item(), days[-1].item()
    expected = BARS_NEEDED / Weekdays().sessions_between("", first, last)
    assert got.confidence_breakdown.data_quality == pytest.approx(expected)
    assert expected < 0.95


def test_dropped_bars_are_reported_as_the_source_reported_them():
    issue = BarIssue("2001-03-01", "dropped: a misprint")
    bars = replace(BARS, issues=(issue,))
    data = answered(bars=bars).data
    assert data.dropped == (issue,)
    assert (data.provider, data.bars, data.fingerprint) == ("made up", len(BARS), BARS.fingerprint)


def test_data_are_stale_once_a_session_closed_after_the_last_bar():
    request, used = ForecastRequest("AAPL"), uncalibrated_set()
    last = BARS.times[-1].item()  # a Friday
    for days, stale in ((0, False), (2, False), (3, True)):
        now = datetime(last.year, last.month, last.day, 23, tzinfo=UTC) + timedelta(days=days)
        (got,) = answers([(request, subject(used))], Common(used, Weekdays(), now))
        assert got.data.stale is stale


def test_a_probability_of_one_half_is_the_least_confident():
    model_set = uncalibrated_set()
    undecided = replace(model_set.calibration[STOCKS], direction=np.zeros((20, 2)))
    model_set = replace(model_set, calibration={STOCKS: undecided})
    got = answered(model_set=model_set, mean=2.0)
    assert (got.probability_up, got.confidence) == (0.5, 0.5)


def test_without_evidence_nothing_is_claimed():
    got = answered(instrument=replace(AAPL, asset_class=AssetClass.CURRENCY))
    assert got.evidence.scope == "nothing was measured for assets of the kind currency"
    assert got.notes[0] == "No evidence: nothing was measured for assets of the kind currency."
    assert not any(note.startswith("No measured skill") for note in got.notes)
