"""A set from its first fit to its replacement: reproduced, resumed, left out, published whole, rolled back."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from engine.local import LocalEngine
from errors import ArtefactError, ConfigurationError, TaskFailed
from features.spec import FEATURE_NAMES, fingerprint
from runners.artefact import read_manifest, verify_model_set
from runners.model_set import load_model_set
from tests.features.series import wandering_bars
from tests.training.conftest import PLAN, QUICK, WINDOWS, Run, changed_after, histories_of, universe, with_ranges
from training import fitting, rollback, swap
from training import run as run_module
from training.champion import Verdict
from training.curves import draw_curves
from training.members import MEMBERS, fit_member
from training.resume import inputs_of, staging_for, stamp_of
from training.run import train
from training.swap import exchange, previous_of, put_in_place, roll_back

HAR = QUICK[:1]
REFUSED = Verdict(False, "worse", "20041029-0000000000")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def staging_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.staging")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "current"


# What is published


def test_the_same_plan_gives_the_same_files_in_processes_and_without(quick: Run, target: Path):
    again, verdict = train(quick.histories, [], PLAN, target, members=QUICK, engine=LocalEngine(2))
    assert again.version == quick.model_set.version
    assert contents(target) == contents(quick.folder)
    assert verdict.promoted
    assert not staging_of(target).exists()


def test_another_seed_gives_another_version(quick: Run, target: Path):
    other, _ = train(quick.histories, [], replace(PLAN, seed=1), target, members=QUICK)
    assert other.version != quick.model_set.version


def test_what_is_published_is_what_loads(run: Run):
    verify_model_set(run.folder)
    loaded = load_model_set(run.folder)
    assert (loaded.version, loaded.grid, loaded.members) == (
        run.model_set.version,
        run.model_set.grid,
        run.model_set.members,
    )
    for kind, calibration in run.model_set.calibration.items():
        assert_array_equal(loaded.calibration[kind].weights, calibration.weights)
        assert_array_equal(loaded.calibration[kind].offsets, calibration.offsets)
    assert loaded.evidence.keys() == run.model_set.evidence.keys() == {"equity", "index"}


def test_the_manifest_tells_what_the_set_was_made_of(run: Run):
    manifest = read_manifest(run.folder)
    assert manifest["features"]["fingerprint"] == fingerprint()
    assert manifest["features"]["names"] == list(FEATURE_NAMES)
    assert (manifest["seed"], manifest["fast"], manifest["timeframe"]) == (PLAN.seed, True, "1d")
    assert manifest["windows"]["calibration"] == ["2003-04-21", "2003-12-31"]
    assert manifest["data"] == {each.bars.symbol: each.bars.fingerprint for each in run.histories}
    assert manifest["models_version"].startswith("20041029-")
    assert [member["name"] for member in manifest["members"]] == [member.name for member in MEMBERS]
    assert manifest["left_out"] == {"members": {}, "series": {}}


def test_the_card_shows_the_curves_and_why_the_set_is_published(run: Run):
    card = (run.folder / "MODEL_CARD.md").read_text()
    assert run.model_set.version in card
    assert "the scores mean nothing" in card
    assert "there is no champion" in card
    assert "(curves.svg)" in card
    assert b"lstm" in (run.folder / "curves.svg").read_bytes()


def test_curves_are_small_and_the_same_each_time(tmp_path: Path):
    rng = np.random.default_rng(0)
    losses = {name: [(i + 1, *rng.uniform(size=2).tolist()) for i in range(60)] for name in ("a", "b", "c", "d")}
    pictures = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert draw_curves(losses, tmp_path / name)
        pictures.append((tmp_path / name / "curves.svg").read_bytes())
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 60_000
    assert not draw_curves({"har": []}, tmp_path)


# What the fits see


def test_fits_are_handed_nothing_later_than_their_window(target: Path):
    known = universe()
    changed = [changed_after(bars, WINDOWS.training.end) for bars in known[:3]]
    with staging_for(target) as staging:
        hashes = []
        for bars in (known[:3], changed):
            fitted = fitting.fit_members(histories_of(bars), [], PLAN, staging, HAR)
            assert fitted.members == HAR
            hashes.append((staging.fits / "har.npz").read_bytes())
            shutil.rmtree(staging.fits)
            staging.fits.mkdir()
    assert hashes[0] == hashes[1]


def test_what_is_known_by_a_day_is_all_that_is_left():
    (history,) = histories_of(universe()[:1])
    day = WINDOWS.training.end
    known = history.known_by(day)
    assert known.bars.times[-1] <= np.datetime64(day) < history.bars.times[len(known.bars)]
    assert known.origins[-1] <= np.datetime64(day)
    assert np.nanmax(known.ends.astype("int64")) <= np.datetime64(day).astype("datetime64[D]").astype("int64")
    assert_array_equal(np.isnat(known.ends), np.isnan(known.returns))
    assert_array_equal(
        known.inside(WINDOWS.training, [1, 90]), history.inside(WINDOWS.training, [1, 90])[: len(known.rows)]
    )
    (later,) = histories_of([changed_after(history.bars, day)])
    assert later.known_by(day).bars.fingerprint == known.bars.fingerprint


def test_histories_survive_the_way_to_another_process():
    histories = histories_of(universe())
    with LocalEngine(1).sharing(histories) as shared:
        again = shared.get()
    for one, other in zip(histories, again, strict=True):
        assert one.bars.fingerprint == other.bars.fingerprint
        assert_array_equal(one.matrix.windows, other.matrix.windows)
        assert_array_equal(one.ends, other.ends)
        assert not other.matrix.windows.flags.owndata
        assert not other.matrix.windows.flags.writeable


# Resuming


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the members that were really fitted."""
    fitted: list[str] = []

    def counting(member, *arguments):
        fitted.append(member.name)
        return fit_member(member, *arguments)

    monkeypatch.setattr(fitting, "fit_member", counting)
    return fitted


