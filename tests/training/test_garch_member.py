"""The statistical members: the volatility ahead times a table, and nothing learned after the training window."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student

from backtest.splits import Window
from contracts import Bars, Grid, MemberInput, MemberSpec
from errors import ArtefactError
from features.filtered import KNOTS
from features.spec import ROW_WIDTHS
from runners.members import Member, load_member
from tests.features.series import returns_like_prices, with_candles
from training.fit_garch import empirical_table, fit_garch, student_table
from training.history import History, history_of, units
from training.plan import Plan, Windows

GRID = Grid((1, 3, 5, 20), (0.05, 0.25, 0.5, 0.75, 0.95))
PLAN = Plan(windows=replace(Windows(), training=Window(date(2000, 1, 1), date(2002, 5, 31))), grid=GRID)
TAKES: dict[str, MemberInput] = {"garch": "tabular", "fhs": "tabular", "fhs_range": "ranges"}
EACH = pytest.mark.parametrize("name", TAKES)


def history(after: float = 1.0) -> History:
    """A symbol from 2000 on; its returns from 2002-06-01 on are multiplied by ``after``."""
    days = np.busday_offset(np.datetime64("2000-01-03"), np.arange(900))
    returns = returns_like_prices(900, 3)
    returns = np.where(days >= np.datetime64("2002-06-01"), after * returns, returns)
    bars = Bars("TEST", "1d", days.astype("datetime64[s]"), 100 * np.exp(np.cumsum(returns)), "simulated")
    return history_of(with_candles(bars), GRID.horizons[-1])


def spec(name: str) -> MemberSpec:
    return MemberSpec(name, "1", f"{name}.npz", "sha256:0", "garch", TAKES[name], ROW_WIDTHS[TAKES[name]])


def fitted(name: str, folder: Path, after: float = 1.0) -> Member:
    fit_garch(name, TAKES[name], [history(after)], PLAN, folder / f"{name}.npz")
    return load_member(spec(name), GRID, folder / f"{name}.npz")


def test_tables_hold_the_quantiles_of_what_is_standardised():
    values = 0.1 + 1.2 * np.random.default_rng(1).standard_t(5, 60_000)
    exact = 0.1 + 1.2 * student.ppf(GRID.levels, 5)
    assert_allclose(student_table([values], GRID)[0], exact, atol=0.05)
    assert_allclose(empirical_table([values], GRID)[0], exact, atol=0.03)


@EACH
def test_nothing_after_the_training_window_is_learned(name: str, tmp_path: Path):
    stored = []
    for after in (1.0, 5.0):
        fitted(name, tmp_path, after)
        with np.load(tmp_path / f"{name}.npz") as arrays:
            stored.append(dict(arrays))
    for key, values in stored[0].items():
        assert_array_equal(values, stored[1][key])


@EACH
def test_a_row_answers_the_same_alone_and_among_others(name: str, tmp_path: Path):
    member, rows = fitted(name, tmp_path), history().matrix.rows_for(TAKES[name])[:70]
    together = member.predict(rows)
    assert together.shape == (70, *GRID.shape)
    assert_array_equal(together, np.concatenate([member.predict(rows[i : i + 1]) for i in range(70)]))


@EACH
def test_quantiles_are_a_table_times_the_volatility_ahead(name: str, tmp_path: Path):
    member, past = fitted(name, tmp_path), history()
    ahead = units(past, TAKES[name], GRID)
    table = member.predict(past.matrix.rows_for(TAKES[name])) / ahead[..., None]
    assert_allclose(table, np.broadcast_to(table[0], table.shape), rtol=1e-5, atol=1e-6)


@EACH
def test_the_volatility_between_two_knots_lies_between_theirs(name: str):
    ahead, columns = (
        np.log(units(history(), TAKES[name], GRID)),
        history().matrix.rows_for(TAKES[name])[:, -len(KNOTS) :],
    )
    assert_allclose(ahead[:, [0, 2, 3]], columns[:, :3], rtol=1e-5, atol=1e-6)
    share = np.log(3) / np.log(5)
    assert_allclose(ahead[:, 1], (1 - share) * columns[:, 0] + share * columns[:, 1], rtol=1e-5, atol=1e-6)


def test_a_table_covers_what_it_was_made_of(tmp_path: Path):
    member, past = fitted("fhs", tmp_path), history()
    inside = past.inside(PLAN.windows.training, GRID.horizons)
    below = past.z(GRID)[..., None] <= member.predict(past.matrix.tabular)
    for column in range(len(GRID.horizons)):
        assert below[inside[:, column], column].mean(axis=0) == pytest.approx(GRID.levels, abs=0.01)


def test_a_table_of_another_grid_is_refused(tmp_path: Path):
    fitted("garch", tmp_path)
    with pytest.raises(ArtefactError, match="does not fit its manifest"):
        load_member(spec("garch"), Grid((1, 5), GRID.levels), tmp_path / "garch.npz")
