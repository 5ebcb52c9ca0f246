"""`make train`: what its options mean, which series it reads, what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from contracts import Bars
from runners.artefact import read_manifest
from tests.features.series import wandering_bars
from tests.training.conftest import QUICK, universe
from training import run
from training import train as command
from training.plan import Windows, stopping_within, windows_between, windows_until

ENDS = ["--train-end", "2003-04-18", "--calibrate-end", "2003-12-31", "--evidence-end", "2004-10-29"]
Called = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Runs the command with members that are fitted in no time."""
    monkeypatch.setenv("ENGINE_PROCESSES", "0")
    monkeypatch.setattr(command, "train", partial(run.train, members=QUICK))

    def with_arguments(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        return command.main()

    return with_arguments


def write_csv(folder: Path, bars: Bars, stem: str | None = None, times: np.ndarray | None = None) -> None:
    names = ["close"] + (["open", "high", "low", "volume"] if bars.has_ranges else [])
    stamps = bars.times if times is None else times
    lines = [",".join(["date", *names])]
    for i, stamp in enumerate(stamps):
        lines.append(",".join([str(stamp), *(str(getattr(bars, name)[i]) for name in names)]))
    (folder / f"{stem or bars.symbol}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "prices"
    folder.mkdir()
    for bars in universe():
        write_csv(folder, bars)
    return folder


def test_a_folder_of_files_is_trained_on_and_what_was_refused_is_named(files: Path, tmp_path, call: Called, capsys):
    (files / "BAD.csv").write_text("date,close\n2001-01-01,much\n")
    write_csv(files, wandering_bars(100, 1, "NEW"))
    target = tmp_path / "store" / "current"
    assert call("--data-dir", files, "--out", target, "--fast", *ENDS) == 0
    manifest = read_manifest(target)
    assert sorted(manifest["data"]) == ["AAA", "BBB", "CCC", "^GSPC"]
    assert manifest["range_data"] == {}
    assert manifest["providers"] == ["files"]
    assert manifest["windows"]["evidence"] == ["2004-01-01", "2004-10-29"]
    assert sorted(manifest["left_out"]["series"]) == ["BAD", "NEW"]
    said = capsys.readouterr().out
    assert "left out: NEW: 100 bars, at least 316 are needed" in said
    assert "left out: BAD: BAD.csv, line 2, column close" in said
    assert f"published {manifest['models_version']} to {target}" in said
    assert call("--data-dir", files, "--out", target, "--fast", *ENDS) == 0
    assert "reproduced: the champion is this very set" in capsys.readouterr().out
    assert call("--data-dir", files, "--out", target, "--fast", "--seed", 5, *ENDS) == 0
    said = capsys.readouterr().out
    assert "not comparable: 216 days that neither saw, 250 are needed" in said
    assert f"{manifest['models_version']} stays" in said


def test_only_the_named_symbols_are_trained_on(files: Path, tmp_path, call: Called):
    assert call("--data-dir", files, "--symbols", "aaa, ^gspc", "--out", tmp_path / "set", "--fast", *ENDS) == 0
    assert list(read_manifest(tmp_path / "set")["data"]) == ["AAA", "^GSPC"]


def test_hourly_bars_are_trained_on_and_said_to_be(tmp_path, call: Called):
    folder = tmp_path / "prices"
    folder.mkdir()
    bars = wandering_bars(2500, 3, "BTC-USD", 0.004)
    hours = [f"{stamp}Z" for stamp in np.datetime64("2021-01-01T00:00:00") + np.arange(2500) * np.timedelta64(1, "h")]
    write_csv(folder, bars, "BTC-USD_1h", np.array(hours))
    ends = ["--train-end", "2021-02-20", "--calibrate-end", "2021-03-15", "--evidence-end", "2021-04-14"]
    options = ["--timeframe", "1h", "--data-dir", folder, "--symbols", "BTC-USD", "--out", tmp_path / "set", "--fast"]
    assert call(*options, *ends) == 0
    manifest = read_manifest(tmp_path / "set")
    assert manifest["timeframe"] == "1h"
    assert manifest["scores"]["crypto"][0]["n"] > 600


def test_a_folder_without_a_usable_series_is_said_to_be_one(tmp_path, call: Called, capsys):
    assert call("--data-dir", tmp_path, "--out", tmp_path / "set", *ENDS) == 1
    assert "there is no series to train on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--until", "2024-12-31", "--train-end", "2010-12-31"], "--until sets all windows"),
        (["--train-end", "2019-12-31"], "the windows must end one after the other"),
        (["--until", "1993-01-01"], "the windows must end one after the other"),
        (["--until", "soon"], "expected a day such as 2022-12-31, got 'soon'"),
        (["--timeframe", "1h"], "--timeframe 1h needs --data-dir and --symbols"),
        (["--timeframe", "1h", "--data-dir", ".", "--symbols", "A"], "--timeframe 1h needs --out"),
        (["--timeframe", "5m"], "invalid choice"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], problem: str, call: Called, capsys):
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 2
    assert problem in capsys.readouterr().err


def test_one_option_moves_all_windows():
    assert windows_until(date(2022, 12, 31)) == Windows()
    moved = windows_until(date(2024, 6, 30))
    assert (moved.evidence.start, moved.evidence.end) == (date(2020, 7, 1), date(2024, 6, 30))
    assert (moved.calibration.start, moved.calibration.end) == (date(2016, 7, 1), date(2020, 6, 30))
    assert (moved.training.end, moved.stopping) == (date(2016, 6, 30), date(2013, 7, 1))
    assert windows_until(date(2024, 2, 29)).training.end == date(2016, 2, 29)
    assert windows_until(date(2023, 2, 28)).calibration.end == date(2019, 2, 28)
    assert windows_between(date(2014, 12, 31), date(2018, 12, 31), date(2022, 12, 31)) == Windows()


def test_networks_stop_on_a_third_of_a_short_training_window():
    assert stopping_within(Windows(), date(1990, 1, 2)) == Windows()
    assert stopping_within(Windows(), date(2009, 1, 1)).stopping == date(2012, 12, 31)
