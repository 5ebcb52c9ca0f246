"""Members' answers for whole histories, computed by the very code that the runners run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from contracts import FeatureMatrix, Floats, Grid, MemberSpec
from runners.members import Member, load_member

CHUNK = 2048

# What evaluation is given: inputs of one symbol -> (n_rows, n_horizons, n_levels) z quantiles of each member that
# they can feed.
Predict = Callable[[FeatureMatrix], dict[str, Floats]]


def predictor(specs: Sequence[MemberSpec], grid: Grid, folder: Path) -> Predict:
    """Load every member of a set once and answer with all of them."""
    return _predict_with(_loaded(specs, grid, folder))


def packed_predictor(specs: Sequence[MemberSpec], grid: Grid, folder: Path) -> Callable[[], Predict]:
    """The same for another process or machine: holds the files of the members, and loads them where it is called."""
    return partial(_unpacked_predictor, packed_members(specs, grid, folder))


def packed_members(specs: Sequence[MemberSpec], grid: Grid, folder: Path) -> Callable[[], list[Member]]:
    """The members alone, in the same way."""
    return partial(_unpacked, specs, grid, {spec.file: (folder / spec.file).read_bytes() for spec in specs})


def _loaded(specs: Sequence[MemberSpec], grid: Grid, folder: Path) -> list[Member]:
    return [load_member(spec, grid, folder / spec.file) for spec in specs]


def _unpacked(specs: Sequence[MemberSpec], grid: Grid, files: Mapping[str, bytes]) -> list[Member]:
    with TemporaryDirectory(prefix="deepfinance-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        return _loaded(specs, grid, Path(folder))


def _unpacked_predictor(members: Callable[[], list[Member]]) -> Predict:
    return _predict_with(members())


def _predict_with(members: Sequence[Member]) -> Predict:
    def predict(matrix: FeatureMatrix) -> dict[str, Floats]:
        has_ranges = matrix.ranges is not None
        return {member.spec.name: _in_chunks(member, matrix) for member in members if member.spec.fits(has_ranges)}

    return predict


def _in_chunks(member: Member, matrix: FeatureMatrix) -> Floats:
    rows = matrix.rows_for(member.spec.takes)
    return np.concatenate([member.predict(rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)])
