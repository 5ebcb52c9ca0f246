"""Which layout is chosen, and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.layout import (
    MOST_CORES_EMBEDDED,
    _quota,
    chosen_layout,
    chosen_workers,
    cores_at_hand,
)


@pytest.mark.parametrize("layout", ["per_model", "combined", "embedded"])
@pytest.mark.parametrize("cores", [1.0, 64.0])
def test_what_is_asked_for_is_what_is_chosen(layout, cores):
    assert chosen_layout(layout, cores).name == layout


def test_auto_stays_in_one_process_as_long_as_that_can_use_the_cores():
    assert chosen_layout("auto", 0.5).name == "embedded"
    assert chosen_layout("auto", MOST_CORES_EMBEDDED).name == "embedded"
    assert chosen_layout("auto", MOST_CORES_EMBEDDED + 1).name == "per_model"


def test_the_reason_names_the_cores():
    assert "2 cores" in chosen_layout("auto", 2.0).reason
    assert "16 cores" in chosen_layout("auto", 16.0).reason


def test_as_many_workers_as_are_asked_for_or_as_the_cores_can_use():
    assert [chosen_workers(number, "embedded", 2.0) for number in (1, 3, 64)] == [1, 3, 64]
    cores = (0.5, 1.0, 2.0, 3.5, 4.0, 16.0)
    assert [chosen_workers("auto", "embedded", number) for number in cores] == [1, 1, 2, 3, 4, 16]
    assert [chosen_workers("auto", "per_model", number) for number in cores] == [1, 1, 1, 1, 2, 8]


def test_no_more_cores_are_counted_than_the_process_is_bound_to():
    bound = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(bound)})
        assert cores_at_hand() <= 1
    finally:
        os.sched_setaffinity(0, bound)


def test_the_tightest_share_of_time_counts(tmp_path: Path):
    (tmp_path / "pod" / "container").mkdir(parents=True)
    assert _quota("pod/container", tmp_path) == float("inf")
    (tmp_path / "pod" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "pod" / "container" / "cpu.max").write_text("max 100000\n")
    assert _quota("pod/container", tmp_path) == 1.5
    (tmp_path / "pod" / "container" / "cpu.max").write_text("50000 100000\n")
    assert _quota("pod/container", tmp_path) == 0.5
