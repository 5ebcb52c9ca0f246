"""Work that comes while other work is under way is done together, in one pass. Nobody waits for company."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(slots=True)
class _Place(Generic[Item, Found]):
    """An item that waits for what is found of it, and the context it was brought in."""

    item: Item
    found: asyncio.Future[Found]
    context: Context = field(default_factory=copy_context)


class Passes(Generic[Item, Found]):
    """Items of many callers in, passes of up to ``size`` of them out, ``at_once`` passes at the same time. An item that
    finds a free turn starts at once. Belongs to one event loop."""

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Found]]], size: int, at_once: int = 1
    ) -> None:
        self._work = work
        self._size = size
        self._at_once = at_once
        self._waiting: deque[_Place[Item, Found]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many wait for a turn."""
        return len(self._waiting)

    async def through(self, item: Item) -> Found:
        """What ``work`` finds of it."""
        loop = asyncio.get_running_loop()
        place = _Place[Item, Found](item, loop.create_future())
        self._waiting.append(place)
        loop.call_soon(self._start)  # after others that are ready now have come
        return await place.found

    def _start(self) -> None:
        while self._waiting and len(self._under_way) < self._at_once:
            taken = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            if wanted := [place for place in taken if not place.found.done()]:
                # as the first of them, not as whoever happens to start it: what is logged names a request
                task = asyncio.get_running_loop().create_task(self._pass(wanted), context=wanted[0].context)
                self._under_way.add(task)
                task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start()

    async def _pass(self, places: Sequence[_Place[Item, Found]]) -> None:
        """Settle every place, whatever happens."""
        try:
            found = await self._work([place.item for place in places])
        except Exception as error:
            if len(places) == 1:
                _fail(places[0], error)
            else:  # nobody foresaw it: one of them may be to blame, and the others are not
                await asyncio.gather(*(self._pass([place]) for place in places))
            return
        except asyncio.CancelledError:
            for place in places:
                place.found.cancel()
            raise
        for place, each in zip(places, found, strict=True):
            if not place.found.done():
                place.found.set_result(each)


def _fail(place: _Place[Item, Found], error: Exception) -> None:
    if not place.found.done():
        place.found.set_exception(error)
