"""Inputs are worked out once a bar, and are the same however they came about."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import inputs
from contracts import Bars, FeatureMatrix
from errors import UnusableSeries
from features.build import latest_inputs
from inputs import InputMemory
from tests.in_memory import MemoryMarket

SERIES = MemoryMarket().series
USABLE = [SERIES["AAPL"], SERIES["MSFT"], SERIES["^GSPC"]]


def assert_same(one: FeatureMatrix, other: FeatureMatrix) -> None:
    for name in ("tabular", "windows", "sigma", "regime"):
        assert_array_equal(getattr(one, name), getattr(other, name))


def test_rows_made_at_different_times_are_those_of_one_batch():
    memory = InputMemory()
    memory.of(USABLE[1:2])
    memory.of(USABLE[:2])
    assert_same(memory.of(USABLE), latest_inputs(USABLE))
    assert_same(memory.of(USABLE[::-1]), latest_inputs(USABLE[::-1]))
    assert_same(memory.of([USABLE[0], USABLE[0]]), latest_inputs([USABLE[0], USABLE[0]]))


def test_a_bar_is_worked_out_once(monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []

    def counted(series: list[Bars]) -> FeatureMatrix:
        made.extend(bars.symbol for bars in series)
        return latest_inputs(series)

    monkeypatch.setattr(inputs, "latest_inputs", counted)
    memory = InputMemory()
    for _ in range(3):
        memory.of([*USABLE, USABLE[0]])
    assert sorted(made) == sorted(bars.symbol for bars in USABLE)


def test_other_bars_have_other_inputs():
    memory, bars = InputMemory(), USABLE[0]
    memory.of([bars])
    shorter = Bars(bars.symbol, "1d", bars.times[:-1], bars.close[:-1], bars.provider)
    assert not np.array_equal(memory.of([shorter]).tabular, memory.of([bars]).tabular)


def test_what_was_used_longest_ago_is_forgotten():
    memory = InputMemory(kept=2)
    for bars in USABLE:
        memory.check(bars)
        memory.of([bars])
    assert len(memory._rows) == len(memory._verdicts) == 2
    assert_same(memory.of(USABLE), latest_inputs(USABLE))


def test_a_refusal_is_remembered_and_raised_anew_each_time():
    memory = InputMemory()
    refusals = []
    for _ in range(2):
        with pytest.raises(UnusableSeries, match="a forecast needs") as refusal:
            memory.check(SERIES["SHORT"])
        refusals.append(refusal.value)
    assert refusals[0] is not refusals[1]
