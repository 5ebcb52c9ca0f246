"""Pooled measurements over many symbols: the rows of a scoreboard and the tables of evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.score import (
    SCORED_LEVELS,
    diebold_mariano,
    expected_calibration_error,
    pinball_loss,
    skill,
    standard_error,
)
from contracts import Floats, Times
from ensemble.surface import at_level, probability_below


@dataclass(frozen=True, slots=True)
class Scored:
    """Forecasts and outcomes of some symbols at some horizons, in log returns; axis 0 is (symbol, origin).

    ``origins`` (n,), ``outcomes``, ``loss``, ``ranks`` and ``probability_up`` (n, n_horizons), NaN where the
    outcome is not known or lies outside the window. ``loss`` is the mean pinball loss over SCORED_LEVELS,
    ``ranks`` is |2 PIT - 1|: the smallest central interval that holds the outcome. ``baselines`` are losses of
    the same shape. ``width_90`` is the width of the 90 % interval.
    """

    origins: Times
    outcomes: Floats
    loss: Floats
    ranks: Floats
    width_90: Floats
    probability_up: Floats
    baselines: dict[str, Floats]


def score_forecasts(
    origins: Times,
    outcomes: Floats,
    surfaces: Floats,
    levels: Sequence[float],
    probability_up: Floats,
    baselines: dict[str, Floats],
) -> Scored:
    """Score (n, n_horizons, n_levels) quantiles; ``baselines`` are (n, n_horizons, len(SCORED_LEVELS)) quantiles."""
    shown = np.stack([at_level(surfaces, levels, level) for level in SCORED_LEVELS], axis=-1)
    return Scored(
        origins=origins,
        outcomes=outcomes,
        loss=pinball_loss(outcomes, shown, SCORED_LEVELS),
        ranks=np.abs(2.0 * probability_below(surfaces, levels, outcomes) - 1.0) + 0.0 * outcomes,
        width_90=shown[..., -1] - shown[..., 0] + 0.0 * outcomes,
        probability_up=probability_up + 0.0 * outcomes,
        baselines={name: pinball_loss(outcomes, quantiles, SCORED_LEVELS) for name, quantiles in baselines.items()},
    )


def pooled(parts: Sequence[Scored]) -> Scored:
    """Several symbols as one."""
    return Scored(
        origins=np.concatenate([part.origins for part in parts]),
        outcomes=np.concatenate([part.outcomes for part in parts]),
        loss=np.concatenate([part.loss for part in parts]),
        ranks=np.concatenate([part.ranks for part in parts]),
        width_90=np.concatenate([part.width_90 for part in parts]),
        probability_up=np.concatenate([part.probability_up for part in parts]),
        baselines={name: np.concatenate([part.baselines[name] for part in parts]) for name in parts[0].baselines},
    )


def chosen(whole: Scored, which: NDArray[np.bool_]) -> Scored:
    """The forecasts for which ``which`` (n,) holds."""
    return Scored(
        origins=whole.origins[which],
        outcomes=whole.outcomes[which],
        loss=whole.loss[which],
        ranks=whole.ranks[which],
        width_90=whole.width_90[which],
        probability_up=whole.probability_up[which],
        baselines={name: losses[which] for name, losses in whole.baselines.items()},
    )


def coverage(ranks: Floats, confidence_level: float) -> float:
    """Share of the known outcomes inside the central interval at this level."""
    return float(coverages(ranks, np.array([confidence_level]))[0])


def coverages(ranks: Floats, confidence_levels: Floats) -> Floats:
    """(n_levels,) the same at each level."""
    known = np.sort(ranks[~np.isnan(ranks)])
    if not len(known):
        return np.full(len(confidence_levels), np.nan)
    inside: Floats = np.searchsorted(known, confidence_levels, side="right") / len(known)
    return inside


def against(scored: Scored, baseline: str, column: int, horizon: int) -> tuple[float, float, float]:
    """Skill, Diebold-Mariano statistic and p-value against a baseline at one horizon."""
    loss, reference = scored.loss[:, column], scored.baselines[baseline][:, column]
    statistic, p_value = diebold_mariano(reference - loss, scored.origins, horizon)
    return skill(loss, reference), statistic, p_value


@dataclass(frozen=True, slots=True)
class DirectionScore:
    """How well the sign is told: share of rises, share of right calls with its standard error, t and p-value of these
    against calling every one a rise, Brier score with its gain over ``base_rate``, the p-value of that gain, and the
    calibration error of the confidence."""

    up_share: float
    accuracy: float
    accuracy_error: float
    t_vs_always_up: float
    p_vs_always_up: float
    brier: float
    brier_gain: float
    p_value: float
    calibration_error: float


def direction_score(scored: Scored, column: int, horizon: int, base_rate: float) -> DirectionScore:
    """Zero returns count as not risen. ``base_rate`` must come from earlier data."""
    known = ~np.isnan(scored.outcomes[:, column])
    up, probability = (scored.outcomes[known, column] > 0).astype(float), scored.probability_up[known, column]
    right = ((probability >= 0.5) == (up > 0)).astype(float)
    ours, reference = (probability - up) ** 2, (base_rate - up) ** 2
    _, p_value = diebold_mariano(reference - ours, scored.origins[known], horizon)
    calls = diebold_mariano(right - up, scored.origins[known], horizon)
    return DirectionScore(
        up_share=float(up.mean()),
        accuracy=float(right.mean()),
        accuracy_error=standard_error(right, scored.origins[known], horizon),
        t_vs_always_up=calls[0],
        p_vs_always_up=calls[1],
        brier=float(ours.mean()),
        brier_gain=float(1.0 - ours.mean() / reference.mean()),
        p_value=p_value,
        calibration_error=expected_calibration_error(np.maximum(probability, 1 - probability), right),
    )
