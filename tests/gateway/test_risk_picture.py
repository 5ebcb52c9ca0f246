"""What the report draws: nothing meets that should not, and nothing is drawn that is not known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gateway.risk_picture import LONGEST_GAP, Pictured, _boxes, broken, draw_charts


def pictured(days: np.ndarray) -> Pictured:
    returns = np.random.default_rng(1).normal(0, 0.01, len(days))
    return Pictured(
        title="TEST: risk",
        lines=(),
        days=days,
        returns=returns,
        drawdowns=np.minimum(np.cumsum(returns), 0),
        volatility=np.full(len(days), 0.2),
        volatility_window=60,
        ewma=np.full(len(days), 0.18),
        marks=(),
        tested=None,
        figures=(),
        table=(),
    )


def test_no_id_stands_twice_on_the_page_and_every_reference_finds_its_own():
    days = np.arange("2020-01-01", "2020-06-01", dtype="datetime64[D]")
    page = "".join(draw_charts(pictured(days)))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 40
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    for found in re.findall(r'href="#([^"]+)"', page) + re.findall(r"url\(#([^)]+)\)", page):
        assert found in ids
    assert "#cbd2d9" in page, "colours stay what they are"


def test_no_line_is_drawn_over_a_gap():
    days = np.array(["2020-01-01", "2020-01-02", "2020-03-01", "2020-03-02"], "datetime64[D]")
    told, values = broken(days, np.arange(4.0))
    np.testing.assert_array_equal(values, [0, 1, np.nan, 2, 3])
    assert (np.diff(told) > np.timedelta64(0, "D")).all()
    week = np.arange("2020-01-01", "2020-01-09", dtype="datetime64[D]")
    assert len(broken(week[[0, -1]], np.arange(2.0))[0]) == 2
    assert week[-1] - week[0] < LONGEST_GAP


@pytest.mark.parametrize("rows", [1, 8, 15, 22, 36])
def test_the_parts_of_the_page_leave_room_for_each_other(rows: int):
    heading, figures, first, second, left, right, table = _boxes(rows)
    for above, below, room in (
        (heading, figures, 0.01),
        (figures, first, 0.03),
        (first, second, 0.04),
        (second, left, 0.04),
        (left, table, 0.05),
    ):
        assert above[1] - (below[1] + below[3]) >= room - 1e-9
    assert left[0] + left[2] < right[0]
    assert table[1] > 0
    assert min(first[3], left[3]) > 0.08
