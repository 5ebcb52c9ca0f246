"""Questions to the disk, answered in a thread: for everybody who asks in one turn of the event loop at once, since a
thread's turn costs as much as dozens of looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from passes import Passes

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEYS_AT_ONCE: Final = 1024
THREADS: Final = 8
"""Looks that go on at the same time: a disk that hangs holds up whoever asked it, and not at once those who come
later."""


class Looks(Generic[K, V]):
    """``look`` answers for one key, and may raise. Belongs to one event loop at a time."""

    def __init__(self, look: Callable[[K], V]) -> None:
        self._look = look
        self._passes = Passes[K, V | Exception](self._together, KEYS_AT_ONCE, THREADS)

    async def of(self, key: K) -> V:
        """What ``look`` returns or raises; a caller that goes away does not stop it for the others."""
        found = await self._passes.through(key)
        if isinstance(found, Exception):
            raise found
        return found

    async def _together(self, keys: Sequence[K]) -> list[V | Exception]:
        return await asyncio.to_thread(self._all, keys)

    def _all(self, keys: Sequence[K]) -> list[V | Exception]:
        found = {key: self._found(key) for key in dict.fromkeys(keys)}
        return [found[key] for key in keys]

    def _found(self, key: K) -> V | Exception:
        try:
            return self._look(key)
        except Exception as error:  # is raised where it was asked for
            return error
