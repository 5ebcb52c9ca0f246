"""An event loop whose clock stands still while the machine does something else.

A busy machine may let a process wait for half a second at any moment. Timers that are a tenth of a second apart are
then due at the same time, and what came in between by the network is seen after both. Here they stay apart: a wait
counts for no longer than it was meant to be, and what is called between two waits for MOST at most. What the code under
test waits for by itself takes as long as ever.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any, Final

MOST: Final = 0.002
"""Seconds that may be counted beyond those that were waited for."""
SLICE: Final = 0.05
"""Seconds of a wait that are looked at together: of a longer time that is lost within them, MOST are counted."""


class SteadyLoop(asyncio.SelectorEventLoop):
    """``time`` is never ahead of ``time.monotonic``, and as fast as it where nothing comes between."""

    def __init__(self) -> None:
        self._at = self._looked_at = time.monotonic()
        super().__init__(_InSlices(self))

    def time(self) -> float:
        return self._at + min(time.monotonic() - self._looked_at, MOST)

    def count(self, most: float) -> None:
        """What has passed since the last call, but no more than ``most`` seconds."""
        now = time.monotonic()
        self._at += min(now - self._looked_at, most)
        self._looked_at = now


class _InSlices(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which class it is, the machine decides
    def __init__(self, loop: SteadyLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.count(MOST)
        if timeout is None:
            found = super().select(None)
            self._loop.count(MOST)
            return found
        while True:
            piece = min(max(timeout, 0.0), SLICE)
            found = super().select(piece)
            self._loop.count(piece + MOST)
            timeout -= piece
            if found or timeout <= 0:
                return found