def test_an_interrupted_run_goes_on_with_what_was_finished(quick: Run, target: Path, counted, monkeypatch):
    def interrupted(member, histories, plan, path, report):
        if member.name == "har_range":
            path.write_bytes(b"half of it")
            raise KeyboardInterrupt
        return fit_member(member, histories, plan, path, report)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit_member", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(quick.histories, [], PLAN, target, members=QUICK)
    assert not target.exists()
    again, _ = train(quick.histories, [], PLAN, target, members=QUICK)
    assert counted == ["har_range"]
    assert again.version == quick.model_set.version


def fit_har(target: Path, plan=PLAN, bars=None, fresh=False) -> None:
    with staging_for(target, fresh=fresh) as staging:
        fitting.fit_members(histories_of((bars or universe())[:3]), [], plan, staging, HAR)


def test_a_fit_is_used_again_only_where_its_inputs_are_the_same(target: Path, counted):
    fit_har(target)
    fit_har(target)
    assert counted == ["har"]
    later = [changed_after(bars, WINDOWS.training.end) for bars in universe()[:3]]
    fit_har(target, bars=later)
    assert counted == ["har"]
    moved = replace(WINDOWS, calibration=replace(WINDOWS.calibration, end=WINDOWS.evidence.start))
    fit_har(target, replace(PLAN, windows=moved))
    assert counted == ["har"]
    for changed in (replace(PLAN, seed=7), replace(PLAN, fast=False)):
        counted.clear()
        fit_har(target, changed)
        assert counted == ["har"]
    counted.clear()
    fit_har(target, bars=[wandering_bars(1000, seed, "AAA") for seed in (7, 8, 9)])
    assert counted == ["har"]
    fit_har(target, bars=[wandering_bars(1000, seed, "AAA") for seed in (7, 8, 9)], fresh=True)
    assert counted == ["har", "har"]


def test_other_code_or_features_name_other_inputs(monkeypatch: pytest.MonkeyPatch):
    histories = histories_of(universe()[:1])
    names = {inputs_of(HAR[0], histories, PLAN)}
    monkeypatch.setattr("training.resume.fingerprint", lambda: "other features")
    names.add(inputs_of(HAR[0], histories, PLAN))
    monkeypatch.setattr("training.resume._code", lambda: "other code")
    names.add(inputs_of(HAR[0], histories, PLAN))
    assert len(names) == 3


@pytest.mark.parametrize("damage", ["half written", "no stamp", "torn stamp"])
def test_a_fit_that_is_not_whole_is_fitted_again(target: Path, counted, damage: str):
    fit_har(target)
    path = staging_of(target) / "fits" / "har.npz"
    if damage == "half written":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "no stamp":
        stamp_of(path).unlink()
    else:
        stamp_of(path).write_text(stamp_of(path).read_text()[:-30])
    fit_har(target)
    assert counted == ["har", "har"]


