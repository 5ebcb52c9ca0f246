"""The statistical members: their formulas against slow twins, their parameters against simulated truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student

from backtest.splits import Window
from contracts import Bars, Floats, Grid, MemberSpec
from errors import ArtefactError
from features.returns import YEAR
from features.spec import FEATURE_NAMES, ROW_WIDTHS, WINDOW_CHANNELS, WINDOW_STEPS
from runners.garch import Dynamics, next_variance, scales, sum_variance
from runners.members import GarchMember, load_member
from training.fit_garch import _long_run, empirical_table, fit_dynamics, fit_garch, path_variance, student_table
from training.history import History, history_of
from training.plan import Plan, Windows

DYNAMICS = Dynamics(0.08, 0.90)
GRID = Grid((1, 5, 20), (0.05, 0.25, 0.5, 0.75, 0.95))
WIDTH = ROW_WIDTHS["flat"]


def flat_rows(n_rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.5 * rng.standard_normal((n_rows, WIDTH))).astype(np.float32)


def slow_next_variance(row: np.ndarray, dynamics: Dynamics) -> tuple[float, float]:
    long_run = float(np.exp(2 * np.float64(row[FEATURE_NAMES.index("volatility_ratio_250")])))
    window = row[len(FEATURE_NAMES) :].reshape(WINDOW_STEPS, len(WINDOW_CHANNELS)).astype(np.float64)
    variance = float(np.exp(2 * window[0, 2]))
    for step in range(1, WINDOW_STEPS):
        rest = 1 - dynamics.a - dynamics.b
        variance = rest * long_run + dynamics.a * window[step, 0] ** 2 + dynamics.b * variance
    return variance, long_run


def simulated(dynamics: Dynamics, n_bars: int, seed: int, freedom: float = 6.0, vol: float = 0.01) -> Floats:
    """Returns of a GARCH(1,1) with a constant long-run variance and Student t innovations."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(freedom, n_bars) * np.sqrt((freedom - 2) / freedom)
    returns, variance = np.empty(n_bars), vol**2
    for bar in range(n_bars):
        returns[bar] = np.sqrt(variance) * shocks[bar]
        variance = (1 - dynamics.persistence) * vol**2 + dynamics.a * returns[bar] ** 2 + dynamics.b * variance
    return returns


def history(seed: int = 3, n_bars: int = 900, after: float = 1.0) -> History:
    """A simulated symbol from 2000 on; its returns from 2002-06-01 on are multiplied by ``after``."""
    days = np.busday_offset(np.datetime64("2000-01-03"), np.arange(n_bars + 1))
    returns = simulated(DYNAMICS, n_bars, seed)
    returns = np.where(days[1:] >= np.datetime64("2002-06-01"), after * returns, returns)
    closes = 100 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    return history_of(Bars("TEST", "1d", days.astype("datetime64[s]"), closes, "simulated"), GRID.horizons[-1])


PLAN = Plan(windows=replace(Windows(), training=Window(date(2000, 1, 1), date(2002, 5, 31))), grid=GRID)


def test_the_next_variance_is_that_of_the_recursion():
    rows = flat_rows(6)
    following, long_run = next_variance(rows, DYNAMICS)
    naive = [slow_next_variance(row, DYNAMICS) for row in rows]
    assert_allclose(following, [pair[0] for pair in naive], rtol=1e-12)
    assert_allclose(long_run, [pair[1] for pair in naive], rtol=1e-12)


def test_the_variance_of_a_sum_is_the_sum_of_expected_variances():
    following, long_run = np.array([0.4, 2.5]), np.array([1.0, 1.3])
    expected, total = following.copy(), np.zeros(2)
    for step in range(1, 21):
        total = total + expected
        if step in GRID.horizons:
            column = GRID.horizons.index(step)
            assert_allclose(sum_variance(following, long_run, DYNAMICS, GRID.horizons)[:, column], total, rtol=1e-12)
        expected = long_run + DYNAMICS.persistence * (expected - long_run)


