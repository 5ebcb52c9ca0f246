"""Where a vendor's series breaks without news: splits it announced and did not apply, units it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from contracts import BarIssue, Floats
from market.vendor import Series, Split

PRICES = ("open", "high", "low", "close", "adj_close")
SPLIT_REMAINDER = 0.15
SMALLEST_SPLIT = 0.18
UNADJUSTED_MOVE = 0.2
UNIT_CHANGE = float(np.log(100.0))
UNIT_REMAINDER = 0.1


def mended(series: Series) -> tuple[Series, list[BarIssue]]:
    """The series of one unit and one count of shares, oldest first, and what was done to get it.

    A split that the vendor announces and whose whole move is still in its closes is applied to the prices before it.
    Before a change by a factor of 100, as from pounds to pence, everything is dropped. Where the vendor does not adjust
    for splits, so is everything before a move of more than ``UNADJUSTED_MOVE`` (log return), which may be one.
    """
    order = np.argsort(series.times, kind="stable")
    series = _taken(series, order)
    issues = []
    for split in series.splits:
        at = int(np.searchsorted(series.times.astype("datetime64[D]"), split.day.astype("datetime64[D]")))
        if _is_unapplied(series, at, split):
            series = replace(series, columns=_divided(series.columns, at, split.ratio))
            issues.append(BarIssue(str(split.day), f"kept: prices before it were divided by {split.ratio:g}, a split"))
    start = _last_break(series)
    if start == 0:
        return series, issues
    kept = _taken(series, np.arange(start, len(series.times)))
    why = "the unit of the prices changes here" if series.adjusts_splits else "a move that may be an unadjusted split"
    span = f"{series.times[0]}/{series.times[start - 1]}"
    return kept, [*issues, BarIssue(span, f"dropped: {start} bars before {series.times[start]}: {why}")]


def with_splits_applied(columns: Mapping[str, Floats], ratios: Floats) -> dict[str, Floats]:
    """Prices as traded, oldest first, in today's shares: divided by every later split. ``ratios`` (n_rows,) is the
    split that takes effect with each row, 1 where none does. ``adj_close`` is left as it is, volume multiplied."""
    later = np.append(np.cumprod(ratios[::-1])[::-1][1:], 1.0)
    scaled = {name: values / later for name, values in columns.items() if name in ("open", "high", "low", "close")}
    if "volume" in columns:
        scaled["volume"] = columns["volume"] * later
    return {**columns, **scaled}


def _is_unapplied(series: Series, at: int, split: Split) -> bool:
    before = _neighbour(series.columns["close"][:at][::-1])
    after = _neighbour(series.columns["close"][at:])
    if before is None or after is None or split.ratio <= 0 or abs(np.log(split.ratio)) < SMALLEST_SPLIT:
        return False
    return bool(abs(np.log(after / before) + np.log(split.ratio)) < SPLIT_REMAINDER)


def _neighbour(closes: Floats) -> float | None:
    """The first of a few closes that is a price."""
    prices = closes[:5][np.isfinite(closes[:5]) & (closes[:5] > 0)]
    return float(prices[0]) if prices.size else None


def _divided(columns: Mapping[str, Floats], before: int, ratio: float) -> dict[str, Floats]:
    scale = np.ones(len(columns["close"]))
    scale[:before] = ratio
    divided = {name: values / scale for name, values in columns.items() if name in PRICES}
    if "volume" in columns:
        divided["volume"] = columns["volume"] * scale
    return {**columns, **divided}


def _last_break(series: Series) -> int:
    """Index of the first row after the last break, 0 where there is none. A misprint, undone at once, is none."""
    closes = series.columns["close"]
    sound = np.flatnonzero(np.isfinite(closes) & (closes > 0))
    moves = np.diff(np.log(closes[sound]))
    breaks = np.abs(np.abs(moves) - UNIT_CHANGE) < UNIT_REMAINDER
    if not series.adjusts_splits:
        breaks |= np.abs(moves) > UNADJUSTED_MOVE
    undone = np.zeros(len(moves), dtype=bool)
    pairs = np.abs(moves[:-1] + moves[1:]) <= UNADJUSTED_MOVE / 2
    undone[:-1] |= pairs
    undone[1:] |= pairs
    found = np.flatnonzero(breaks & ~undone)
    return int(sound[found[-1] + 1]) if found.size else 0


def _taken(series: Series, rows: np.ndarray[tuple[int], np.dtype[np.intp]] | Sequence[int]) -> Series:
    columns = {name: values[rows] for name, values in series.columns.items()}
    return replace(series, times=series.times[rows], columns=columns)
