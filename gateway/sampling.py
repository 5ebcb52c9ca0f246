"""Which of many lines that say the same are written: of thousands a second, each would take time from an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LINES_A_SECOND: Final = 100


class Sampled:
    """Every line up to so many in a second; the first of the next second then stands for those left out as well."""

    def __init__(self, a_second: int = LINES_A_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._clock = clock
        self._second_ends = 0.0
        self._left = 0
        self._left_out = 0

    def stands_for(self) -> int:
        """How many lines the one that could be written now stands for, itself included; 0 if it is left out."""
        now = self._clock()
        if now >= self._second_ends:
            self._second_ends, self._left = now + 1.0, self._a_second
        if not self._left:
            self._left_out += 1
            return 0
        self._left -= 1
        number, self._left_out = self._left_out + 1, 0
        return number
