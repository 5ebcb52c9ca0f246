"""What is served beside each forecast: coverage, skill and sign, measured later than everything that was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np

from backtest.baselines import ewma_gaussian, random_walk
from backtest.measure import Scored, against, coverages, direction_score, pooled, score_forecasts
from backtest.score import SCORED_LEVELS
from backtest.splits import Window
from contracts import EvidenceTable, Floats, Ints, ModelSet, kind_of
from ensemble.distribution import Distribution, distribution, recent_corrections
from ensemble.online import Correction, anchor
from training.history import History
from training.scoreboard import Row, score_rows

COVER_LEVELS = np.round(np.arange(0.50, 0.995, 0.01), 2)

# Quantiles (n_rows, n_horizons, n_levels) at SCORED_LEVELS by name, for rows of a history and horizons.
References = Callable[[History, Ints, Ints], Mapping[str, Floats]]


def scored_history(
    history: History,
    answers: Mapping[str, Floats],
    names: Sequence[str],
    model_set: ModelSet,
    window: Window,
    horizons: Ints,
    baselines: Mapping[str, Floats] | None = None,
    references: References | None = None,
) -> tuple[Scored, dict[str, Floats]] | None:
    """Score one symbol at these horizons through the ensemble that serves; None where the window holds nothing.

    ``answers`` are z quantiles for every row of the history, of the members ``names`` that are used and of the
    witnesses to what becomes of forecasts (ModelSet.witnesses). Baseline quantiles are
    returned too, so that other subsets of the members need not work them out again; ``references`` makes them
    where ``baseline_quantiles`` should not.
    """
    inside = history.inside(window, horizons)
    rows = np.flatnonzero(inside.any(axis=1))
    if not rows.size:
        return None
    spread = forecasts_at(history, rows, answers, model_set, names)
    outcomes = np.where(inside[rows], history.returns[rows][:, horizons - 1], np.nan)
    compared = dict(baselines or (references or baseline_quantiles)(history, rows, horizons))
    scored = score_forecasts(
        history.origins[rows],
        outcomes,
        spread.surfaces[:, horizons - 1],
        spread.levels,
        spread.probability_up[:, horizons - 1],
        compared,
    )
    return scored, compared


def forecasts_at(
    history: History, rows: Ints, answers: Mapping[str, Floats], model_set: ModelSet, names: Sequence[str]
) -> Distribution:
    """What the service would have answered at these rows, from the bars there were, with the members ``names``;
    ``answers`` as above."""
    kind = kind_of(history.asset_class, history.bars.has_ranges)
    correction = correction_at(history, rows, answers, model_set)
    chosen = {name: answers[name][rows] for name in names}
    return distribution(model_set, kind, chosen, history.matrix.take(rows), None, correction)


def correction_at(history: History, rows: Ints, answers: Mapping[str, Floats], model_set: ModelSet) -> Correction:
    """The correction in force at these rows, as the service works it out: from the year before the first on."""
    first = int(np.searchsorted(history.origins, anchor(history.origins[rows[0]])))
    recent = np.arange(first, rows[-1] + 1)
    kind = kind_of(history.asset_class, history.bars.has_ranges)
    witnesses = {name: answers[name][recent] for name in model_set.witnesses(kind)}
    outcomes = history.z(model_set.grid)[recent]
    return recent_corrections(model_set, kind, witnesses, outcomes, history.origins[recent], rows - first)


def baseline_quantiles(history: History, rows: Ints, horizons: Ints) -> dict[str, Floats]:
    """Random walk and EWMA-Gaussian quantiles at SCORED_LEVELS for these rows of a history."""
    closes = history.bars.total_return_close
    return {
        "random_walk": random_walk(closes, history.rows[rows], horizons, SCORED_LEVELS),
        "ewma": ewma_gaussian(history.matrix.sigma[rows], horizons, SCORED_LEVELS),
    }


def measure_evidence(
    histories: Sequence[History],
    answers: Sequence[Mapping[str, Floats]],
    model_set: ModelSet,
    window: Window,
    scope: str,
) -> EvidenceTable:
    """Every horizon and the subsets of ``measured_masks``, pooled over the symbols."""
    horizons = np.arange(1, model_set.grid.horizons[-1] + 1)
    masks = measured_masks(model_set, kind_of(histories[0].asset_class, histories[0].bars.has_ranges), answers[0])
    references: list[Mapping[str, Floats] | None] = [None] * len(histories)
    tables, everyone = [], None
    for mask in masks:
        parts = []
        for i, (history, members) in enumerate(zip(histories, answers, strict=True)):
            chosen = [name for bit, name in enumerate(model_set.names) if mask >> bit & 1]
            found = scored_history(history, members, chosen, model_set, window, horizons, references[i])
            if found is not None:
                references[i] = found[1]
                parts.append(found[0])
        scored = pooled(parts)  # one subset at a time: all of them together are gigabytes
        tables.append(_subset_table(scored, horizons))
        everyone = everyone or scored
    assert everyone is not None
    rates, span = base_rates(histories, window, horizons), _span(histories, window)
    return _evidence_table(masks, tables, everyone, rates, horizons, scope, span)


def _span(histories: Sequence[History], window: Window) -> tuple[date, date]:
    """The first origin and the last outcome of the one-bar forecasts in the window."""
    inside = [history.inside(window, [1])[:, 0] for history in histories]
    first = min(history.origins[at].min() for history, at in zip(histories, inside, strict=True) if at.any())
    last = max(history.ends[at, 0].max() for history, at in zip(histories, inside, strict=True) if at.any())
    return first.astype("datetime64[D]").item(), last.astype("datetime64[D]").item()


def weighted_for(history: History, model_set: ModelSet) -> tuple[str, ...]:
    """The members that serve a history by default."""
    return model_set.weighted(kind_of(history.asset_class, history.bars.has_ranges))


def measured_masks(model_set: ModelSet, kind: str, answers: Mapping[str, Floats]) -> list[int]:
    """All members with weight (first), all of them but one, what is left of them when every runner process is dead,
    those who stand in when nothing is left, and each member alone, as a request for one model leads to."""
    names = model_set.weighted(kind)
    weighted = [model_set.mask([name]) for name in names]
    everyone, alone = sum(weighted), [model_set.mask([name]) for name in answers]
    in_process = model_set.mask([member.name for member in model_set.members if member.in_process])
    stand_ins = model_set.mask(model_set.stand_ins)
    subsets = [everyone, *(everyone - bit for bit in weighted), everyone & in_process, stand_ins, *alone]
    return [mask for mask in dict.fromkeys(subsets) if mask]


def evidence_rows(
    histories: Sequence[History],
    answers: Sequence[Mapping[str, Floats]],
    model_set: ModelSet,
    window: Window,
    horizons: Ints,
    references: References | None = None,
) -> list[Row]:
    """The full set of members at a few horizons, as rows of a scoreboard; empty where the window holds nothing.

    ``references`` are what it is compared with: random walk and EWMA unless others are named.
    """
    parts = []
    for history, members in zip(histories, answers, strict=True):
        names = weighted_for(history, model_set)
        found = scored_history(history, members, names, model_set, window, horizons, references=references)
        if found is not None:
            parts.append(found[0])
    if not parts:
        return []
    return score_rows(pooled(parts), horizons.tolist(), base_rates(histories, window, horizons).tolist())


def _subset_table(scored: Scored, horizons: Ints) -> tuple[Floats, Floats, Floats]:
    """Coverage (n_steps, n_cover), skill and p-value (n_steps,)."""
    cover = np.array([coverages(scored.ranks[:, i], COVER_LEVELS) for i in range(len(horizons))])
    tests = [against(scored, "random_walk", i, int(horizon)) for i, horizon in enumerate(horizons)]
    return cover, np.array([test[0] for test in tests]), np.array([test[2] for test in tests])


def _evidence_table(
    masks: Sequence[int],
    tables: Sequence[tuple[Floats, Floats, Floats]],
    everyone: Scored,
    base_rates: Floats,
    horizons: Ints,
    scope: str,
    span: tuple[date, date],
) -> EvidenceTable:
    signs = [direction_score(everyone, i, int(horizon), float(base_rates[i])) for i, horizon in enumerate(horizons)]
    known = ~np.isnan(everyone.outcomes)
    return EvidenceTable(
        masks=np.array(masks, np.float64),
        cover_levels=COVER_LEVELS,
        coverage=np.stack([table[0] for table in tables]),
        skill=np.stack([table[1] for table in tables]),
        p_value=np.stack([table[2] for table in tables]),
        samples=known.sum(axis=0).astype(np.float64),
        up_share=np.array([sign.up_share for sign in signs]),
        accuracy=np.array([sign.accuracy for sign in signs]),
        # Both must hold for an edge: a better probability than the base rate, and better calls than always-up.
        direction_skill=np.array([min(sign.brier_gain, sign.accuracy - sign.up_share) for sign in signs]),
        direction_p_value=np.array([max(sign.p_value, sign.p_vs_always_up) for sign in signs]),
        scope=scope,
        window=span,
    )


def base_rates(histories: Sequence[History], window: Window, horizons: Ints) -> Floats:
    """(n_horizons,) share of rises before the window opens: what a forecaster of the sign could have known.

    A half where nothing is older than the window.
    """
    rose, count = np.zeros(len(horizons)), np.zeros(len(horizons))
    for history in histories:
        ends = history.ends[:, horizons - 1]
        earlier = (ends < np.datetime64(window.start)) & ~np.isnat(ends)
        rose += ((history.returns[:, horizons - 1] > 0) & earlier).sum(axis=0)
        count += earlier.sum(axis=0)
    return np.where(count > 0, rose / np.maximum(count, 1), 0.5)
