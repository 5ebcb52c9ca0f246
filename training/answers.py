"""Members' answers for whole histories, in half the memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from contracts import Floats, Floats32


class HeldAnswers(Mapping[str, Floats]):
    """(n_rows, n_horizons, n_levels) z quantiles by member, held in single precision and given in double.

    Members answer in single precision (runners/members.py), so nothing is lost; one that does not is held as it is.
    """

    def __init__(self, answers: Mapping[str, Floats]) -> None:
        self._held = {name: _smallest(z) for name, z in answers.items()}

    def __getitem__(self, name: str) -> Floats:
        return self._held[name].astype(np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def _smallest(z: Floats) -> Floats | Floats32:
    single = z.astype(np.float32)
    return single if np.array_equal(single, z) else z
