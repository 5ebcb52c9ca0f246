"""Weights, conformal offsets and the recalibration of the sign, fitted on data later than the members' training.

Shares have closes alone in the calibration window, so they give the offsets and the sign for all kinds of series;
the two indexes have ranges then, and give the weights of the members that use them. Nothing else was seen, so for
crypto and currencies the spread is kept, the drift is not (see contracts.Calibration).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contracts import AssetClass, Calibration, Floats, MemberSpec, ModelSet, Times, kind_of
from ensemble.combine import blend, usable_weights
from ensemble.conformal import fit_offsets
from ensemble.direction import fit_recalibration, raw_probability_up
from ensemble.distribution import distribution, recent_corrections
from ensemble.weights import fit_weights
from training.history import History
from training.plan import Plan
from training.selection import useful_members

REGIME_POINTS = 101
# Steps of the correction by recent outcomes: of the scale, of each quantile. Where no drift is assumed and nothing was
# fitted, a symbol's own quantiles may move twice as fast.
STOCK_RATES = (0.002, 0.004)
OTHER_RATES = (0.005, 0.01)
NO_RECALIBRATION = (0.0, 1.0)
CLOSES, RANGES = kind_of(AssetClass.EQUITY, False), kind_of(AssetClass.EQUITY, True)
OTHER_CLOSES, OTHER_RANGES = kind_of(AssetClass.CRYPTO, False), kind_of(AssetClass.CRYPTO, True)

# These have a process each that runs anyway, and trees, recurrence and attention fail in different ways: they answer
# unless the caller names others, also when the calibration window alone would do without one of them.
ALWAYS = ("xgboost", "lstm", "transformer")

Answers = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Pool:
    """Calibration rows of several symbols: each member's (n, H, Q) z quantiles, and (n, H) outcomes, NaN if purged;
    ``regime`` and ``origins`` (n,) belong to the rows."""

    answers: Answers
    outcomes: Floats
    regime: Floats
    origins: Times


def calibrate(
    shares: Sequence[tuple[History, Answers]],
    indexes: Sequence[tuple[History, Answers]],
    members: Sequence[MemberSpec],
    plan: Plan,
) -> ModelSet:
    """A model set with everything but evidence, from histories and the members' z quantiles for them.

    Without ``indexes`` there is no member that uses ranges, and series with ranges are answered as those without.
    """
    names = [member.name for member in members]
    closes = _pool(shares, plan)
    ranges = _pool(indexes, plan) if indexes else closes
    useful = useful_members(closes.answers, closes.outcomes, closes.origins, plan.grid, always=ALWAYS)
    plain = _weights(closes, names, useful, plan)
    draft = _draft(members, plan, plain, _offsets(closes, names, plain, plan), closes.regime)
    fitted = replace(draft.calibration[CLOSES], direction=_direction(shares, draft, plan))
    # The few series with ranges could not tell which members to do without: those of closes, and all that use ranges.
    useful += tuple(member.name for member in members if not member.fits(has_ranges=False))
    with_ranges = _with_ranges(fitted, _weights(ranges, names, useful, plan), members)
    return replace(
        draft,
        calibration={
            CLOSES: fitted,
            RANGES: with_ranges,
            OTHER_CLOSES: _driftless(fitted),
            OTHER_RANGES: _driftless(with_ranges),
        },
    )


def _draft(
    members: Sequence[MemberSpec], plan: Plan, weights: Floats, offsets: tuple[Floats, Floats], regime: Floats
) -> ModelSet:
    calibration = Calibration(
        weights=weights,
        masks=offsets[0],
        offsets=offsets[1],
        direction=np.tile(NO_RECALIBRATION, (plan.grid.horizons[-1], 1)),
        regime=np.quantile(regime, np.linspace(0, 1, REGIME_POINTS)),
        drift=np.array(1.0),
        rates=np.array(STOCK_RATES),
    )
    return ModelSet("draft", plan.grid, tuple(members), {CLOSES: calibration}, {}, {})


def _driftless(calibration: Calibration) -> Calibration:
    neutral = np.tile(NO_RECALIBRATION, (len(calibration.direction), 1))
    return replace(calibration, direction=neutral, drift=np.array(0.0), rates=np.array(OTHER_RATES))


def _pool(parts: Sequence[tuple[History, Answers]], plan: Plan) -> Pool:
    """The rows inside the calibration window; of the members, those that every symbol can feed."""
    kept: list[tuple[Answers, Floats, Floats, Times]] = []
    for history, answers in parts:
        inside = history.inside(plan.windows.calibration, plan.grid.horizons)
        rows = np.flatnonzero(inside.any(axis=1))
        outcomes = np.where(inside, history.z(plan.grid), np.nan)[rows]
        theirs = {name: z[rows] for name, z in answers.items()}
        kept.append((theirs, outcomes, history.matrix.regime[rows], history.origins[rows]))
    common = [name for name in kept[0][0] if all(name in each[0] for each in kept)]
    return Pool(
        {name: np.concatenate([each[0][name] for each in kept]) for name in common},
        *(np.concatenate([each[part] for each in kept]) for part in (1, 2, 3)),
    )


def _weights(pool: Pool, names: Sequence[str], useful: Sequence[str], plan: Plan) -> Floats:
    """(n_members, n_horizons), one simplex a horizon; zero for members that are not useful or that the pool cannot
    feed."""
    weights = np.zeros((len(names), len(plan.grid.horizons)))
    fed = [names.index(name) for name in pool.answers if name in useful]
    for i in range(len(plan.grid.horizons)):
        known = ~np.isnan(pool.outcomes[:, i])
        quantiles = [z[known, i] for name, z in pool.answers.items() if name in useful]
        weights[fed, i] = fit_weights(quantiles, pool.outcomes[known, i], plan.grid.levels)
    return weights


def _offsets(pool: Pool, names: Sequence[str], weights: Floats, plan: Plan) -> tuple[Floats, Floats]:
    """(n_subsets,) masks and their (n_subsets, n_horizons, n_levels) offsets: every subset of the members that have
    weight, and each member alone."""
    weighted = [name for name, row in zip(names, weights, strict=True) if row.any()]
    subsets = [tuple(name for i, name in enumerate(weighted) if mask >> i & 1) for mask in range(1, 2 ** len(weighted))]
    subsets = list(dict.fromkeys([*subsets, *((name,) for name in pool.answers)]))
    offsets = []
    for alive in subsets:
        blended = blend([pool.answers[name] for name in alive], usable_weights(weights, names, alive, None))
        offsets.append(
            [fit_offsets(pool.outcomes[:, i], blended[:, i], plan.grid.levels) for i in range(len(weights[0]))]
        )
    masks = [sum(1 << names.index(name) for name in alive) for alive in subsets]
    return np.array(masks, np.float64), np.array(offsets)


def _with_ranges(closes: Calibration, weights: Floats, members: Sequence[MemberSpec]) -> Calibration:
    """Offsets for subsets with members that use ranges: those of the rest of the subset, which shares were measured
    on; zero for a member that uses ranges alone."""
    using = [1 << i for i, member in enumerate(members) if not member.fits(has_ranges=False)]
    masks, offsets = list(closes.masks), list(closes.offsets)
    for bit in using:
        masks += [mask + bit for mask in masks] + [float(bit)]
        offsets += [*offsets, np.zeros_like(offsets[0])]
    return replace(closes, weights=weights, masks=np.array(masks), offsets=np.array(offsets))


def _direction(shares: Sequence[tuple[History, Answers]], draft: ModelSet, plan: Plan) -> Floats:
    """(n_steps, 2) intercept and slope of the sign's recalibration at every horizon."""
    steps = np.arange(1, plan.grid.horizons[-1] + 1)
    probabilities, rose = [], []
    for history, answers in shares:
        inside = history.inside(plan.windows.calibration, steps)
        rows = np.flatnonzero(inside[:, 0])
        chosen = {name: answers[name][rows] for name in draft.weighted(CLOSES)}
        witnesses = {name: answers[name][rows] for name in draft.witnesses(CLOSES)}
        z, origins = history.z(plan.grid)[rows], history.origins[rows]
        correction = recent_corrections(draft, CLOSES, witnesses, z, origins, np.arange(len(rows)))
        spread = distribution(draft, CLOSES, chosen, history.matrix.take(rows), None, correction)
        probabilities.append(np.where(inside[rows], raw_probability_up(spread.surfaces, spread.levels), np.nan))
        rose.append((history.returns[rows] > 0).astype(np.float64))
    probability, outcome = np.concatenate(probabilities), np.concatenate(rose)
    known = ~np.isnan(probability)
    fitted = [fit_recalibration(probability[known[:, i], i], outcome[known[:, i], i]) for i in range(len(steps))]
    return np.array(fitted)
