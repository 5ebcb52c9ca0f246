"""Values kept in this process for a while: the least recently used go first, and nothing outlives its time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_OVERHEAD = 400
"""Bytes that an entry costs beside its value: key, tuple, place in the table. Measured to the next hundred."""


def _ignore(entries: int, size: int) -> None: ...


class MemoryCache(Generic[K, V]):
    """Bounded in bytes. Belongs to one thread; ``clock`` is monotonic, in seconds.

    ``on_change`` is told how many entries and bytes there are whenever that changes.
    """

    def __init__(
        self,
        max_bytes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[int, int], None] = _ignore,
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._on_change = on_change
        self._entries: OrderedDict[K, tuple[V, float, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in use, overhead included."""
        return self._bytes

    def get(self, key: K) -> tuple[V, float] | None:
        """The value and the seconds that it has left, more than 0; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires_at, _ = entry
        left = expires_at - self._clock()
        if left <= 0:
            self._remove(key)
            self._on_change(len(self._entries), self._bytes)
            return None
        self._entries.move_to_end(key)
        return value, left

    def put(self, key: K, value: V, size: int, ttl: float) -> None:
        """Keep a value of ``size`` bytes for ``ttl`` seconds, in place of an older one. One that could never fit, or
        whose time is over already, is not kept."""
        self._remove(key)
        size += ENTRY_OVERHEAD
        if ttl > 0 and size <= self._max_bytes:
            self._entries[key] = value, self._clock() + ttl, size
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))
        self._on_change(len(self._entries), self._bytes)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0
        self._on_change(0, 0)

    def _remove(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[2]
