"""The model sets that a runner has loaded, by version: two while the service changes from one to the next.

Every row says in its first column which set it is for (``stamped``), so rows for different sets may share a call and
none is ever answered by another set than the one its caller asked for.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from contracts import Floats, Floats32
from errors import ArtefactError
from runners.artefact import member_specs, read_manifest, read_member
from runners.members import Member, load_member
from runners.store import stored_sets

log = logging.getLogger("deepfinance.runners")

KEPT: Final = 2
"""Sets that stay loaded: the one that is served, and the one before it, which requests under way may still want."""


def stamp_of(version: str) -> np.float32:
    """24 bits of the version's hash, which a float32 holds exactly."""
    return np.float32(int.from_bytes(hashlib.sha256(version.encode()).digest()[:3], "big"))


def stamped(rows: Floats32, version: str) -> Floats32:
    """(n_rows, row_width) -> (n_rows, 1 + row_width), for the set of that version."""
    return np.insert(rows, 0, stamp_of(version), axis=1)


class HostedSets:
    """Loads the members called ``names`` of each set that is asked for, from the BentoML store. One thread."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._sets: OrderedDict[np.float32, dict[str, Member]] = OrderedDict()

    def load(self, folder: Path) -> None:
        """Have the set in ``folder`` at hand; raises ArtefactError where it is not what its manifest says."""
        manifest = read_manifest(folder)
        published = {spec.name for spec in member_specs(manifest)}
        self._sets[stamp_of(manifest["models_version"])] = {
            name: _loaded(folder, name) for name in self._names if name in published
        }
        while len(self._sets) > KEPT:
            self._sets.popitem(last=False)

    def ask(self, name: str, rows: Floats32, what: str = "predict") -> Floats:
        """What the member ``name`` of each row's set says to it, in order; ``what`` is a method of Member. ``rows`` are
        stamped. Raises ValueError for rows that cannot be answered."""
        stamps = rows[:, 0]
        answers: Floats | None = None
        for stamp in np.unique(stamps):
            mine = np.flatnonzero(stamps == stamp)
            part: Floats = getattr(self._member(stamp, name), what)(np.ascontiguousarray(rows[mine, 1:]))
            if len(mine) == len(rows):
                return part
            if answers is None:
                answers = np.empty((len(rows), *part.shape[1:]))
            if part.shape[1:] != answers.shape[1:]:
                raise ValueError("rows for sets with different grids cannot share a call")
            answers[mine] = part
        if answers is None:
            raise ValueError("no rows")
        return answers

    def _member(self, stamp: np.float32, name: str) -> Member:
        if stamp not in self._sets:
            self._load_stored(stamp)
        self._sets.move_to_end(stamp)
        members = self._sets[stamp]
        if name not in members:
            raise ValueError(f"the model set has no member {name!r}")
        return members[name]

    def _load_stored(self, stamp: np.float32) -> None:
        for version, folder in stored_sets():
            if stamp_of(version) == stamp:
                log.info("loading the model set %s", version)
                try:
                    self.load(folder)
                except ArtefactError as error:
                    raise ValueError(error.message) from None
                return
        raise ValueError("no model set of that version is stored")


def _loaded(folder: Path, name: str) -> Member:
    spec, grid = read_member(folder, name)
    model = load_member(spec, grid, folder / spec.file)
    model.warm_up()
    return model
