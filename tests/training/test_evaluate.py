"""`make evaluate` on made-up files: every key, every grouping, nothing lost in silence."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from backtest.splits import Window
from market.files import FilesSource
from tests.ensemble.model_sets import GRID, NAMES, gaussian, made_up_set, uncalibrated_set
from tests.features.series import made_bars, wandering_bars
from training import evaluate as evaluate_module
from training import scoring
from training.evaluate import Evaluation, evaluate, result_of
from training.evidence import baseline_quantiles
from training.history import history_of
from training.references import with_garch
from training.walk_forward import base_rates, evaluate_symbol, scoreboard

HORIZONS = [1, 5, 20]
STEPS = np.array(HORIZONS)
WINDOW = Window(date(2003, 6, 2), date(2005, 6, 30))
MODEL_SET = uncalibrated_set()
KEYS = {
    "horizon", "n", "pinball", "skill_vs_ewma", "t_vs_ewma", "skill_vs_garch", "t_vs_garch", "skill_vs_random_walk",
    "coverage_50", "coverage_90", "width_90", "direction", "direction_se", "always_up", "brier", "ece",
}  # fmt: skip
"""What the users of the JSON rely on."""


def predict(matrix):
    return {name: gaussian(np.zeros(len(matrix))) for name in NAMES}


def part_of(bars, references=baseline_quantiles, window=WINDOW):
    return evaluate_symbol(history_of(bars, GRID.horizons[-1]), predict, MODEL_SET, window, STEPS, references)


def write(folder, bars):
    lines = [f"{day},{close}" for day, close in zip(bars.times.astype("datetime64[D]"), bars.close, strict=True)]
    (folder / f"{bars.symbol}.csv").write_text("\n".join(["date,close", *lines]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two shares and a coin, one file too short and one that is no prices at all; the members are normal."""
    for seed, symbol in enumerate(("AAA", "BBB", "BTC-USD")):
        write(tmp_path, wandering_bars(1200, seed, symbol))
    write(tmp_path, wandering_bars(100, 7, "SHORT"))
    (tmp_path / "BROKEN.csv").write_bytes(b"\x00\xff\xfe not prices")
    monkeypatch.setattr(evaluate_module, "packed_predictor", lambda *_: lambda: predict)
    return tmp_path


@pytest.fixture
def found(folder):
    return evaluate(FilesSource(folder), MODEL_SET, folder, WINDOW, HORIZONS)


def test_every_symbol_is_scored_or_left_out_with_a_reason(found):
    assert [part.symbol for part in found.parts] == ["AAA", "BBB", "BTC-USD"]
    assert set(found.left_out) == {"SHORT", "BROKEN"}
    assert "100 bars" in found.left_out["SHORT"]
    assert all(found.left_out.values())


def test_a_symbol_that_cannot_be_scored_does_not_stop_the_others(folder, monkeypatch):
    honest = evaluate_symbol

    def failing(history, *rest):
        if history.bars.symbol == "AAA":
            raise RuntimeError("a member answered a number that is not finite")
        return honest(history, *rest)

    monkeypatch.setattr(scoring, "evaluate_symbol", failing)
    found = evaluate(FilesSource(folder), MODEL_SET, folder, WINDOW, HORIZONS, garch=False)
    assert [part.symbol for part in found.parts] == ["BBB", "BTC-USD"]
    assert "not finite" in found.left_out["AAA"]


def test_a_symbol_without_outcomes_in_the_window_is_named(folder):
    late = Window(date(2020, 1, 1), date(2021, 1, 1))
    found = evaluate(FilesSource(folder), MODEL_SET, folder, late, HORIZONS, garch=False)
    assert found.parts == []
    assert "2020-01-01" in found.left_out["AAA"]
    assert result_of(found, MODEL_SET, late, HORIZONS)["pooled"] == []


def test_the_json_has_its_keys_in_every_grouping(found):
    result = json.loads(json.dumps(result_of(found, MODEL_SET, WINDOW, HORIZONS), allow_nan=False))
    groups = [*(result[name] for name in ("by_asset_class", "by_year", "per_symbol")), {"all": result["pooled"]}]
    boards = [rows for group in groups for rows in group.values()]
    for rows in boards:
        assert [row["horizon"] for row in rows] == HORIZONS
        assert all(set(row) >= KEYS for row in rows)
    assert set(result["by_asset_class"]) == {"equity", "crypto"}
    assert set(result["by_year"]) == {"2003", "2004", "2005"}
    for row in result["pooled"]:
        assert all(isinstance(row[key], float | int) for key in KEYS)
        assert len(row["pit"]) == 20
        assert sum(row["pit"]) == row["n"] == sum(part["n"] for part in row["reliability"])


