"""Fail fast while a runner is away, and notice when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Open after a failure; then one call in every ``cool_down`` seconds is let through to find out.

    A killed runner keeps its socket, so calls to it hang rather than fail: without this, every request would
    wait for the timeout until the runner is back.
    """

    def __init__(self, cool_down: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._cool_down = cool_down
        self._clock = clock
        self._next_trial: float | None = None

    @property
    def is_open(self) -> bool:
        return self._next_trial is not None

    def lets_through(self) -> bool:
        """Whether to make this call. When open, saying yes uses up the trial of this period."""
        if self._next_trial is None:
            return True
        if self._clock() < self._next_trial:
            return False
        self._next_trial = self._clock() + self._cool_down
        return True

    def failed(self) -> None:
        self._next_trial = self._clock() + self._cool_down

    def succeeded(self) -> None:
        self._next_trial = None
