"""Which members answer by default, and what the leaderboard says of each: on members whose worth is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtri

from backtest.score import SCORED_LEVELS
from backtest.splits import Window
from contracts import AssetClass, Bars, Calibration, FeatureMatrix, Floats, Grid, MemberSpec, ModelSet, Times
from training import selection
from training.history import History
from training.leaderboard import leaderboard, leaderboard_table, leaderboards, leaderboards_markdown
from training.plan import Plan, Windows
from training.selection import absence, row_loss, useful_members

GRID = Grid((1, 5), (0.01, *SCORED_LEVELS, 0.99))
N_DAYS, N_SYMBOLS = 600, 4
SCORES = ndtri(np.array(GRID.levels))


def days() -> Times:
    return np.tile(np.datetime64("2015-01-01") + np.arange(N_DAYS), N_SYMBOLS)


def world(seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Two sources of volatility, each (n_rows,), and (n_rows, n_horizons) outcomes that need both."""
    rng = np.random.default_rng(seed)
    one, two = rng.choice([0.6, 1.5], (2, N_DAYS * N_SYMBOLS))
    outcomes = rng.standard_normal((N_DAYS * N_SYMBOLS, 2)) * (one * two)[:, None]
    return one, two, outcomes


def gaussian(scale: Floats) -> Floats:
    return np.repeat((scale[:, None] * SCORES)[:, None], 2, axis=1)


def test_loss_is_the_pinball_loss_horizons_weighted_and_unknown_outcomes_left_out():
    outcomes = np.array([[0.5, np.nan], [-1.0, 2.0]])
    quantiles = gaussian(np.array([1.0, 1.2]))
    naive = np.zeros(2)
    for row in range(2):
        for column in range(2):
            if np.isnan(outcomes[row, column]):
                continue
            misses = outcomes[row, column] - quantiles[row, column]
            naive[row] += np.mean([max(t * m, (t - 1) * m) for t, m in zip(GRID.levels, misses, strict=True)]) / 2
    assert_allclose(row_loss(quantiles, outcomes, range(len(GRID.levels)), GRID), naive)


def test_absence_is_the_loss_without_less_the_loss_with():
    one, two, outcomes = world()
    answers = {"a": gaussian(one), "b": gaussian(two), "c": gaussian(one * two)}
    levels = [GRID.levels.index(level) for level in SCORED_LEVELS]
    cut = {name: z[..., levels] for name, z in answers.items()}
    with_all = row_loss((cut["a"] + cut["b"] + cut["c"]) / 3, outcomes, levels, GRID)
    without_c = row_loss((cut["a"] + cut["b"]) / 2, outcomes, levels, GRID)
    assert_allclose(absence(list(answers), answers, outcomes, GRID)["c"], without_c - with_all, atol=1e-12)


def test_members_that_complete_each_other_stay_and_a_bad_one_goes():
    one, two, outcomes = world()
    noise = np.random.default_rng(9).choice([0.3, 3.0], len(one))
    answers = {"one": gaussian(one), "bad": gaussian(noise), "two": gaussian(two)}
    assert useful_members(answers, outcomes, days(), GRID) == ("one", "two")


def test_of_two_that_say_the_same_one_is_enough():
    one, two, outcomes = world()
    exact = gaussian(one * two)
    assert len(useful_members({"a": exact, "twin": exact.copy()}, outcomes, days(), GRID)) == 1


def test_no_more_stay_than_may():
    one, two, outcomes = world()
    rng = np.random.default_rng(4)
    answers = {f"m{i}": gaussian(one * two * np.exp(0.5 * rng.standard_normal(len(one)))) for i in range(6)}
    assert len(useful_members(answers, outcomes, days(), GRID, largest=6)) == 6
    assert len(useful_members(answers, outcomes, days(), GRID, largest=3)) == 3


def test_a_rise_within_the_noise_does_not_keep_a_member(monkeypatch: pytest.MonkeyPatch):
    noise = np.random.default_rng(6).standard_normal(N_DAYS * N_SYMBOLS)
    rises = {"sure": 1.0 + 0.1 * noise, "doubtful": noise - noise.mean() + 0.01, "needed": 0.2 + noise - noise.mean()}
    monkeypatch.setattr(selection, "absence", lambda kept, *_: {name: rises[name] for name in kept})
    assert useful_members(rises, np.zeros(0), days(), GRID) == ("sure", "needed")


def test_who_always_answers_is_not_dropped():
    one, two, outcomes = world()
    noise = np.random.default_rng(9).choice([0.3, 3.0], len(one))
    answers = {"one": gaussian(one), "bad": gaussian(noise), "two": gaussian(two)}
    assert useful_members(answers, outcomes, days(), GRID, always=("bad",)) == ("one", "bad", "two")
    assert useful_members(answers, outcomes, days(), GRID, largest=1, always=("bad",)) == ("bad",)


def test_what_many_symbols_say_on_one_day_counts_once():
    """A gain that comes from one day on which all symbols moved as one is noise, however many rows it fills."""
    outcomes = np.tile(np.random.default_rng(2).standard_normal((1, N_DAYS, 2)), (N_SYMBOLS, 1, 1))
    outcomes[:, 17] = 12.0
    lucky = np.ones((N_SYMBOLS, N_DAYS))
    lucky[:, 17] = 8.0
    answers = {"plain": gaussian(np.ones(N_SYMBOLS * N_DAYS)), "lucky": gaussian(lucky.ravel())}
    assert len(useful_members(answers, outcomes.reshape(-1, 2), days(), GRID)) == 1