def test_calibration_is_shown_step_by_step(folder):
    """Offsets and a correction that widen and shift: each stage is the same forecasts with one step more."""
    model_set = made_up_set()
    found = evaluate(FilesSource(folder), model_set, folder, WINDOW, HORIZONS, garch=False)
    result = result_of(found, model_set, WINDOW, HORIZONS)
    stages = result["calibration"]
    assert list(stages) == ["raw", "split_conformal", "served"]
    for i, row in enumerate(result["pooled"]):
        served = stages["served"][i]
        assert {key: served[key] for key in ("horizon", "n", "pinball", "coverage_90")} == {
            key: row[key] for key in ("horizon", "n", "pinball", "coverage_90")
        }
        covered = [rows[i]["coverage_90"] for rows in result["per_symbol"].values()]
        assert (served["lowest_coverage_90"], served["highest_coverage_90"]) == (min(covered), max(covered))
        assert len({stages[stage][i]["pinball"] for stage in stages}) == 3
    normal = evaluate(FilesSource(folder), MODEL_SET, folder, WINDOW, HORIZONS, garch=False)
    raw = result_of(normal, MODEL_SET, WINDOW, HORIZONS)["calibration"]["raw"]
    assert [row["pinball"] for row in raw] == pytest.approx([row["pinball"] for row in stages["raw"]], rel=1e-6)


def test_groups_add_up(found):
    result = scoreboard(found.parts, HORIZONS)
    for i in range(len(HORIZONS)):
        whole = result["pooled"][i]
        for group in ("by_asset_class", "by_year", "per_symbol"):
            parts = [rows[i] for rows in result[group].values() if rows[i]["n"]]
            assert whole["n"] == sum(part["n"] for part in parts)
            for key in ("pinball", "coverage_90", "direction", "brier", "crps", "always_up"):
                together = np.average([part[key] for part in parts], weights=[part["n"] for part in parts])
                assert whole[key] == pytest.approx(together, rel=1e-9)


def test_without_garch_its_keys_are_null(folder):
    found = evaluate(FilesSource(folder), MODEL_SET, folder, WINDOW, HORIZONS, garch=False)
    for row in scoreboard(found.parts, HORIZONS)["pooled"]:
        assert set(row) >= KEYS
        assert row["skill_vs_garch"] is row["t_vs_garch"] is row["skill_vs_gjr"] is row["skill_vs_fhs"] is None
        assert row["skill_vs_ewma"] is not None


def test_a_forecast_equal_to_a_reference_has_no_skill_against_it():
    """The members are standard normal in z, which is the EWMA reference to the last digit."""
    row = scoreboard([part_of(wandering_bars(1200))], HORIZONS)["pooled"][0]
    assert row["skill_vs_ewma"] == pytest.approx(0.0, abs=1e-6)


def test_the_future_changes_neither_forecasts_nor_references():
    bars, cut = wandering_bars(1200), 900
    changed = bars.close.copy()
    changed[cut:] *= np.linspace(1.2, 2.5, len(changed) - cut)
    later = made_bars(changed)
    window = Window(date(2003, 6, 2), bars.times[cut - 1].astype(object))
    ours, theirs = (part_of(each, with_garch(print), window) for each in (bars, later))
    np.testing.assert_array_equal(ours.scored.loss, theirs.scored.loss)
    for name in ("random_walk", "ewma", "garch", "gjr", "fhs"):
        np.testing.assert_array_equal(ours.scored.baselines[name], theirs.scored.baselines[name])
    np.testing.assert_array_equal(ours.diagnostics.naive_scale, theirs.diagnostics.naive_scale)
    assert scoreboard([ours], HORIZONS)["pooled"] == scoreboard([theirs], HORIZONS)["pooled"]


def test_base_rates_come_from_before_the_window():
    part = part_of(wandering_bars(1200))
    history = history_of(wandering_bars(1200), 20)
    ends = history.ends[:, 4]
    earlier = ends < np.datetime64(WINDOW.start)
    assert base_rates([part])[1] == pytest.approx(np.mean(history.returns[earlier, 4] > 0))
    nothing_before = part_of(wandering_bars(1200), window=Window(date(2001, 1, 1), WINDOW.end))
    assert base_rates([nothing_before]).tolist() == [0.5, 0.5, 0.5]


def test_failed_fits_are_told(folder, monkeypatch):
    from backtest.garch import FitFailed

    def failing(*_):
        raise FitFailed("the optimiser stopped with code 8")

    monkeypatch.setattr("backtest.garch.fit_garch", failing)
    found = evaluate(FilesSource(folder), MODEL_SET, folder, WINDOW, HORIZONS)
    assert any(problem.startswith("AAA: GARCH at bar 500") for problem in found.problems)
    assert scoreboard(found.parts, HORIZONS)["pooled"][0]["skill_vs_garch"] is None
    assert isinstance(found, Evaluation)


def test_fans_are_chosen_by_current_volatility():
    part = part_of(wandering_bars(1200))
    assert [fan.mood for fan in part.fans] == ["calm", "usual", "stormy"]
    widths = [(fan.quantiles[0, -1] - fan.quantiles[0, 0]) / fan.past[-1] for fan in part.fans]
    assert widths == sorted(widths)
    closes, times = wandering_bars(1200).close, wandering_bars(1200).times
    for fan in part.fans:
        bar = int(np.searchsorted(times, fan.past_times[-1]))
        np.testing.assert_array_equal(fan.came, closes[bar + 1 : bar + 21])
        np.testing.assert_array_equal(fan.past, closes[bar - 90 : bar + 1])
