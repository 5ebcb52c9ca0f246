"""How often a source may be asked: kept by us, before it has to say so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

Allowance = tuple[int, float]
"""So many calls in so many seconds."""


class Pace:
    """A sliding window for each allowance; a call needs room in all of them. One process counts its own calls only."""

    def __init__(self, allowances: Sequence[Allowance], *, clock: Callable[[], float] = monotonic) -> None:
        self._allowances = tuple(allowances)
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=max((count for count, _ in self._allowances), default=0))

    def take(self) -> float:
        """0 where the call may go now, and is counted; else the seconds until there is room."""
        now = self._clock()
        if (wait := max((self._wait(count, period, now) for count, period in self._allowances), default=0.0)) > 0:
            return wait
        self._calls.append(now)
        return 0.0

    def _wait(self, count: int, period: float, now: float) -> float:
        return 0.0 if len(self._calls) < count else self._calls[-count] + period - now
