"""The last values of what is dear to work out, by all that each depends on: worked out once, then remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last ``kept`` values by key; the least recently used are forgotten. Belongs to one event loop.

    However many ask for the same at the same time, it is worked out once, and goes on when one of them gives up."""

    def __init__(self, kept: int = 256, keeps: Callable[[T], bool] = lambda _: True) -> None:
        self._kept = kept
        self._keeps = keeps
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}

    def known(self, key: Hashable) -> T | None:
        """What is known now; None where it would have to be found."""
        return self._recalled(key) if key in self._known else None

    async def get(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What is known, else what ``work`` finds; neither an error nor what ``keeps`` refuses is remembered."""
        if key in self._known:
            return self._recalled(key)
        if key not in self._under_way:
            self._under_way[key] = asyncio.create_task(self._find(key, work))
        return await asyncio.shield(self._under_way[key])

    def _recalled(self, key: Hashable) -> T:
        self._known.move_to_end(key)
        return self._known[key]

    async def _find(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        try:
            found = await work()
        finally:
            del self._under_way[key]
        if self._keeps(found):
            self._known[key] = found
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        return found
