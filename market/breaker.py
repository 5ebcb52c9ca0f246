"""A source that fails is left alone for a while: nobody waits for it, and it gets time to recover."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

FAILURES = 3
SHORTEST_REST = 5.0
LONGEST_REST = 60.0


class Breaker:
    """Closed: calls pass. Open, after ``failures`` in a row or at once where told: none passes until the rest is over.
    Half-open, from then on: one call at a time passes as a probe, and its fate closes the breaker or opens it for twice
    as long, ``LONGEST_REST`` at most, give or take a tenth, so that processes do not probe in step."""

    def __init__(self, *, failures: int = FAILURES, clock: Callable[[], float] = monotonic) -> None:
        self._limit = failures
        self._clock = clock
        self._failures = 0
        self._rest = SHORTEST_REST
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return "closed"
        return "half_open" if self._probing or self._clock() >= self._open_until else "open"

    def wait(self) -> float:
        """Seconds until a call may pass, 0 where one may now; claims nothing."""
        if self._open_until is None:
            return 0.0
        left = self._open_until - self._clock()
        return max(left, 1.0) if self._probing else max(left, 0.0)

    def begin(self) -> bool:
        """Whether this call may pass; in the half-open state it is then the probe."""
        if self.wait() > 0:
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        self._failures, self._rest, self._open_until, self._probing = 0, SHORTEST_REST, None, False

    def failed(self, *, at_once: bool = False) -> None:
        self._failures += 1
        if at_once or self._probing or self._failures >= self._limit:
            self.open_for(self._rest * random.uniform(0.9, 1.1))
            self._rest = min(2 * self._rest, LONGEST_REST)

    def open_for(self, seconds: float) -> None:
        """Open for as long as the source itself asks."""
        self._open_until, self._probing = self._clock() + seconds, False

    def abandoned(self) -> None:
        """The call ended without telling anything of the source."""
        self._probing = False
