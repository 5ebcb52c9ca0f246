"""Members' z quantiles in, one calibrated distribution a row out. Serving and evaluation both call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from contracts import FeatureMatrix, Floats, Ints, ModelSet, Times
from ensemble.combine import blend, usable_weights
from ensemble.conformal import calibrated
from ensemble.direction import raw_probability_up, recalibrated
from ensemble.online import Correction, Past, corrected, corrections
from ensemble.surface import horizons_within, surface


@dataclass(frozen=True, slots=True)
class MemberFailure:
    """A member that gave no answer, and why, in words for the caller."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Blending:
    """How members become one distribution: ``weights`` (n_members, n_horizons) of ``members``, each column summing to
    one, and (n_horizons, n_levels) z ``offsets``. The same object for the same members, weights and kind of series."""

    members: tuple[str, ...]
    weights: Floats
    offsets: Floats


def blending_of(
    model_set: ModelSet, kind: str, members: tuple[str, ...], asked_weights: Mapping[str, float] | None = None
) -> Blending:
    """For members that answered, in published order; worked out once."""
    asked = None if asked_weights is None else tuple(sorted(asked_weights.items()))
    return _blending(model_set, kind, members, asked)


@lru_cache(maxsize=256)  # weights come from callers
def _blending(
    model_set: ModelSet, kind: str, members: tuple[str, ...], asked: tuple[tuple[str, float], ...] | None
) -> Blending:
    published = model_set.calibration[kind].weights
    weights = usable_weights(published, model_set.names, members, None if asked is None else dict(asked))
    return Blending(members, weights, offsets_for(model_set, kind, members))


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Calibrated forecasts of n_rows series.

    ``surfaces`` (n_rows, n_steps, n_levels) are quantiles of the cumulative log return, ``direction`` (n_steps, 2) how
    the probability of a rise is recalibrated. ``blending`` says of whom they are made and how, ``failures`` who gave no
    answer.
    """

    levels: tuple[float, ...]
    surfaces: Floats
    direction: Floats
    regime: Floats
    failures: Mapping[str, MemberFailure]
    blending: Blending

    @property
    def members(self) -> tuple[str, ...]:
        """The names of those that answered."""
        return self.blending.members

    @property
    def weights(self) -> Floats:
        """(n_members, n_horizons), those used, in the order of ``members``."""
        return self.blending.weights

    @property
    def probability_up(self) -> Floats:
        """(n_rows, n_steps)"""
        return recalibrated(raw_probability_up(self.surfaces, self.levels), self.direction)

    def probability_up_at(self, rows: Ints, steps: Ints) -> Floats:
        """(n,) the same at n places alone."""
        return recalibrated(raw_probability_up(self.surfaces[rows, steps], self.levels), self.direction[steps])

    def row(self, index: int) -> Distribution:
        """The same for one series; the n_rows axis stays, with length 1."""
        only = slice(index, index + 1)
        return Distribution(
            self.levels,
            self.surfaces[only],
            self.direction,
            self.regime[only],
            self.failures,
            self.blending,
        )


def distribution(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats | MemberFailure],
    matrix: FeatureMatrix,
    asked_weights: Mapping[str, float] | None = None,
    correction: Correction | None = None,
    n_steps: int | None = None,
) -> Distribution:
    """Blend what answered, calibrate for exactly those members, correct by recent outcomes, spread over all horizons,
    or those up to ``n_steps``.

    ``kind`` of series (contracts.kind_of) selects the calibration. ``members`` maps names, in published order, to
    (n_rows, n_horizons, n_levels) z quantiles or a failure; at least one must have answered. Offsets are those
    fitted for the members that remain under the published weights, also when the caller sets other weights.
    ``correction`` holds one row for each row of the matrix (see ``recent_corrections``).
    """
    within = horizons_within(model_set.grid, n_steps)
    alive = {name: z[:, :within] for name, z in answered(members).items()}
    z = calibrated_blend(model_set, kind, alive, asked_weights)
    if correction is not None:
        z = corrected(z, correction.up_to(within), model_set.grid)
    surfaces = surface(z, matrix.sigma, model_set.grid, n_steps)
    return Distribution(
        levels=model_set.grid.levels,
        surfaces=surfaces,
        direction=model_set.calibration[kind].direction[: surfaces.shape[1]],
        regime=matrix.regime,
        failures={name: each for name, each in members.items() if isinstance(each, MemberFailure)},
        blending=blending_of(model_set, kind, tuple(alive), asked_weights),
    )


def answered(members: Mapping[str, Floats | MemberFailure]) -> dict[str, Floats]:
    """Those that did not fail."""
    return {name: each for name, each in members.items() if not isinstance(each, MemberFailure)}


def recent_corrections(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats],
    outcomes: Floats,
    origins: Times,
    wanted: Ints,
) -> Correction:
    """The correction in force at the ``wanted`` rows of one symbol, from the forecasts that the witnesses among
    ``members`` made (ModelSet.witnesses) and (n_rows, n_horizons) outcomes in z (see ``corrections``)."""
    past = past_of(model_set, kind, members, outcomes, origins, wanted)
    return corrections([past], model_set.grid, model_set.calibration[kind].rates)[0]


def past_of(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats],
    outcomes: Floats,
    origins: Times,
    wanted: Ints,
) -> Past:
    """What the witnesses among ``members`` forecast, as it is learned from; arguments as above."""
    z = calibrated_blend(model_set, kind, {name: members[name] for name in model_set.witnesses(kind)})
    return Past(z, outcomes, origins, wanted)


def each_alone(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats | MemberFailure],
    matrix: FeatureMatrix,
    n_steps: int | None = None,
) -> dict[str, Floats]:
    """Surfaces (n_rows, n_steps, n_levels) of each member that answered, calibrated as if only it had been asked.

    A blend of one is the one itself, so all of them go through calibration as one array.
    """
    alive = answered(members)
    if not alive:
        return {}
    offsets = np.stack([blending_of(model_set, kind, (name,)).offsets for name in alive])
    z = calibrated(
        np.sort(list(alive.values()), axis=-1), offsets[:, None]
    )  # (n_members, n_rows, n_horizons, n_levels)
    rows = _without_unknown_drift(z, model_set, kind).reshape(-1, *model_set.grid.shape)
    surfaces = surface(rows, np.tile(matrix.sigma, len(alive)), model_set.grid, n_steps)
    return dict(zip(alive, np.split(surfaces, len(alive)), strict=True))


def offsets_for(model_set: ModelSet, kind: str, names: Sequence[str]) -> Floats:
    """(n_horizons, n_levels) offsets fitted for exactly these members, or the mean of those fitted for each alone."""
    calibration = model_set.calibration[kind]
    found = np.flatnonzero(calibration.masks == model_set.mask(names))
    if found.size:
        return calibration.offsets[found[0]]
    return np.mean([offsets_for(model_set, kind, [name]) for name in names], axis=0)


def calibrated_blend(
    model_set: ModelSet, kind: str, members: Mapping[str, Floats], asked_weights: Mapping[str, float] | None = None
) -> Floats:
    """(n_rows, n_horizons, n_levels) z quantiles: blended, conformally calibrated, drift removed where unknown.

    The members may end at one of the first horizons of the grid; then so does their blend.
    """
    how, quantiles = blending_of(model_set, kind, tuple(members), asked_weights), list(members.values())
    within = quantiles[0].shape[1]
    z = calibrated(blend(quantiles, how.weights[:, :within]), how.offsets[:within])
    return _without_unknown_drift(z, model_set, kind)


def _without_unknown_drift(z: Floats, model_set: ModelSet, kind: str) -> Floats:
    """Medians are moved to the current price where the drift is not known (contracts.Calibration)."""
    if model_set.calibration[kind].drift:
        return z
    middle = model_set.grid.levels.index(0.5)
    return z - z[..., middle : middle + 1]