@pytest.fixture(scope="module")
def measured() -> tuple[list[tuple[History, dict[str, Floats]]], ModelSet, Plan]:
    return board_world()


def board_world() -> tuple[list[tuple[History, dict[str, Floats]]], ModelSet, Plan]:
    """Members that know all, know half and know nothing, on a made-up history."""
    grid = Grid((1, 5, 20), GRID.levels)
    one, two, _ = world()
    scale = (one * two)[:N_DAYS]
    z = np.random.default_rng(5).standard_normal((N_DAYS, 3)) * scale[:, None]
    origins = np.datetime64("2015-01-01") + np.arange(N_DAYS)
    history = made_history(z, origins)

    def member(s: Floats) -> Floats:
        return np.repeat((s[:, None] * SCORES)[:, None], 3, axis=1)

    answers = {"all": member(scale), "half": member(one[:N_DAYS]), "nothing": member(np.full(N_DAYS, 2.5))}
    specs = tuple(MemberSpec(name, "1", "f", "sha256:0", "linear", "tabular", 38) for name in answers)
    weights = np.array([[0.5] * 3, [0.5] * 3, [0.0] * 3])
    none = np.zeros(0)
    calibration = Calibration(weights, none, none, none, none, none, none)
    window = Window(date(2015, 1, 1), date(2018, 12, 31))
    plan = Plan(windows=Windows(calibration=window), grid=grid)
    return [(history, answers)], ModelSet("v", grid, specs, {"stocks": calibration}, {}, {}), plan


def made_history(z: Floats, origins: Times) -> History:
    n_rows = len(z)
    sigma = np.where(np.arange(n_rows) % 3, 0.01, 0.04)
    returns = np.full((n_rows, 20), np.nan)
    for column, horizon in enumerate((1, 5, 20)):
        returns[:, horizon - 1] = z[:, column] * sigma * np.sqrt(horizon)
    ends = origins[:, None] + np.arange(1, 21)
    blank = np.zeros((n_rows, 1), np.float32)
    matrix = FeatureMatrix(blank, blank[:, None], sigma, np.zeros(n_rows))
    bars = Bars("AAA", "1d", origins.astype("datetime64[s]"), np.ones(n_rows), "made up")
    return History(bars, AssetClass.EQUITY, matrix, np.arange(n_rows), origins, returns, ends)


def test_the_board_ranks_by_skill_and_says_what_each_adds(measured):
    answered, model_set, plan = measured
    rows = leaderboard(answered, model_set, "stocks", plan)["calibration"]
    assert [row["member"] for row in rows] == ["all", "half", "nothing"]
    best, half, nothing = rows
    assert best["skill_vs_ewma_1"] > 0.05
    assert best["adds_1"] > 0.01  # without it, the loss grows
    assert best["t_adds_1"] > 2
    assert nothing["weight"] == 0
    assert nothing["adds_1"] < 0  # if it joined, too
    assert half["adds_1"] < best["adds_1"]


def test_a_member_that_equals_ewma_has_no_skill_against_it(measured):
    answered, model_set, plan = measured
    history, answers = answered[0]
    same = np.tile(SCORES, (N_DAYS, 3, 1))
    rows = leaderboard([(history, {**answers, "nothing": same})], model_set, "stocks", plan)["calibration"]
    (row,) = (row for row in rows if row["member"] == "nothing")
    assert row["skill_vs_ewma_5"] == pytest.approx(0.0, abs=1e-12)


def test_numbers_are_those_of_the_definition(measured):
    answered, model_set, plan = measured
    history, answers = answered[0]
    at = history.inside(plan.windows.calibration, [5])[:, 0]
    outcomes, levels = history.z(plan.grid)[at, 1], [GRID.levels.index(level) for level in SCORED_LEVELS]

    def loss(z: Floats) -> float:
        total = 0.0
        for level, column in zip(SCORED_LEVELS, levels, strict=True):
            miss = outcomes - z[at, 1, column]
            total += (history.matrix.sigma[at] * np.where(miss > 0, level * miss, (level - 1) * miss)).sum()
        return total

    rows = {row["member"]: row for row in leaderboard(answered, model_set, "stocks", plan)["calibration"]}
    ensemble = (answers["all"] + answers["half"]) / 2
    assert rows["all"]["adds_5"] == pytest.approx(loss(answers["half"]) / loss(ensemble) - 1)
    joined = (2 * ensemble + answers["nothing"]) / 3
    assert rows["nothing"]["adds_5"] == pytest.approx(1 - loss(joined) / loss(ensemble))
    ewma = np.tile(SCORES, (N_DAYS, 3, 1))
    assert rows["half"]["skill_vs_ewma_5"] == pytest.approx(1 - loss(answers["half"]) / loss(ewma))


def test_boards_are_by_kind_and_become_tables(measured):
    answered, model_set, plan = measured
    boards = leaderboards(answered, model_set, plan)
    assert list(boards) == ["stocks"]
    text = leaderboards_markdown(boards)
    assert text.startswith("### stocks, calibration window")
    table = leaderboard_table(boards["stocks"]["calibration"]).splitlines()
    assert len(table) == 5
    assert {line.count("|") for line in table} == {9}


def test_a_window_without_outcomes_has_no_rows(measured):
    answered, model_set, plan = measured
    assert "evidence" not in leaderboard(answered, model_set, "stocks", plan)
