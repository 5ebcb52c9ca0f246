"""Rows of scores: one a horizon, as numbers for JSON and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backtest.measure import Scored, against, coverage, direction_score

Row = dict[str, Any]


def score_rows(scored: Scored, horizons: Sequence[int], base_rates: Sequence[float]) -> list[Row]:
    """One row a horizon; skills and coverages are fractions, losses and widths log returns."""
    return [_row(scored, i, int(horizon), float(base_rates[i])) for i, horizon in enumerate(horizons)]


def _row(scored: Scored, column: int, horizon: int, base_rate: float) -> Row:
    known = ~np.isnan(scored.outcomes[:, column])
    if not known.any():
        return {"horizon": horizon, "n": 0}
    row: Row = {"horizon": horizon, "n": int(known.sum()), "pinball": float(scored.loss[known, column].mean())}
    for name in scored.baselines:
        gain, statistic, p_value = against(scored, name, column, horizon)
        row |= {f"skill_vs_{name}": gain, f"t_vs_{name}": statistic, f"p_vs_{name}": p_value}
    ranks = scored.ranks[:, column]
    row |= {f"coverage_{level}": coverage(ranks, level / 100) for level in (50, 80, 90, 95, 99)}
    row["width_90"] = float(np.nanmean(scored.width_90[:, column]))
    sign = direction_score(scored, column, horizon, base_rate)
    return row | {
        "direction": sign.accuracy,
        "direction_se": sign.accuracy_error,
        "always_up": sign.up_share,
        "brier": sign.brier,
        "brier_gain": sign.brier_gain,
        "ece": sign.calibration_error,
    }


_COLUMNS: Mapping[str, tuple[str, float, str]] = {
    "horizon": ("horizon", 1, "d"),
    "forecasts": ("n", 1, "d"),
    "skill vs random walk %": ("skill_vs_random_walk", 100, ".1f"),
    "t": ("t_vs_random_walk", 1, ".1f"),
    "skill vs EWMA %": ("skill_vs_ewma", 100, ".1f"),
    "t ": ("t_vs_ewma", 1, ".1f"),
    "cover 50 %": ("coverage_50", 100, ".1f"),
    "cover 90 %": ("coverage_90", 100, ".1f"),
    "width 90 %": ("width_90", 100, ".1f"),
    "sign right %": ("direction", 100, ".1f"),
    "± ": ("direction_se", 100, ".1f"),
    "always up %": ("always_up", 100, ".1f"),
    "ECE": ("ece", 1, ".3f"),
}


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles and formatted cells."""
    shown = [row for row in rows if row["n"]]
    cells = [[format(row[key] * scale, form) for key, scale, form in _COLUMNS.values()] for row in shown]
    return list(_COLUMNS), cells


def markdown_table(rows: Sequence[Row]) -> str:
    """The same as Markdown."""
    titles, cells = table_cells(rows)
    lines = [titles, ["---:"] * len(titles), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
