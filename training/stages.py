"""What calibration is worth: the same forecasts raw, with split conformal offsets alone, and as they are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backtest.measure import Scored, coverage, pooled, score_forecasts
from contracts import FeatureMatrix, Floats, Ints, ModelSet, Times
from ensemble.distribution import distribution
from training.scoreboard import Row, score_rows

EARLIER = ("raw", "split_conformal")
SERVED = "served"
SHOWN = (
    "horizon",
    "n",
    "pinball",
    "skill_vs_ewma",
    "t_vs_ewma",
    "p_vs_ewma",
    "skill_vs_garch",
    "coverage_50",
    "coverage_80",
    "coverage_90",
    "width_90",
)


def score_earlier(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats],
    matrix: FeatureMatrix,
    origins: Times,
    outcomes: Floats,
    horizons: Ints,
    references: Mapping[str, Floats],
) -> dict[str, Scored]:
    """Scores of one symbol before each step of calibration, by stage: of the blend as it comes (`raw`), and of the
    blend with the offsets of split conformal prediction, which own outcomes do not correct (`split_conformal`)."""
    sets = {"raw": _without_offsets(model_set, kind), "split_conformal": model_set}
    scored = {}
    for stage, each in sets.items():
        spread = distribution(each, kind, members, matrix, n_steps=int(horizons[-1]))
        surfaces, probability_up = spread.surfaces[:, horizons - 1], spread.probability_up[:, horizons - 1]
        scored[stage] = score_forecasts(origins, outcomes, surfaces, spread.levels, probability_up, dict(references))
    return scored


def stage_rows(stages: Mapping[str, Sequence[Scored]], horizons: Sequence[int]) -> dict[str, list[Row]]:
    """For each stage a row a horizon, pooled over the symbols, with the lowest and highest coverage of any symbol."""
    found = {}
    for stage, symbols in stages.items():
        rows = score_rows(pooled(list(symbols)), horizons, [0.5] * len(horizons))
        found[stage] = [
            {key: row[key] for key in SHOWN} | _extremes(symbols, column) for column, row in enumerate(rows)
        ]
    return found


def _without_offsets(model_set: ModelSet, kind: str) -> ModelSet:
    fitted = model_set.calibration[kind]
    raw = replace(fitted, offsets=np.zeros_like(fitted.offsets))
    return replace(model_set, calibration={**model_set.calibration, kind: raw})


def _extremes(symbols: Sequence[Scored], column: int) -> Row:
    covered = [coverage(scored.ranks[:, column], 0.90) for scored in symbols]
    known = [each for each in covered if not np.isnan(each)]
    return {
        "lowest_coverage_90": min(known) if known else None,
        "highest_coverage_90": max(known) if known else None,
    }
