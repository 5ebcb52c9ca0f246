"""Members' z quantiles in, one calibrated distribution a row out. Serving and evaluation both call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts import FeatureMatrix, Floats, ModelSet
from ensemble.combine import blend, usable_weights
from ensemble.conformal import calibrated
from ensemble.direction import raw_probability_up, recalibrated
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
) -> Distribution:
    """Blend what answered, calibrate for exactly those members, and spread over all horizons.

    ``kind`` of series (contracts.kind_of) selects the calibration. ``members`` maps names, in published order, to
    (n_rows, n_horizons, n_levels) z quantiles or a failure; at least one must have answered. Offsets are those
    fitted for the members that remain under the published weights, also when the caller sets other weights.
    """
    alive = {name: each for name, each in members.items() if not isinstance(each, MemberFailure)}
    calibration = model_set.calibration[kind]
    weights = usable_weights(calibration.weights, model_set.names, list(alive), asked_weights)
    surfaces = _calibrated_surfaces(model_set, kind, list(alive), blend(list(alive.values()), weights), matrix)
    raw = raw_probability_up(surfaces, model_set.grid.levels)
    return Distribution(
        levels=model_set.grid.levels,
        surfaces=surfaces,
        probability_up=recalibrated(raw, calibration.direction),
        regime=matrix.regime,
        members=tuple(alive),
        failures={name: each for name, each in members.items() if isinstance(each, MemberFailure)},
        weights=weights,
        mask=model_set.mask(alive),
    )


def each_alone(
    model_set: ModelSet, kind: str, members: Mapping[str, Floats | MemberFailure], matrix: FeatureMatrix
) -> dict[str, Floats]:
    """Surfaces (n_rows, n_steps, n_levels) of each member that answered, calibrated as if only it had been asked."""
    return {
        name: _calibrated_surfaces(model_set, kind, [name], np.sort(z, axis=-1), matrix)
        for name, z in members.items()
        if not isinstance(z, MemberFailure)
    }


def offsets_for(model_set: ModelSet, kind: str, names: Sequence[str]) -> Floats:
    """(n_horizons, n_levels) offsets fitted for exactly these members, or the mean of those fitted for each alone."""
    calibration = model_set.calibration[kind]
    found = np.flatnonzero(calibration.masks == model_set.mask(names))
    if found.size:
        return calibration.offsets[found[0]]
    return np.mean([offsets_for(model_set, kind, [name]) for name in names], axis=0)


def _calibrated_surfaces(
    model_set: ModelSet, kind: str, names: Sequence[str], z: Floats, matrix: FeatureMatrix
) -> Floats:
    calibration = model_set.calibration[kind]
    fitted = calibrated(z, offsets_for(model_set, kind, names))
    if not calibration.drift:
        middle = model_set.grid.levels.index(0.5)
        fitted = fitted - fitted[..., middle : middle + 1]
    return surface(fitted, matrix.sigma, model_set.grid)