def test_a_fit_that_fails_fails_the_run_and_costs_no_other(target: Path):
    broken = replace(HAR[0], name="no such network", kind="onnx")
    with pytest.raises(TaskFailed, match=r"(?s)^no such network failed: .*KeyError") as failed:
        train(histories_of(universe()), [], PLAN, target, members=[broken, *HAR], engine=LocalEngine(1))
    assert failed.value.names == ("no such network",)
    assert {path.name for path in (staging_of(target) / "fits").iterdir()} == {"har.npz", "har.npz.json"}


def test_two_runs_do_not_work_on_one_target(target: Path):
    with staging_for(target), pytest.raises(ConfigurationError, match="another training run"), staging_for(target):
        pass


# Other universes


def test_a_universe_without_shares_or_ranges_is_trained_without_the_members_that_need_them(target: Path):
    coins = [wandering_bars(1000, 3, "BTC-USD", 0.03), wandering_bars(1000, 4, "ETH-USD", 0.04)]
    model_set, verdict = train(histories_of(coins), [], PLAN, target, members=QUICK, refused={"DOGE-USD": "12 bars"})
    assert verdict.promoted
    assert model_set.names == ("har",)
    assert set(load_model_set(target).evidence) == {"crypto"}
    left_out = read_manifest(target)["left_out"]
    assert left_out["members"]["har_range"].startswith("0 bars with open, high, low and volume")
    assert left_out["series"] == {"DOGE-USD": "12 bars"}
    assert "har_range: 0 bars" in (target / "MODEL_CARD.md").read_text()


def test_a_member_that_no_series_can_calibrate_is_left_out(target: Path):
    taught = histories_of([with_ranges(wandering_bars(600, 5, "OLD"))])
    model_set, _ = train(histories_of(universe()[:3]), taught, PLAN, target, members=QUICK)
    assert model_set.names == ("har",)
    why = read_manifest(target)["left_out"]["members"]["har_range"]
    assert why == "no series has what it needs in the calibration window"


def test_shares_with_ranges_and_shares_without_stand_side_by_side(target: Path):
    bars = universe()
    mixed = [with_ranges(bars[0]), with_ranges(bars[1]), bars[2]]
    model_set, _ = train(histories_of(mixed), [], PLAN, target, members=QUICK)
    assert model_set.weighted("stocks") == ("har",)
    assert model_set.names == ("har", "har_range")
    assert "AAA, BBB;" in model_set.evidence["equity"].scope


def test_prices_that_end_before_calibration_are_refused(target: Path):
    with pytest.raises(ConfigurationError, match="no member can be fitted and calibrated"):
        train(histories_of([wandering_bars(590, 1)]), [], PLAN, target, members=QUICK)


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="something other than a model set"):
        train([], [], PLAN, tmp_path)
    assert (tmp_path / "letters.txt").exists()


# Publishing and rolling back


def make_set(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("manifest.json", "member"):
        (folder / name).write_text(version)
    return folder


def version_of(folder: Path) -> str | None:
    """The version of a complete set, None for anything else."""
    texts = {path.read_text() for path in folder.iterdir()} if folder.exists() else set()
    complete = folder.exists() and {path.name for path in folder.iterdir()} == {"manifest.json", "member"}
    return texts.pop() if complete and len(texts) == 1 else None


class Crash(Exception):
    pass


STEPS = ((Path, "rename"), (shutil, "rmtree"), (shutil, "copytree"), (swap, "_exchange_at_once"))


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, at_once: bool) -> list[str]:
    """Let the n-th step on the file system be the last one, done or not done by half."""
    done: list[str] = []

    def step(name, real):
        def counted(*arguments, **options):
            if name == "_exchange_at_once" and not at_once:
                return False
            done.append(name)
            if len(done) == number:
                raise Crash
            return real(*arguments, **options)

        return counted

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, step(name, getattr(owner, name)))
    return done


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("number", range(1, 12))
def test_a_crash_while_publishing_leaves_a_whole_set(tmp_path: Path, monkeypatch, number: int, at_once: bool):
    target, new = make_set(tmp_path / "current", "champion"), make_set(tmp_path / "new", "challenger")
    make_set(tmp_path / "previous", "older")
    with monkeypatch.context() as patch:
        done = crash_at(patch, number, at_once)
        try:
            put_in_place(new, target)
        except Crash:
            assert len(done) == number
    if at_once:
        assert version_of(target) in ("champion", "challenger")
        assert version_of(previous_of(target)) in ("older", "champion")
    elif not target.exists():
        assert version_of(previous_of(target)) == "champion"
        roll_back(target)
    assert version_of(target) in ("champion", "challenger")
    again = make_set(tmp_path / "again", "next")
    put_in_place(again, target)
    assert version_of(target) == "next"
    assert version_of(previous_of(target)) in ("champion", "challenger")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges folders in one step")
