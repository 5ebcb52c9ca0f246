"""The random forest: trees that do not correct each other, in the form that the runner serves."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from backtest.splits import Window
from contracts import Grid, MemberSpec
from features.spec import ROW_WIDTHS
from runners.members import Member, load_member
from tests.features.series import wandering_bars
from training import fit_forest as forest
from training.fit_xgboost import training_rows
from training.history import History, history_of
from training.plan import GRID, Plan, Windows

PLAN = Plan(windows=Windows(training=Window(date(2001, 1, 1), date(2006, 12, 31))), grid=GRID)


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [history_of(wandering_bars(1500, seed), 90) for seed in (1, 2)]


@pytest.fixture(scope="module")
def path(histories: list[History], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forest") / "random_forest.ubj"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "TREES", 6)
        forest.fit_forest(histories, PLAN, path)
    return path


def loaded(path: Path, grid: Grid = GRID) -> Member:
    spec = MemberSpec("random_forest", "1", path.name, "sha256:0", "xgboost", "tabular", ROW_WIDTHS["tabular"])
    return load_member(spec, grid, path)


def test_it_is_one_round_of_parallel_trees(path: Path):
    booster = xgb.Booster(model_file=str(path))
    assert booster.num_boosted_rounds() == 1
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    assert int(model["gbtree_model_param"]["num_parallel_tree"]) == 6
    assert len(model["trees"]) == 6 * len(GRID.levels)


def test_the_runner_serves_it_as_it_serves_the_booster(path: Path, histories: list[History]):
    member, rows = loaded(path), histories[0].matrix.tabular[:20]
    answer = member.predict(rows)
    assert answer.shape == (20, *GRID.shape)
    assert (np.diff(answer, axis=-1) >= 0).all()
    alone = np.concatenate([member.predict(rows[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(answer, alone, rtol=1e-5, atol=1e-6)


def test_leaves_hold_quantiles_of_outcomes(path: Path, histories: list[History]):
    """Every tree is grown on rows drawn at random, so its mean answer is near the unconditional quantiles."""
    inputs, outcomes = training_rows(histories, PLAN)
    answer = np.sort(xgb.Booster(model_file=str(path)).inplace_predict(inputs), axis=1).mean(axis=0)
    for column, level in enumerate(GRID.levels):
        if 0.05 <= level <= 0.95:
            assert answer[column] == pytest.approx(np.quantile(outcomes, level), abs=0.15)


def test_the_same_seed_gives_the_same_forest(histories: list[History], tmp_path: Path):
    plan = Plan(windows=PLAN.windows, grid=GRID, fast=True)
    for name in ("a.ubj", "b.ubj"):
        forest.fit_forest(histories, plan, tmp_path / name)
    assert (tmp_path / "a.ubj").read_bytes() == (tmp_path / "b.ubj").read_bytes()
