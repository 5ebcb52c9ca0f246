"""What is fitted on a window is the same whatever happens after it; and the service repeats a day of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from backtest.score import pinball_loss
from backtest.splits import Window
from contracts import Calibration, kind_of
from corrections import CorrectionMemory, corrections_of
from ensemble.combine import blend, usable_weights
from ensemble.conformal import fit_offsets
from ensemble.distribution import distribution
from features.build import latest_inputs
from runners.members import Member, load_member
from tests.features.series import first_bars, made_bars
from tests.training.conftest import PLAN, WINDOWS, changed_after, histories_of, universe
from training.evidence import base_rates, baseline_quantiles, forecasts_at, scored_history, weighted_for
from training.fit_network import _base, _rows, quantile_loss
from training.fit_xgboost import training_rows
from training.history import history_of, load_histories
from training.plan import HORIZON_WEIGHTS
from training.predictions import predictor
from training.run import _calibrated

LAST_DAY = WINDOWS.training.end
SHARES = universe()[:3]
RANGED = ("har_range", "fhs_range")


def assert_training_ends_with_its_window():
    ours, theirs = (histories_of(bars) for bars in (SHARES, [changed_after(each, LAST_DAY) for each in SHARES]))
    for left, right in zip(training_rows(ours, PLAN), training_rows(theirs, PLAN), strict=True):
        assert len(left) > 1000
        assert_array_equal(left, right)
    for before in (True, False):
        known, changed = (_rows(histories, PLAN, 5, before=before) for histories in (ours, theirs))
        assert len(known.inputs) > 20
        torch.testing.assert_close(known.inputs, changed.inputs, rtol=0, atol=0)
        torch.testing.assert_close(known.outcomes, changed.outcomes, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(_base(ours, PLAN), _base(theirs, PLAN), rtol=0, atol=0)


def test_members_are_fitted_on_nothing_later_than_their_window():
    assert_training_ends_with_its_window()


def test_a_window_without_purge_is_caught(monkeypatch):
    def only_origins(window, origins, ends):
        inside = (origins >= np.datetime64(window.start)) & (origins <= np.datetime64(window.end))
        return inside[:, None] & ~np.isnat(ends)

    monkeypatch.setattr(Window, "holds", only_origins)
    with pytest.raises(AssertionError):
        assert_training_ends_with_its_window()


def test_targets_in_units_of_a_later_volatility_are_caught(monkeypatch):
    def later_sigma(history, grid):
        sigma = history.matrix.sigma
        later = np.concatenate([sigma[20:], np.repeat(sigma[-1:], 20)])
        horizons = np.asarray(grid.horizons)
        return history.returns[:, horizons - 1] / (later[:, None] * np.sqrt(horizons))

    monkeypatch.setattr("training.history.History.z", later_sigma)
    with pytest.raises(AssertionError):
        assert_training_ends_with_its_window()


def test_early_stopping_looks_at_later_outcomes_than_fitting():
    histories = histories_of(SHARES[:1])
    stopping = np.datetime64(WINDOWS.stopping)
    cut = [changed_after(SHARES[0], WINDOWS.stopping)]
    left, right = (_rows(each, PLAN, 1, before=True) for each in (histories, histories_of(cut)))
    torch.testing.assert_close(left.outcomes, right.outcomes, rtol=0, atol=0, equal_nan=True)
    held_out = _rows(histories, PLAN, 1, before=False)
    later = (histories[0].origins >= stopping) & (histories[0].origins < np.datetime64(LAST_DAY))
    assert len(held_out.inputs) == later.sum()


def test_outcomes_are_in_units_of_the_volatility_at_their_origin():
    (history,) = histories_of(SHARES[:1])
    z = history.z(PLAN.grid)
    for i in (0, 100, 400):
        row, sigma = history.rows[i], history.matrix.sigma[i]
        for j, horizon in enumerate(PLAN.grid.horizons):
            twin = np.log(SHARES[0].close[row + horizon] / SHARES[0].close[row]) / (sigma * horizon**0.5)
            assert z[i, j] == pytest.approx(twin, rel=1e-9)


def calibrated(run, bars):
    histories = histories_of(bars)
    predict = predictor(run.model_set.members, PLAN.grid, run.folder)
    answers = [predict(history.matrix) for history in histories]
    pairs = list(zip(histories, answers, strict=True))
    return _calibrated(pairs, run.model_set.members, PLAN), histories, answers


def assert_same_calibration(left, right):
    for kind in left.calibration:
        for name in Calibration.__dataclass_fields__:
            assert_array_equal(getattr(left.calibration[kind], name), getattr(right.calibration[kind], name))


def test_calibration_uses_nothing_later_than_its_window(run):
    again, *_ = calibrated(run, universe())
    assert_same_calibration(again, run.model_set)
    other, *_ = calibrated(run, [changed_after(each, WINDOWS.calibration.end) for each in universe()])
    assert_same_calibration(again, other)


def test_calibration_reads_its_window(run):
    again, *_ = calibrated(run, universe())
    other, *_ = calibrated(run, [changed_after(each, WINDOWS.training.end) for each in universe()])
    for kind in again.calibration:
        ours, theirs = again.calibration[kind], other.calibration[kind]
        both = set(ours.masks) & set(theirs.masks)
        fed = [member.name for member in again.members if member.fits("with ranges" in kind)]
        assert both >= {again.mask([name]) for name in fed}
        for mask in both:
            left, right = (each.offsets[each.masks.tolist().index(mask)] for each in (ours, theirs))
            if int(mask) & ~again.mask(RANGED):  # no share has ranges: alone they are served as they are
                assert (left != right).mean() > 0.9
        assert (ours.regime != theirs.regime).mean() > 0.9
        assert (ours.direction != theirs.direction).any() == bool(ours.drift)
    for kind in ("stocks", "stocks with ranges"):
        assert (again.calibration[kind].weights != other.calibration[kind].weights).any()


def test_kinds_share_what_only_one_of_them_was_measured_on(run):
    """Shares give offsets and sign to all, indexes with ranges give weights; others keep the spread, not the drift."""
    stocks, ranges, others, others_ranges = (
        run.model_set.calibration[kind] for kind in ("stocks", "stocks with ranges", "others", "others with ranges")
    )
    using = run.model_set.mask(RANGED)
    for name in RANGED:
        assert not stocks.weights[run.model_set.names.index(name)].any()
        assert ranges.weights[run.model_set.names.index(name)].all()
    for each in (stocks, ranges, others, others_ranges):
        assert_allclose(each.weights.sum(axis=0), 1.0, rtol=1e-12)
        assert set(each.masks) >= {run.model_set.mask([name]) for name in run.model_set.weighted("stocks")}
        assert len(set(each.masks)) == len(each.masks) == len(each.offsets)
    assert run.model_set.mask(run.model_set.weighted("stocks with ranges")) in ranges.masks
    for mask, offsets in zip(ranges.masks, ranges.offsets, strict=True):
        rest = int(mask) & ~using
        twin = stocks.offsets[stocks.masks.tolist().index(rest)] if rest else np.zeros(PLAN.grid.shape)
        assert_array_equal(offsets, twin)
    for with_drift, without in ((stocks, others), (ranges, others_ranges)):
        assert (with_drift.drift, without.drift) == (1.0, 0.0)
        assert_array_equal(without.direction, np.tile([0.0, 1.0], (len(without.direction), 1)))
        for name in ("weights", "masks", "offsets", "regime"):
            assert_array_equal(getattr(without, name), getattr(with_drift, name))


def test_each_subset_has_the_offsets_of_its_own_blend(run):
    model_set, histories, answers = calibrated(run, SHARES)
    fitted, weighted = model_set.calibration["stocks"], model_set.weighted("stocks")
    inside = [history.inside(WINDOWS.calibration, PLAN.grid.horizons)[:, 3] for history in histories]
    outcomes = np.concatenate([history.z(PLAN.grid)[at, 3] for history, at in zip(histories, inside, strict=True)])
    subsets = [("har",), weighted[:2], weighted[1:], weighted]
    assert min(len(names) for names in subsets[1:]) > 1
    for names in subsets:
        weights = usable_weights(fitted.weights, model_set.names, names, None)
        members = [np.concatenate([each[name][at] for each, at in zip(answers, inside, strict=True)]) for name in names]
        twin = fit_offsets(outcomes, blend(members, weights)[:, 3], PLAN.grid.levels)
        row = fitted.masks.tolist().index(model_set.mask(names))
        assert_allclose(fitted.offsets[row, 3], twin, rtol=0, atol=1e-12)


def test_base_rates_are_counted_before_the_window_opens():
    horizons = np.array([1, 20])
    histories = histories_of(SHARES)
    later = histories_of([changed_after(each, WINDOWS.calibration.end) for each in SHARES])
    rates = base_rates(histories, WINDOWS.evidence, horizons)
    assert_array_equal(base_rates(later, WINDOWS.evidence, horizons), rates)
    for i, horizon in enumerate(horizons):
        rose = [
            bars.close[t + horizon] > bars.close[t]
            for bars in SHARES
            for t in range(314, 1000 - horizon)
            if bars.times[t + horizon] < np.datetime64(WINDOWS.evidence.start)
        ]
        assert rates[i] == pytest.approx(np.mean(rose))


def test_baselines_of_a_history_see_no_future():
    rows, horizons, day = np.arange(100, 200), np.array([1, 20]), 199 + 314
    (history,) = histories_of(SHARES[:1])
    changed = history_of(changed_after(SHARES[0], SHARES[0].times[day].item()), 90)
    ours, theirs = (baseline_quantiles(each, rows, horizons) for each in (history, changed))
    for name in ("random_walk", "ewma"):
        assert_array_equal(ours[name], theirs[name])


@dataclass
class LoadedRunner:
    """A member of the set, answering here."""

    member: Member

    @property
    def spec(self):
        return self.member.spec

    async def predict(self, keys, rows):
        return self.member.predict(rows)


@pytest.mark.parametrize("symbol", ["AAA", "^GSPC"])
async def test_the_service_gives_a_day_of_the_evaluation_again_to_the_last_digit(run, symbol):
    """With the very models, closes alone and with ranges, corrected by recent outcomes, over a New Year."""
    (bars,) = [each for each in universe() if each.symbol == symbol]
    history, model_set = history_of(bars, PLAN.grid.horizons[-1]), run.model_set
    kind = kind_of(history.asset_class, bars.has_ranges)
    names = model_set.weighted(kind)
    evaluated_with = predictor(model_set.members, PLAN.grid, run.folder)(history.matrix)
    assert weighted_for(history, model_set) == names
    new_year = int(np.searchsorted(history.origins, np.datetime64("2004-01-01")))
    rows = np.array([0, 123, new_year - 1, new_year, len(history.rows) - 1])
    evaluated = forecasts_at(history, rows, evaluated_with, model_set, names)
    runners = {
        spec.name: LoadedRunner(load_member(spec, PLAN.grid, run.folder / spec.file)) for spec in model_set.members
    }
    for i, row in enumerate(rows):
        seen = first_bars(bars, history.rows[row] + 1)
        matrix = latest_inputs([seen])
        members = {name: runners[name].member.predict(matrix.rows_for(runners[name].spec.takes)) for name in names}
        (correction,) = await corrections_of([seen], kind, runners, model_set, CorrectionMemory())
        served = distribution(model_set, kind, members, matrix, None, correction)
        assert_array_equal(served.surfaces[0], evaluated.surfaces[i])
        assert_array_equal(served.probability_up[0], evaluated.probability_up[i])
        uncorrected = distribution(model_set, kind, members, matrix)
        moved = np.abs(uncorrected.surfaces - served.surfaces).max()
        assert moved > 1e-5 if row else moved < 1e-12


def test_only_outcomes_inside_the_window_are_scored(run):
    (history,) = histories_of(SHARES[:1])
    horizons = np.array([1, 90])
    predict = predictor(run.model_set.members, PLAN.grid, run.folder)
    answers, names = predict(history.matrix), weighted_for(history, run.model_set)
    found = scored_history(history, answers, names, run.model_set, WINDOWS.evidence, horizons)
    assert found is not None
    inside = history.inside(WINDOWS.evidence, horizons)
    assert (~np.isnan(found[0].outcomes)).sum(axis=0).tolist() == inside.sum(axis=0).tolist()
    assert found[0].origins.min() == np.datetime64("2004-01-01")


def test_the_loss_of_the_networks_is_the_pinball_loss_with_weighted_horizons():
    rng = np.random.default_rng(0)
    outcomes = rng.standard_normal((6, 9)).astype(np.float32)
    outcomes[2, 4:] = np.nan
    quantiles = np.sort(rng.standard_normal((6, 9, 13)).astype(np.float32), axis=-1)
    ours = quantile_loss(torch.from_numpy(quantiles), torch.from_numpy(outcomes), PLAN)
    loss = pinball_loss(outcomes.astype(float), quantiles.astype(float), PLAN.grid.levels)
    known = ~np.isnan(loss)
    weights = np.broadcast_to(HORIZON_WEIGHTS, loss.shape)
    assert float(ours) == pytest.approx((loss[known] * weights[known]).sum() / weights[known].sum(), rel=1e-5)


def test_series_that_are_too_short_are_named_and_left_out():
    series = {"LONG": SHARES[0], "SHORT": made_bars(SHARES[1].close[:315], "SHORT")}

    class Shelf:
        def symbols(self):
            return list(series)

        async def bars(self, symbol, timeframe):
            return series[symbol]

    histories, refused = load_histories(Shelf(), 90)  # type: ignore[arg-type]
    assert [history.bars.symbol for history in histories] == ["AAA"]
    assert refused == {"SHORT": "315 bars, at least 316 are needed"}
