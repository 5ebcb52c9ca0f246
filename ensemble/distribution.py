"""Members' z quantiles in, one calibrated distribution a row out. Serving and evaluation both call this."""

from __future__ import annotations

from collections.abc import Mapping
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
    of those that answered; ``subset`` is their index (see ModelSet.subset).
    """

    levels: tuple[float, ...]
    surfaces: Floats
    probability_up: Floats
    regime: Floats
    members: tuple[str, ...]
    failures: Mapping[str, MemberFailure]
    weights: Floats
    subset: int

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
            self.subset,
        )


def distribution(
    model_set: ModelSet,
    members: Mapping[str, Floats | MemberFailure],
    matrix: FeatureMatrix,
    asked_weights: Mapping[str, float] | None = None,
) -> Distribution:
    """Blend what answered, calibrate for exactly those members, and spread over all horizons.

    ``members`` maps names, in published order, to (n_rows, n_horizons, n_levels) z quantiles or a failure; at
    least one must have answered. Offsets are those fitted for the members that remain under the published
    weights, also when the caller sets other weights.
    """
    alive = {name: each for name, each in members.items() if not isinstance(each, MemberFailure)}
    weights = usable_weights(model_set.weights, model_set.names, list(alive), asked_weights)
    surfaces = _calibrated_surfaces(model_set, list(alive), blend(list(alive.values()), weights), matrix)
    raw = raw_probability_up(surfaces, model_set.grid.levels)
    return Distribution(
        levels=model_set.grid.levels,
        surfaces=surfaces,
        probability_up=recalibrated(raw, model_set.calibration.direction),
        regime=matrix.regime,
        members=tuple(alive),
        failures={name: each for name, each in members.items() if isinstance(each, MemberFailure)},
        weights=weights,
        subset=model_set.subset(alive),
    )


def each_alone(
    model_set: ModelSet, members: Mapping[str, Floats | MemberFailure], matrix: FeatureMatrix
) -> dict[str, Floats]:
    """Surfaces (n_rows, n_steps, n_levels) of each member that answered, calibrated as if only it had been asked."""
    return {
        name: _calibrated_surfaces(model_set, [name], np.sort(z, axis=-1), matrix)
        for name, z in members.items()
        if not isinstance(z, MemberFailure)
    }


def _calibrated_surfaces(model_set: ModelSet, names: list[str], z: Floats, matrix: FeatureMatrix) -> Floats:
    offsets = model_set.calibration.offsets[model_set.subset(names)]
    return surface(calibrated(z, offsets), matrix.sigma, model_set.grid)
