"""Members' z quantiles in, one calibrated distribution a row out. Serving and evaluation both call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts import FeatureMatrix, Floats, Ints, ModelSet, Times
from ensemble.combine import blend, usable_weights
from ensemble.conformal import calibrated
from ensemble.direction import raw_probability_up, recalibrated
from ensemble.online import Correction, corrected, corrections
from ensemble.surface import surface


@dataclass(frozen=True, slots=True)
class MemberFailure:
    """A member that gave no answer, and why, in words for the caller."""

    reason: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """Calibrated forecasts of n_rows series.

    ``surfaces`` (n_rows, n_steps, n_levels) are quantiles of the cumulative log return, ``probability_up``
    (n_rows, n_steps). ``weights`` (n_members, n_horizons) are those used, in the order of ``members``, the names
    of those that answered; ``mask`` is the same as a number (ModelSet.mask).
    """

    levels: tuple[float, ...]
    surfaces: Floats
    probability_up: Floats
    regime: Floats
    members: tuple[str, ...]
    failures: Mapping[str, MemberFailure]
    weights: Floats
    mask: int

    def row(self, index: int) -> Distribution:
        """The same for one series; the n_rows axis stays, with length 1."""
        only = slice(index, index + 1)
        return Distribution(
            self.levels,
            self.surfaces[only],
            self.probability_up[only],
            self.regime[only],
            self.members,
            self.failures,
            self.weights,
            self.mask,
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
    alive = answered(members)
    calibration = model_set.calibration[kind]
    weights = usable_weights(calibration.weights, model_set.names, list(alive), asked_weights)
    z = calibrated_blend(model_set, kind, alive, asked_weights)
    if correction is not None:
        z = corrected(z, correction, model_set.grid)
    surfaces = surface(z, matrix.sigma, model_set.grid, n_steps)
    raw = raw_probability_up(surfaces, model_set.grid.levels)
    return Distribution(
        levels=model_set.grid.levels,
        surfaces=surfaces,
        probability_up=recalibrated(raw, calibration.direction[: surfaces.shape[1]]),
        regime=matrix.regime,
        members=tuple(alive),
        failures={name: each for name, each in members.items() if isinstance(each, MemberFailure)},
        weights=weights,
        mask=model_set.mask(alive),
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
    z = calibrated_blend(model_set, kind, {name: members[name] for name in model_set.witnesses(kind)})
    return corrections(z, outcomes, origins, wanted, model_set.grid, model_set.calibration[kind].rates)


def each_alone(
    model_set: ModelSet,
    kind: str,
    members: Mapping[str, Floats | MemberFailure],
    matrix: FeatureMatrix,
    n_steps: int | None = None,
) -> dict[str, Floats]:
    """Surfaces (n_rows, n_steps, n_levels) of each member that answered, calibrated as if only it had been asked."""
    return {
        name: surface(calibrated_blend(model_set, kind, {name: z}), matrix.sigma, model_set.grid, n_steps)
        for name, z in answered(members).items()
    }


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
    """(n_rows, n_horizons, n_levels) z quantiles: blended, conformally calibrated, drift removed where unknown."""
    calibration = model_set.calibration[kind]
    weights = usable_weights(calibration.weights, model_set.names, list(members), asked_weights)
    z = calibrated(blend(list(members.values()), weights), offsets_for(model_set, kind, list(members)))
    if not calibration.drift:
        middle = model_set.grid.levels.index(0.5)
        z = z - z[..., middle : middle + 1]
    return z
