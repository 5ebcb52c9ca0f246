"""A whole run on made-up prices: three shares with closes alone, and an index with open, high, low and volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from backtest.splits import Window
from contracts import Bars, ModelSet
from tests.features.series import wandering_bars
from training.history import History, history_of
from training.members import MEMBERS
from training.plan import Plan, Windows
from training.run import train

WINDOWS = Windows(
    training=Window(date(2001, 1, 1), date(2003, 4, 18)),
    stopping=date(2002, 11, 1),
    calibration=Window(date(2003, 4, 21), date(2003, 12, 31)),
    evidence=Window(date(2004, 1, 1), date(2004, 10, 29)),
)
PLAN = Plan(windows=WINDOWS, fast=True)
QUICK = tuple(member for member in MEMBERS if member.name in ("har", "har_range"))
"""Members that are fitted in no time."""


def universe() -> list[Bars]:
    shares = [wandering_bars(1000, seed, symbol) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))]
    return [*shares, with_ranges(wandering_bars(1000, 9, "^GSPC"))]


def with_ranges(bars: Bars) -> Bars:
    """The same closes with open, high, low and volume around them."""
    noise = np.abs(np.random.default_rng(len(bars)).standard_normal((3, len(bars)))) * 0.004
    opened = bars.close * np.exp(noise[0] - 0.003)
    high, low = np.maximum(opened, bars.close) * np.exp(noise[1]), np.minimum(opened, bars.close) * np.exp(-noise[2])
    return replace(bars, open=opened, high=high, low=low, volume=1e6 * (1 + noise[0] * 50), fingerprint="")


def histories_of(universe: Sequence[Bars]) -> list[History]:
    return [history_of(bars, PLAN.grid.horizons[-1]) for bars in universe]


def changed_after(bars: Bars, last: date) -> Bars:
    """The same prices up to that day, and others afterwards."""
    later = bars.times > np.datetime64(last)
    factor = np.ones(len(bars))
    factor[later] = np.exp(np.linspace(0.3, -1.5, int(later.sum())))
    scaled = {name: getattr(bars, name) * factor for name in ("open", "high", "low") if bars.has_ranges}
    return replace(bars, close=bars.close * factor, fingerprint="", **scaled)


@dataclass(frozen=True)
class Run:
    histories: list[History]
    model_set: ModelSet
    folder: Path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    target = tmp_path_factory.mktemp("trained") / "current"
    histories = histories_of(universe())
    return Run(histories, train(histories, [], PLAN, target)[0], target)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with QUICK alone."""
    target = tmp_path_factory.mktemp("quick") / "current"
    histories = histories_of(universe())
    return Run(histories, train(histories, [], PLAN, target, members=QUICK)[0], target)