def test_what_is_served_is_what_was_fitted():
    """A row gives the variance that the recursion over the whole past gives, but for what 63 bars forget and for the
    long run, which a row knows as of its own bar alone."""
    one = history()
    returns = np.diff(np.log(one.bars.close))
    long_run = np.full(len(returns) + 1, np.nan)
    squares = np.cumsum(np.concatenate([[0.0], returns**2]))
    long_run[YEAR:] = (squares[YEAR:] - squares[:-YEAR]) / YEAR
    path = path_variance(np.append(returns[YEAR:], 0.0), long_run[YEAR:], DYNAMICS)
    served, _ = next_variance(one.matrix.rows_for("flat"), DYNAMICS)
    off = np.abs(served * one.matrix.sigma**2 / path[one.rows - YEAR] - 1)
    assert off.mean() < 0.007
    assert off.max() < 0.04


def test_the_long_run_before_a_bar_knows_the_250_bars_before_it():
    returns = simulated(DYNAMICS, 300, 1)
    naive = [np.mean(returns[bar - YEAR : bar] ** 2) for bar in range(YEAR, 300)]
    assert_allclose(_long_run(returns), naive, rtol=1e-12)


def test_parameters_of_simulated_returns_are_recovered():
    series = [simulated(DYNAMICS, 4000, seed) for seed in range(8)]
    dynamics, freedom = fit_dynamics(series)
    assert dynamics.a == pytest.approx(0.08, abs=0.012)
    assert dynamics.b == pytest.approx(0.90, abs=0.025)
    assert freedom == pytest.approx(6.0, abs=0.7)


def test_a_symbol_of_another_volatility_gives_the_same_parameters():
    series = [simulated(DYNAMICS, 1500, seed) for seed in range(3)]
    calm, _ = fit_dynamics(series)
    wild, _ = fit_dynamics([7 * returns for returns in series])
    assert (wild.a, wild.b) == pytest.approx((calm.a, calm.b), abs=2e-3)


def test_tables_hold_the_quantiles_of_what_is_standardised():
    values = 0.1 + 1.2 * np.random.default_rng(1).standard_t(5, 60_000)
    exact = 0.1 + 1.2 * student.ppf(GRID.levels, 5)
    assert_allclose(student_table([values], GRID)[0], exact, atol=0.05)
    assert_allclose(empirical_table([values], GRID)[0], exact, atol=0.03)


@pytest.mark.parametrize("name", ["garch", "fhs"])
def test_nothing_after_the_training_window_is_learned(name: str, tmp_path: Path):
    fit_garch(name, [history()], PLAN, tmp_path / "a.npz")
    fit_garch(name, [history(after=5.0)], PLAN, tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as calm, np.load(tmp_path / "b.npz") as wild:
        assert_array_equal(calm["dynamics"], wild["dynamics"])
        assert_array_equal(calm["table"], wild["table"])


@pytest.mark.parametrize("name", ["garch", "fhs"])
def test_a_row_answers_the_same_alone_and_among_others(name: str, tmp_path: Path):
    member = fitted(name, tmp_path)
    rows = flat_rows(70)
    together = member.predict(rows)
    assert together.shape == (70, *GRID.shape)
    assert_array_equal(together, np.concatenate([member.predict(rows[i : i + 1]) for i in range(70)]))


def test_quantiles_are_the_table_times_the_volatility(tmp_path: Path):
    member, rows = fitted("fhs", tmp_path), flat_rows(4)
    with np.load(tmp_path / "fhs.npz") as stored:
        dynamics, table = Dynamics(*map(float, stored["dynamics"])), stored["table"]
    assert_allclose(member.predict(rows), scales(rows, dynamics, GRID.horizons)[..., None] * table, rtol=1e-6)


def test_a_table_of_another_grid_is_refused(tmp_path: Path):
    fit_garch("garch", [history()], PLAN, tmp_path / "garch.npz")
    with pytest.raises(ArtefactError, match="does not fit its manifest"):
        load_member(spec("garch"), Grid((1, 5), GRID.levels), tmp_path / "garch.npz")


def spec(name: str) -> MemberSpec:
    return MemberSpec(name, "1", f"{name}.npz", "sha256:0", "garch", "flat", WIDTH)


def fitted(name: str, folder: Path) -> GarchMember:
    fit_garch(name, [history()], PLAN, folder / f"{name}.npz")
    member = load_member(spec(name), GRID, folder / f"{name}.npz")
    assert isinstance(member, GarchMember)
    return member
