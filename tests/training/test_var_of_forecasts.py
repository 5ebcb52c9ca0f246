"""The tables of how values at risk held."""

from __future__ import annotations

import numpy as np

from risk.report import PastForecasts, from_forecast
from training.var_of_forecasts import forecast_table, method_table

DAYS = 200


def entry(level: float, beyond: list[int] | str):
    """A value at risk that is exceeded on these days."""
    returns = np.zeros(DAYS)
    if isinstance(beyond, str):
        return from_forecast(level, 1, "none", beyond, returns)
    returns[beyond] = -0.05
    past = PastForecasts(np.full(DAYS, 0.01), np.arange(DAYS), 314, "made up")
    return from_forecast(level, 1, "none", past, returns)


FOUND = {
    "FINE": (entry(0.95, list(range(5, 200, 20))), entry(0.99, [10, 150])),
    "ODD": (entry(0.95, [7]), entry(0.99, [50, 51, 52, 53, 54, 55])),
    "NONE": (entry(0.95, "it was away"), entry(0.99, "it was away")),
}


def test_a_row_a_symbol():
    head, rule, *rows = forecast_table(FOUND)
    assert head.count("|") == rule.count("|") == rows[0].count("|") == 10
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["FINE", "ODD", "NONE"]
    assert [cells[0][1], cells[0][4], cells[0][5], cells[0][8]] == ["10 of 10.0", "passes", "2 of 2.0", "passes"]
    assert [cells[1][1], cells[1][4]] == ["1 of 10.0", "too few"]
    assert [cells[1][5], cells[1][8]] == ["6 of 2.0", "too many and they cluster"]
    assert [cells[2][1], cells[2][4]] == ["–", "it was away"]


def test_a_row_a_method_and_level():
    assert method_table(FOUND)[2:] == [
        "| forecast | 95 % | 1 of 2 | 1 | 2 | 11 | 20 |",
        "| forecast | 99 % | 1 of 2 | 1 | 1 | 8 | 4 |",
    ]
