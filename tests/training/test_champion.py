"""Champion against challenger: what is compared, on which days, and what follows from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import ModelSet
from runners.artefact import MANIFEST
from tests.training.conftest import PLAN, WINDOWS, Run
from training import champion
from training.champion import Comparison, Verdict, compare, decide, judge
from training.evidence import scored_history, weighted_for
from training.predictions import predictor
from training.publish import Scores, Sources, write_set


def together(gain: float, t: float) -> Comparison:
    return Comparison(0, 1000, 1.0, 1.0 - gain, gain, t, 0.5)


def at(horizon: int, p_worse: float) -> Comparison:
    return Comparison(horizon, 1000, 0.01, 0.0101, -0.01, -1.0, p_worse)


@pytest.mark.parametrize(
    ("p_worse", "t", "promoted"),
    [
        ((0.5, 0.5, 0.5), 0.0, True),
        ((0.051, 0.06, 0.9), -0.99, True),
        ((0.5, 0.049, 0.5), 2.0, False),
        ((0.001, 0.5, 0.5), 5.0, False),
        ((0.5, 0.5, 0.5), -1.01, False),
    ],
)
def test_not_worse_beyond_its_error(p_worse: tuple[float, ...], t: float, promoted: bool):
    rows = [at(horizon, p) for horizon, p in zip(champion.HORIZONS, p_worse, strict=True)]
    assert decide([*rows, together(0.001 * t, t)])[0] is promoted


def test_what_another_machine_changes_decides_nothing():
    rows = [replace(at(horizon, 0.001), gain=-0.0004) for horizon in champion.HORIZONS]
    assert decide([*rows, together(-0.0004, -3.0)])[0]
    assert not decide([*rows, together(-0.0006, -3.0)])[0]
    assert not decide([replace(rows[0], gain=-0.0006), *rows[1:], together(-0.0004, -3.0)])[0]


def test_the_reason_names_the_horizon_that_got_worse():
    rows = [at(1, 0.5), at(5, 0.01), at(20, 0.5), together(0, 0)]
    assert decide(rows)[1] == "worse beyond its error at 5 bars (-1.00 %, p 0.010)"


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny evidence window has 216 days."""
    monkeypatch.setattr(champion, "FEWEST_DAYS", 100)


@pytest.fixture(scope="session")
def answered(quick: Run) -> list[tuple[Any, Any]]:
    predict = predictor(quick.model_set.members, PLAN.grid, quick.folder)
    return [(history, predict(history.matrix)) for history in quick.histories]


@pytest.fixture
def published(quick: Run, tmp_path: Path) -> Callable[[ModelSet], tuple[ModelSet, Path]]:
    """Writes a set that differs in its numbers, as it would be published."""

    def write(model_set: ModelSet) -> tuple[ModelSet, Path]:
        folder = tmp_path / "current"
        sources = Sources(quick.histories, [], {}, {})
        return write_set(folder, quick.folder, model_set, sources, PLAN, Scores({}, {}), {}), folder

    return write


def stretched(model_set: ModelSet, factor: float) -> ModelSet:
    """The same set with its published intervals wider or narrower than they should be, before they are corrected."""
    tails = (factor - 1) * np.linspace(-2, 2, len(model_set.grid.levels))
    calibration = {
        kind: replace(each, offsets=each.offsets + tails, rates=each.rates * 0)
        for kind, each in model_set.calibration.items()
    }
    return replace(model_set, version=f"stretched {factor}", calibration=calibration)


