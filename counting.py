"""What is counted for every request, added up in plain numbers and handed to Prometheus ten times a second.

An increment of a Prometheus value that processes share asks for the process's id, takes a lock and writes to a file,
and a forecast counts a dozen things. Here it is an addition. What other processes read of this one may thus be
HAND_OVER_EVERY old; who reads in this process calls ``COUNTS.hand_over()`` first, and so does who ends it. A process
that is killed takes along what it counted since.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

HAND_OVER_EVERY: Final = 0.1
"""Seconds."""


class Held(Protocol):
    """Has something to hand over."""

    def hand_over(self) -> None: ...


Owe = Callable[[Held], None]
"""Called with what has something to hand over from now on."""


class Count:
    """Grows. ``theirs`` is a Prometheus counter without labels, or with all of them given."""

    __slots__ = ("_is_due", "_ours", "_owe", "_theirs")

    def __init__(self, theirs: Any, owe: Owe) -> None:
        self._theirs, self._owe = theirs, owe
        self._ours = 0.0
        self._is_due = False

    def inc(self, amount: float = 1.0) -> None:
        self._ours += amount
        if not self._is_due:
            self._is_due = True
            self._owe(self)

    def hand_over(self) -> None:
        ours, self._ours, self._is_due = self._ours, 0.0, False
        self._theirs.inc(ours)


class Level:
    """Goes up and down. ``theirs`` is a Prometheus gauge that nobody else of this process changes."""

    __slots__ = ("_is_due", "_ours", "_owe", "_theirs")

    def __init__(self, theirs: Any, owe: Owe) -> None:
        self._theirs, self._owe = theirs, owe
        self._ours = 0.0
        self._is_due = False

    def set(self, value: float) -> None:
        self._ours = value
        if not self._is_due:
            self._is_due = True
            self._owe(self)

    def inc(self) -> None:
        self.set(self._ours + 1)

    def dec(self) -> None:
        self.set(self._ours - 1)

    def hand_over(self) -> None:
        self._is_due = False
        self._theirs.set(self._ours)


class Spread:
    """How often which values came. ``theirs`` is a Prometheus histogram over ``bounds``, finite and rising."""

    __slots__ = ("_bounds", "_is_due", "_numbers", "_owe", "_sum", "_theirs")

    def __init__(self, theirs: Any, bounds: Sequence[float], owe: Owe) -> None:
        self._theirs, self._bounds, self._owe = theirs, bounds, owe
        self._numbers = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._is_due = False

    def observe(self, value: float) -> None:
        self._numbers[bisect_left(self._bounds, value)] += 1
        self._sum += value
        if not self._is_due:
            self._is_due = True
            self._owe(self)

    def hand_over(self) -> None:
        # A histogram takes one value at a time. Its parts take sums; tests/test_counting.py fails where they move.
        numbers, total = self._numbers, self._sum
        self._numbers, self._sum, self._is_due = [0] * len(numbers), 0.0, False
        self._theirs._sum.inc(total)
        for bucket, number in zip(self._theirs._buckets, numbers, strict=True):
            if number:
                bucket.inc(number)


class Counting:
    """Keeps together what is to be handed over. Belongs to one event loop; where none runs, nothing waits."""

    def __init__(self) -> None:
        self._due: list[Held] = []
        self._waits_in: asyncio.AbstractEventLoop | None = None

    def count(self, theirs: Any) -> Count:
        return Count(theirs, self._owed)

    def level(self, theirs: Any) -> Level:
        return Level(theirs, self._owed)

    def spread(self, theirs: Any, bounds: Sequence[float]) -> Spread:
        return Spread(theirs, bounds, self._owed)

    def hand_over(self) -> None:
        """Everything up to now."""
        due, self._due, self._waits_in = self._due, [], None
        for held in due:
            held.hand_over()

    def _owed(self, held: Held) -> None:
        self._due.append(held)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.hand_over()
            return
        if self._waits_in is not loop:
            self._waits_in = loop
            loop.call_later(HAND_OVER_EVERY, self.hand_over)


COUNTS: Final = Counting()
"""That of this process."""
