"""The numbers of many answers at once. Pure arithmetic on arrays: numpy costs as much for one answer as for sixty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from contracts import Bars, Floats, ForecastRequest, Instrument, ModelSet
from ensemble.confidence import model_agreement, regime_typicality
from ensemble.distribution import Distribution
from ensemble.surface import at_levels

SHOWN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Subject:
    """What one answer is about: the bars, what they are of, their kind (contracts.kind_of), the distribution of
    their future (one row), each answering member's own (n_steps, n_levels) surface, and whether its recent outcomes
    corrected it."""

    bars: Bars
    instrument: Instrument
    kind: str
    spread: Distribution
    own: Mapping[str, Floats]
    is_corrected: bool = True


@dataclass(frozen=True, slots=True)
class Figures:
    """Those of one answer. ``quantiles`` at SHOWN_LEVELS, (lower, median, upper) of each step of ``path``, and
    ``targets``, each member's own median in the order of ``Subject.own``, are prices; ``agreement`` and ``regime`` are
    fractions (ensemble/confidence.py)."""

    price: float
    quantiles: Sequence[float]
    path: Sequence[Sequence[float]]
    targets: Sequence[float]
    probability_up: float
    agreement: float | None
    regime: float


Asked = tuple[ForecastRequest, Subject]


def figures_of(asked: Sequence[Asked], model_set: ModelSet) -> list[Figures]:
    """In order; those of the same kind and members are worked out together."""
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for at, (_, subject) in enumerate(asked):
        alike.setdefault((subject.kind, tuple(subject.own)), []).append(at)
    found: dict[int, Figures] = {}
    for (kind, _), places in alike.items():
        found |= zip(places, _together([asked[at] for at in places], kind, model_set), strict=True)
    return [found[at] for at in range(len(asked))]


def _together(asked: Sequence[Asked], kind: str, model_set: ModelSet) -> Iterator[Figures]:
    levels = model_set.grid.levels
    steps = [request.horizon - 1 for request, _ in asked]
    spreads = [subject.spread for _, subject in asked]
    prices = np.array([subject.bars.close[-1] for _, subject in asked])
    blended = np.stack([spread.surfaces[0, step] for spread, step in zip(spreads, steps, strict=True)])
    own = np.array(
        [[surface[step] for surface in each.own.values()] for (_, each), step in zip(asked, steps, strict=True)]
    )
    # with each other: the corrected blend would make a correction look like disagreement
    agreement = model_agreement(own, own.mean(axis=1), levels)
    regime = regime_typicality(np.array([spread.regime[0] for spread in spreads]), model_set.calibration[kind].regime)
    return map(
        Figures,
        prices.tolist(),
        (prices[:, None] * np.exp(at_levels(blended, levels, SHOWN_LEVELS))).tolist(),
        _paths(asked, prices, levels),
        (prices[:, None] * np.exp(own[:, :, levels.index(0.5)])).tolist(),
        [float(spread.probability_up[0, step]) for spread, step in zip(spreads, steps, strict=True)],
        [None] * len(asked) if agreement is None else agreement.tolist(),
        regime.tolist(),
    )


def _paths(asked: Sequence[Asked], prices: Floats, levels: tuple[float, ...]) -> list[list[list[float]]]:
    """(lower, median, upper) of every step of every answer; all steps of those at the same level are one array."""
    found: dict[int, list[list[float]]] = {}
    for level in {request.confidence_level for request, _ in asked}:
        places = [at for at, (request, _) in enumerate(asked) if request.confidence_level == level]
        horizons = [asked[at][0].horizon for at in places]
        surfaces = [asked[at][1].spread.surfaces[0, :horizon] for at, horizon in zip(places, horizons, strict=True)]
        tail = tail_level(level)
        ahead = np.exp(at_levels(np.concatenate(surfaces), levels, (tail, 0.5, 1 - tail)))
        path = iter((np.repeat(prices[places], horizons)[:, None] * ahead).tolist())
        for at, horizon in zip(places, horizons, strict=True):
            found[at] = list(islice(path, horizon))
    return [found[at] for at in range(len(asked))]


def tail_level(confidence_level: float) -> float:
    """Probability below the central interval, free of binary dust: 0.9 gives 0.05, not 0.04999999999999999."""
    return round((1.0 - confidence_level) / 2.0, 12)
