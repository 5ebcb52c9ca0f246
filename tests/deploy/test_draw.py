"""The pictures of the dashboards: every panel is in them, and one that would show nothing is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.prometheus import shortened
from deploy.grafana.draw import BOARDS, Line, draw, lines_of, written

TIMES = np.arange(1_700_000_000, 1_700_000_600, 10)
Found = Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]


def everything(expression: str) -> Found:
    """Two series for each query, one of them with a hole."""
    labels = {"model": "lstm", "instance": "a:3000", "endpoint": "/api/v1/predict", "status": "200", "layer": "redis"}
    pairs = [(float(at), float(number)) for number, at in enumerate(TIMES)]
    return [(labels, pairs), (labels | {"model": "xgboost"}, pairs[:5] + pairs[9:])]


def nothing(expression: str) -> Found:
    return []


@pytest.mark.parametrize("path", sorted(BOARDS.glob("*.json")), ids=lambda it: it.stem)
def test_every_panel_is_drawn(path: Path, tmp_path: Path):
    board: dict[str, Any] = json.loads(path.read_text())
    figure, empty = draw(board, everything, TIMES, "made up")
    assert empty == []
    said = {text.get_text() for axes in figure.axes for text in axes.texts} | {it.get_text() for it in figure.texts}
    assert {panel["title"] for panel in board["panels"]} <= said
    assert board["title"] in said
    figure.savefig(tmp_path / "board.png", dpi=50)
    assert (tmp_path / "board.png").stat().st_size > 10_000
    _, empty = draw(board, nothing, TIMES, "made up")
    assert empty == [panel["title"] for panel in board["panels"]]


def test_a_hole_stays_a_hole_and_legends_are_filled_in():
    panel = {"targets": [{"expr": "x", "legendFormat": "{{model}} on {{instance}}"}]}
    first, second = lines_of(panel, everything, TIMES)
    assert isinstance(first, Line)
    assert (first.name, second.name) == ("lstm on a:3000", "xgboost on a:3000")
    assert not np.isnan(first.values).any()
    assert list(np.flatnonzero(np.isnan(second.values))) == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0545, "percentunit", "5.45%"),
        (0.0123, "s", "12.3 ms"),
        (1.5, "s", "1.5 s"),
        (0, "s", "0 s"),
        (12.9, "reqps", "12.9 req/s"),
        (31_000_000, "bytes", "31 MB"),
        (512, "bytes", "512 B"),
        (3210, "short", "3.21 k"),
        (float("nan"), "short", "no data"),
    ],
)
def test_numbers_are_written_in_their_unit(value: float, unit: str, expected: str):
    assert written(value, unit) == expected


def test_rules_can_be_made_faster():
    rules = "interval: 1m\nexpr: rate(x[5m]) + increase(y[14d]) > 5\nfor: 1h\n"
    assert shortened(rules, 30) == "interval: 2000ms\nexpr: rate(x[10000ms]) + increase(y[14d]) > 5\nfor: 120000ms\n"