def test_folders_are_exchanged_in_one_step(tmp_path: Path, monkeypatch):
    one, other = make_set(tmp_path / "one", "1"), make_set(tmp_path / "other", "2")
    monkeypatch.setattr(Path, "rename", None)
    exchange(one, other)
    assert (version_of(one), version_of(other)) == ("2", "1")


def test_roll_back_twice_changes_nothing(tmp_path: Path):
    target = make_set(tmp_path / "current", "old")
    put_in_place(make_set(tmp_path / "new", "new"), target)
    assert (version_of(target), version_of(previous_of(target))) == ("new", "old")
    roll_back(target)
    assert (version_of(target), version_of(previous_of(target))) == ("old", "new")
    roll_back(target)
    assert (version_of(target), version_of(previous_of(target))) == ("new", "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "previous"]


def call_rollback(monkeypatch: pytest.MonkeyPatch, target: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["rollback", "--out", str(target)])
    return rollback.main()


def test_rollback_says_which_version_the_next_start_serves(quick: Run, target: Path, monkeypatch, capsys):
    shutil.copytree(quick.folder, target)
    other, _ = train(quick.histories, [], replace(PLAN, seed=1), target, members=QUICK, force=True)
    assert load_model_set(target).version == other.version
    assert call_rollback(monkeypatch, target) == 0
    assert f"the next start serves {quick.model_set.version}" in capsys.readouterr().out
    assert load_model_set(target).version == quick.model_set.version


def test_rollback_does_not_serve_a_damaged_set(quick: Run, target: Path, monkeypatch, capsys):
    shutil.copytree(quick.folder, target)
    assert call_rollback(monkeypatch, target) == 1
    damaged = shutil.copytree(quick.folder, previous_of(target))
    (damaged / "har.npz").write_bytes(b"rubbish")
    assert call_rollback(monkeypatch, target) == 1
    assert "nothing was changed" in capsys.readouterr().out
    verify_model_set(target)
    with pytest.raises(ArtefactError):
        verify_model_set(damaged)


# The verdict, at work (its rule is in test_champion.py)


def test_the_same_set_again_is_reproduced_and_changes_nothing(quick: Run, target: Path):
    shutil.copytree(quick.folder, target)
    before = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    _, verdict = train(quick.histories, [], PLAN, target, members=QUICK, force=True)
    assert verdict.reproduced
    assert not verdict.promoted
    assert {path: path.stat().st_mtime_ns for path in target.iterdir()} == before
    assert not previous_of(target).exists()
    assert not staging_of(target).exists()


def test_a_challenger_that_is_refused_waits_for_force(quick: Run, target: Path, counted, monkeypatch):
    shutil.copytree(quick.folder, target)
    monkeypatch.setattr(run_module, "judge", lambda *_: REFUSED)
    plan = replace(PLAN, seed=1)
    challenger, verdict = train(quick.histories, [], plan, target, members=QUICK)
    assert not verdict.promoted
    assert load_model_set(target).version == quick.model_set.version
    assert load_model_set(staging_of(target) / "set").version == challenger.version
    counted.clear()
    _, forced = train(quick.histories, [], plan, target, members=QUICK, force=True)
    assert counted == []
    assert forced.promoted
    assert load_model_set(target).version == challenger.version
    said = json.loads((target / "promotion.json").read_text())
    assert (said["forced"], said["reason"], said["champion"]) == (True, "worse", REFUSED.champion)
    assert load_model_set(previous_of(target)).version == quick.model_set.version