def changed_manifest(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


@pytest.mark.usefixtures("days")
def test_a_worse_challenger_is_refused_and_a_better_one_promoted(quick, answered, published):
    wide = stretched(quick.model_set, 1.7)
    worse = judge(wide, answered, PLAN, quick.folder)
    assert not worse.promoted
    assert worse.reason.startswith("worse beyond its error at 1 bars")
    assert worse.champion == quick.model_set.version
    champion_set, folder = published(wide)
    better = judge(quick.model_set, answered, PLAN, folder)
    assert better.promoted
    assert better.champion == champion_set.version
    for lost, won in zip(worse.rows[:-1], better.rows[:-1], strict=True):
        assert lost.t == pytest.approx(-won.t)
        assert lost.p_worse == pytest.approx(1 - won.p_worse)
        assert lost.t < 0 < won.gain


@pytest.mark.usefixtures("days")
def test_losses_are_those_of_the_evaluation(quick, answered):
    verdict = judge(stretched(quick.model_set, 1.2), answered, PLAN, quick.folder)
    assert verdict.window == (WINDOWS.evidence.start, WINDOWS.evidence.end)
    losses = []
    for history, answers in answered:
        names, horizons = weighted_for(history, quick.model_set), np.array(champion.HORIZONS)
        found = scored_history(history, answers, names, quick.model_set, WINDOWS.evidence, horizons)
        losses += [] if found is None else [found[0].loss]
    twin = np.nanmean(np.concatenate(losses), axis=0)
    for i, row in enumerate(verdict.rows[:-1]):
        assert row.champion_loss == pytest.approx(twin[i])
        assert row.gain == pytest.approx(1 - row.challenger_loss / row.champion_loss)


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("name", ["training", "calibration"])
def test_days_that_the_champion_was_made_from_are_not_compared(quick, answered, tmp_path, name: str):
    folder = shutil.copytree(quick.folder, tmp_path / "current")
    windows = json.loads((folder / MANIFEST).read_text())["windows"]
    changed_manifest(folder, windows=windows | {name: ["2001-01-01", "2004-03-31"]})
    verdict = judge(stretched(quick.model_set, 1.2), answered, PLAN, folder)
    assert verdict.window == (date(2004, 4, 1), WINDOWS.evidence.end)
    whole = judge(stretched(quick.model_set, 1.2), answered, PLAN, quick.folder)
    assert 0 < verdict.rows[0].n < whole.rows[0].n


def test_nor_are_days_that_the_challenger_was_made_from(quick, answered):
    later = replace(WINDOWS, calibration=replace(WINDOWS.calibration, end=date(2004, 6, 30)))
    verdict = judge(stretched(quick.model_set, 1.2), answered, replace(PLAN, windows=later), quick.folder)
    assert verdict.window == (date(2004, 7, 1), WINDOWS.evidence.end)


def test_too_few_days_that_neither_saw_decide_nothing(quick, answered):
    verdict = judge(stretched(quick.model_set, 0.5), answered, PLAN, quick.folder)
    assert not verdict.promoted
    assert verdict.reason == "not comparable: 216 days that neither saw, 250 are needed"


def test_the_very_same_set_is_reproduced(quick, answered):
    verdict = judge(quick.model_set, answered, PLAN, quick.folder)
    assert (verdict.reproduced, verdict.promoted) == (True, False)


def test_without_a_champion_the_challenger_is_promoted(quick, answered, tmp_path):
    assert judge(quick.model_set, answered, PLAN, tmp_path) == Verdict(True, "there is no champion")


def damaged(folder: Path) -> None:
    (folder / "har.npz").write_bytes(b"rubbish")


def of_other_features(folder: Path) -> None:
    changed_manifest(folder, features={"fingerprint": "sha256:" + "0" * 64})


def of_an_older_kind(folder: Path) -> None:
    changed_manifest(folder, kinds=["stocks", "bonds"])


def without_windows(folder: Path) -> None:
    changed_manifest(folder, windows={})


def without_sense(folder: Path) -> None:
    changed_manifest(folder, members=7)


@pytest.mark.parametrize("spoil", [damaged, of_other_features, of_an_older_kind, without_windows, without_sense])
def test_a_champion_that_cannot_be_served_is_replaced(quick, answered, tmp_path, spoil: Callable[[Path], None]):
    folder = shutil.copytree(quick.folder, tmp_path / "current")
    spoil(folder)
    verdict = judge(stretched(quick.model_set, 3.0), answered, PLAN, folder)
    assert verdict.promoted
    assert verdict.reason.startswith("the champion cannot be served by this code")


def test_a_set_for_other_kinds_of_assets_does_not_take_the_place_of_this_one(quick, answered):
    shares = {name: table for name, table in quick.model_set.evidence.items() if name != "index"}
    verdict = judge(replace(quick.model_set, version="other", evidence=shares), answered, PLAN, quick.folder)
    assert not verdict.promoted
    assert "evidence for index, the challenger has none" in verdict.reason


def test_nor_does_a_set_for_bars_of_another_length(quick, answered):
    verdict = judge(replace(quick.model_set, version="x"), answered, replace(PLAN, timeframe="1h"), quick.folder)
    assert not verdict.promoted
    assert "the champion forecasts 1d bars" in verdict.reason


def test_equal_losses_are_not_worse():
    rng = np.random.default_rng(1)
    scored = type("Losses", (), {})()
    scored.loss = rng.uniform(size=(400, 3))
    scored.origins = np.arange(400).astype("datetime64[D]")
    rows = compare(scored, scored)
    assert [row.gain for row in rows] == [0, 0, 0, 0]
    assert decide(rows)[0]
