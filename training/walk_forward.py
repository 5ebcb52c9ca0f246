"""One symbol after the other through the code that serves, and the scores of all of them. No training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.diagnostics import Diagnostics, chosen_diagnostics, diagnose, pooled_diagnostics
from backtest.measure import Scored, chosen, pooled, score_forecasts
from backtest.splits import Window
from contracts import AssetClass, Floats, Ints, ModelSet, kind_of
from training.evidence import References, forecasts_at, weighted_for
from training.fans import Fan, sample_fans
from training.history import History
from training.predictions import Predict
from training.scoreboard import Row, diagnosed_rows
from training.stages import EARLIER, SERVED, score_earlier, stage_rows


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured for one symbol. ``rose`` and ``counted`` (n_horizons,) are outcomes known before the window
    opened, from which base rates come; ``earlier`` are the scores before each step of calibration."""

    symbol: str
    asset_class: AssetClass
    scored: Scored
    diagnostics: Diagnostics
    rose: Floats
    counted: Floats
    fans: tuple[Fan, ...]
    earlier: Mapping[str, Scored]


def evaluate_symbol(
    history: History, predict: Predict, model_set: ModelSet, window: Window, horizons: Ints, references: References
) -> Part | None:
    """Forecast every origin of the window from what was known then, and score it; None where it holds nothing.

    ``horizons`` (n_horizons,) increase.
    """
    inside = history.inside(window, horizons)
    rows = np.flatnonzero(inside.any(axis=1))
    if not rows.size:
        return None
    answers, names = predict(history.matrix), weighted_for(history, model_set)
    spread = forecasts_at(history, rows, answers, model_set, names)
    surfaces = spread.surfaces[:, horizons - 1]
    outcomes = np.where(inside[rows], history.returns[rows][:, horizons - 1], np.nan)
    compared = dict(references(history, rows, horizons))
    probability_up = spread.probability_up[:, horizons - 1]
    before = _known_before(history, window, horizons)
    return Part(
        symbol=history.bars.symbol,
        asset_class=history.asset_class,
        scored=score_forecasts(history.origins[rows], outcomes, surfaces, spread.levels, probability_up, compared),
        diagnostics=diagnose(outcomes, surfaces, spread.levels, _mean_move(before)),
        rose=(before > 0).sum(axis=0).astype(np.float64),
        counted=(~np.isnan(before)).sum(axis=0).astype(np.float64),
        fans=sample_fans(history, rows, spread, int(horizons[-1])),
        earlier=score_earlier(
            model_set,
            kind_of(history.asset_class, history.bars.has_ranges),
            {name: answers[name][rows] for name in names},
            history.matrix.take(rows),
            history.origins[rows],
            outcomes,
            horizons,
            compared,
        ),
    )


def scoreboard(parts: Sequence[Part], horizons: Sequence[int]) -> dict[str, Any]:
    """Rows pooled over all symbols, by asset class, by year of the origin, and of each symbol."""
    classes = sorted({part.asset_class for part in parts})
    years = sorted({int(year) for part in parts for year in _years(part)})
    return {
        "pooled": _rows(parts, horizons) if parts else [],
        "by_asset_class": {
            str(kind): _rows([part for part in parts if part.asset_class is kind], horizons) for kind in classes
        },
        "by_year": {str(year): _rows(parts, horizons, year) for year in years},
        "per_symbol": {part.symbol: _rows([part], horizons) for part in parts},
    }


def calibration_stages(parts: Sequence[Part], horizons: Sequence[int]) -> dict[str, list[Row]]:
    """Rows pooled over all symbols before each step of calibration, and as served (training/stages.py)."""
    stages = {stage: [part.earlier[stage] for part in parts] for stage in EARLIER}
    return stage_rows(stages | {SERVED: [part.scored for part in parts]}, horizons) if parts else {}


def base_rates(parts: Sequence[Part]) -> Floats:
    """(n_horizons,) share of rises before the window opened; a half where there was no earlier outcome."""
    rose, counted = (np.sum([getattr(part, name) for part in parts], axis=0) for name in ("rose", "counted"))
    return np.where(counted > 0, rose / np.maximum(counted, 1.0), 0.5)


def _rows(parts: Sequence[Part], horizons: Sequence[int], year: int | None = None) -> list[Row]:
    scored, diagnostics = pooled([part.scored for part in parts]), pooled_diagnostics([p.diagnostics for p in parts])
    if year is not None:
        which = scored.origins.astype("datetime64[Y]") == np.datetime64(str(year), "Y")
        scored, diagnostics = chosen(scored, which), chosen_diagnostics(diagnostics, which)
    return diagnosed_rows(scored, diagnostics, horizons, base_rates(parts).tolist())


def _years(part: Part) -> Sequence[int]:
    return np.unique(part.scored.origins.astype("datetime64[Y]").astype(int) + 1970).tolist()


def _known_before(history: History, window: Window, horizons: Ints) -> Floats:
    """(n_rows, n_horizons) outcomes known before the window opens, else NaN."""
    ends = history.ends[:, horizons - 1]
    earlier = (ends < np.datetime64(window.start)) & ~np.isnat(ends)
    return np.where(earlier, history.returns[:, horizons - 1], np.nan)


def _mean_move(earlier: Floats) -> Floats:
    """(n_horizons,) mean absolute outcome, NaN where there is none."""
    count = (~np.isnan(earlier)).sum(axis=0)
    total = np.nansum(np.abs(earlier), axis=0)
    return np.where(total > 0, total / np.maximum(count, 1), np.nan)
