"""The numbers of many answers at once. Pure arithmetic on arrays: numpy costs as much for one answer as for sixty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts import Bars, Floats, ForecastRequest, Instrument, ModelSet, record
from ensemble.confidence import model_agreement, regime_typicality
from ensemble.distribution import Distribution
from ensemble.surface import at_levels

SHOWN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_Path = tuple[Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What one answer is about: the bars, what they are of, their kind (contracts.kind_of), and whether its recent
    outcomes corrected it.

    ``spread`` is the distribution of the future of all series that were worked out together, ``own`` each answering
    member's (n_rows, n_steps, n_levels) surfaces of them, and ``row`` the place of this one.
    """

    bars: Bars
    instrument: Instrument
    kind: str
    spread: Distribution
    own: Mapping[str, Floats]
    row: int = 0
    is_corrected: bool = True


@record
class Figures:
    """Those of one answer. ``quantiles`` at SHOWN_LEVELS, ``path`` as (lower, median, upper) of all steps, and
    ``targets``, each member's own median in the order of ``Subject.own``, are prices; ``agreement`` and ``regime`` are
    fractions (ensemble/confidence.py)."""

    price: float
    quantiles: Sequence[float]
    path: _Path
    targets: Sequence[float]
    probability_up: float
    agreement: float | None
    regime: float


Asked = tuple[ForecastRequest, Subject]


def figures_of(asked: Sequence[Asked], model_set: ModelSet) -> list[Figures]:
    """In order; those of series that were worked out together are as well."""
    together: dict[Distribution, list[int]] = {}
    for at, (_, subject) in enumerate(asked):
        together.setdefault(subject.spread, []).append(at)
    found: dict[int, Figures] = {}
    for places in together.values():
        found |= zip(places, _together([asked[at] for at in places], model_set), strict=True)
    return [found[at] for at in range(len(asked))]


def _together(asked: Sequence[Asked], model_set: ModelSet) -> Iterator[Figures]:
    """Of requests about rows of the same distribution."""
    levels, (_, one) = model_set.grid.levels, asked[0]
    at = np.array([subject.row for _, subject in asked]), np.array([request.horizon - 1 for request, _ in asked])
    prices = np.array([subject.bars.close[-1] for _, subject in asked])
    own = np.stack([surfaces[at] for surfaces in one.own.values()], axis=1)
    # with each other: the corrected blend would make a correction look like disagreement
    agreement = model_agreement(own, own.mean(axis=1), levels)
    shown = at_levels(one.spread.surfaces[at], levels, SHOWN_LEVELS)
    return map(
        Figures,
        prices.tolist(),
        (prices[:, None] * np.exp(shown)).tolist(),
        _paths(asked, prices, levels),
        (prices[:, None] * np.exp(own[:, :, levels.index(0.5)])).tolist(),
        one.spread.probability_up_at(*at).tolist(),
        [None] * len(asked) if agreement is None else agreement.tolist(),
        regime_typicality(one.spread.regime[at[0]], model_set.calibration[one.kind].regime).tolist(),
    )


def _paths(asked: Sequence[Asked], prices: Floats, levels: tuple[float, ...]) -> list[_Path]:
    """(lower, median, upper), (n_steps,) each, of every answer; all steps of those at the same level are one array."""
    alike: dict[float, list[int]] = {}
    for at, (request, _) in enumerate(asked):
        alike.setdefault(request.confidence_level, []).append(at)
    found: dict[int, _Path] = {}
    for level, places in alike.items():
        horizons, tail = [asked[at][0].horizon for at in places], tail_level(level)
        surfaces = np.concatenate([_surface(*asked[at]) for at in places])
        ahead = np.exp(at_levels(surfaces, levels, (tail, 0.5, 1 - tail)))
        lower, median, upper = (np.repeat(prices[places], horizons)[:, None] * ahead).T.tolist()
        end = 0
        for at, horizon in zip(places, horizons, strict=True):
            start, end = end, end + horizon
            found[at] = lower[start:end], median[start:end], upper[start:end]
    return [found[at] for at in range(len(asked))]


def _surface(request: ForecastRequest, subject: Subject) -> Floats:
    """(n_steps, n_levels), those that the answer shows."""
    return subject.spread.surfaces[subject.row, : request.horizon]


def tail_level(confidence_level: float) -> float:
    """Probability below the central interval, free of binary dust: 0.9 gives 0.05, not 0.04999999999999999."""
    return round((1.0 - confidence_level) / 2.0, 12)
