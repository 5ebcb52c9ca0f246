"""Questions to the disk, answered in a thread: for everybody who asks in one turn of the event loop at once, since a
thread's turn costs as much as dozens of looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Looks(Generic[K, V]):
    """``look`` answers for one key, and may raise. Belongs to one event loop at a time."""

    def __init__(self, look: Callable[[K], V]) -> None:
        self._look = look
        self._asked: dict[K, asyncio.Future[V]] = {}

    async def of(self, key: K) -> V:
        """What ``look`` returns or raises; a caller that goes away does not stop it for the others."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin, loop)
        if key not in self._asked:
            self._asked[key] = loop.create_future()
        return await asyncio.shield(self._asked[key])

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._asked = self._asked, {}
        looking = loop.run_in_executor(None, self._all, list(asked))
        looking.add_done_callback(lambda done: _hand_out(done, list(asked.values())))

    def _all(self, keys: Sequence[K]) -> list[V | Exception]:
        return [self._found(key) for key in keys]

    def _found(self, key: K) -> V | Exception:
        try:
            return self._look(key)
        except Exception as error:  # is raised where it was asked for
            return error


def _hand_out(done: asyncio.Future[list[V | Exception]], waiting: Sequence[asyncio.Future[V]]) -> None:
    if done.cancelled():
        for each in waiting:
            each.cancel()
        return
    for each, found in zip(waiting, done.result(), strict=True):
        if isinstance(found, Exception):
            each.set_exception(found)
        else:
            each.set_result(found)
