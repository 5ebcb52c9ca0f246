"""Rows of scores: one a horizon, as numbers for JSON and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from backtest.diagnostics import Diagnostics, pit_histogram, scaled_error
from backtest.measure import Scored, against, coverage, direction_score
from backtest.reliability import log_score, reliability
from backtest.score import standard_error

# A number is None where nothing was measured, never NaN: JSON has none.
Row = dict[str, Any]

REFERENCES = ("random_walk", "ewma", "garch", "gjr", "fhs")
COVERAGES = (50, 80, 90, 95, 99)


def score_rows(scored: Scored, horizons: Sequence[int], base_rates: Sequence[float]) -> list[Row]:
    """One row a horizon; skills and coverages are fractions, losses and widths log returns."""
    return [_without_nan(_row(scored, i, int(horizon), float(base_rates[i]))) for i, horizon in enumerate(horizons)]


def diagnosed_rows(
    scored: Scored, diagnostics: Diagnostics, horizons: Sequence[int], base_rates: Sequence[float]
) -> list[Row]:
    """The same with everything of docs/evaluation.md: CRPS, PIT histogram, reliability, log score, scaled errors."""
    rows = score_rows(scored, horizons, base_rates)
    return [
        row | _without_nan(_diagnosis(scored, diagnostics, i, int(horizon), float(base_rates[i])))
        for i, (row, horizon) in enumerate(zip(rows, horizons, strict=True))
    ]


def _row(scored: Scored, column: int, horizon: int, base_rate: float) -> Row:
    known = ~np.isnan(scored.outcomes[:, column])
    row: Row = {"horizon": horizon, "n": int(known.sum()), "pinball": _mean(scored.loss[:, column])}
    for name in REFERENCES:
        row |= _against(scored, name, column, horizon)
    for level in COVERAGES:
        row[f"coverage_{level}"] = coverage(scored.ranks[:, column], level / 100)
        row[f"coverage_{level}_se"] = _coverage_error(scored, column, horizon, level / 100)
    row["width_90"] = _mean(scored.width_90[:, column])
    return row | _sign(scored, column, horizon, base_rate)


def _against(scored: Scored, name: str, column: int, horizon: int) -> Row:
    keys = (f"skill_vs_{name}", f"t_vs_{name}", f"p_vs_{name}")
    if name not in scored.baselines or np.isnan(scored.baselines[name][:, column]).all():
        return dict.fromkeys(keys)
    return dict(zip(keys, against(scored, name, column, horizon), strict=True))


def _coverage_error(scored: Scored, column: int, horizon: int, confidence_level: float) -> float | None:
    ranks = scored.ranks[:, column]
    known = ~np.isnan(ranks)
    if not known.any():
        return None
    return standard_error((ranks[known] <= confidence_level).astype(float), scored.origins[known], horizon)


# Keys of a row and the fields of measure.DirectionScore they hold.
_SIGN = {
    "direction": "accuracy",
    "direction_se": "accuracy_error",
    "t_vs_always_up": "t_vs_always_up",
    "p_vs_always_up": "p_vs_always_up",
    "always_up": "up_share",
    "brier": "brier",
    "brier_gain": "brier_gain",
    "brier_gain_p": "p_value",
    "ece": "calibration_error",
}


def _sign(scored: Scored, column: int, horizon: int, base_rate: float) -> Row:
    if np.isnan(scored.outcomes[:, column]).all():
        return dict.fromkeys([*_SIGN, "base_rate"])
    sign = direction_score(scored, column, horizon, base_rate)
    return {key: getattr(sign, name) for key, name in _SIGN.items()} | {"base_rate": base_rate}


def _diagnosis(scored: Scored, parts: Diagnostics, column: int, horizon: int, base_rate: float) -> Row:
    known = ~np.isnan(scored.outcomes[:, column])
    row: Row = {
        "crps": _mean(parts.crps[:, column]),
        "width_50": _mean(parts.width_50[:, column]),
        "width_80": _mean(parts.width_80[:, column]),
        "mase": scaled_error(parts, column) if known.any() else None,
        "error_vs_no_change": _ratio(parts.error[known, column].sum(), parts.naive_error[known, column].sum()),
        "pit": pit_histogram(parts.pit[:, column]),
        "zero_returns": int((scored.outcomes[:, column] == 0).sum()),
    }
    if not known.any():
        return row | {"log_score": None, "log_score_gain": None, "reliability": []}
    up, probability = (scored.outcomes[known, column] > 0).astype(float), scored.probability_up[known, column]
    confidence, right = np.maximum(probability, 1.0 - probability), ((probability >= 0.5) == (up > 0)).astype(float)
    ours, reference = log_score(probability, up), log_score(base_rate, up)
    return row | {
        "log_score": ours,
        "log_score_gain": 1.0 - ours / reference,
        "reliability": [asdict(part) for part in reliability(confidence, right, scored.origins[known], horizon)],
    }


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(numerator: float, denominator: float) -> float | None:
    return float(numerator / denominator) if denominator > 0 else None


def _without_nan(row: Row) -> Row:
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}


_COLUMNS: Mapping[str, tuple[str, float, str]] = {
    "horizon": ("horizon", 1, "d"),
    "forecasts": ("n", 1, "d"),
    "skill vs random walk %": ("skill_vs_random_walk", 100, ".1f"),
    "t": ("t_vs_random_walk", 1, ".1f"),
    "skill vs EWMA %": ("skill_vs_ewma", 100, ".1f"),
    "t ": ("t_vs_ewma", 1, ".1f"),
    "skill vs GARCH %": ("skill_vs_garch", 100, ".1f"),
    "t  ": ("t_vs_garch", 1, ".1f"),
    "cover 50 %": ("coverage_50", 100, ".1f"),
    "cover 90 %": ("coverage_90", 100, ".1f"),
    "width 90 %": ("width_90", 100, ".1f"),
    "sign right %": ("direction", 100, ".1f"),
    "± ": ("direction_se", 100, ".1f"),
    "always up %": ("always_up", 100, ".1f"),
    "ECE": ("ece", 1, ".3f"),
}


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles and formatted cells; a column that nobody measured is left out, a missing number is a dash."""
    shown = [row for row in rows if row["n"]]
    columns = {title: each for title, each in _COLUMNS.items() if any(row.get(each[0]) is not None for row in shown)}
    cells = [[cell(row.get(key), scale, form) for key, scale, form in columns.values()] for row in shown]
    return list(columns), cells


def cell(value: float | None, scale: float, form: str) -> str:
    """A number for people, a dash where there is none."""
    return "–" if value is None else format(value * scale, form)


def markdown_table(rows: Sequence[Row]) -> str:
    """The same as Markdown."""
    titles, cells = table_cells(rows)
    lines = [titles, ["---:"] * len(titles), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
