"""Questions to several members that are asked in the same turn of the event loop, sent as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from contracts import Floats, Floats32
from runners.coalesce import Call

Send = Callable[[Sequence[tuple[str, Floats32]]], Awaitable[Sequence[Floats]]]
"""(member, its rows) of all who asked -> an answer for each, in order."""


@dataclass(frozen=True, slots=True)
class _Part:
    member: str
    rows: Floats32
    answer: asyncio.Future[Floats]


class Together:
    """Belongs to one event loop."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._parts: list[_Part] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def call(self, member: str) -> Call:
        """The way to one member."""

        async def ask(rows: Floats32) -> Floats:
            loop = asyncio.get_running_loop()
            part = _Part(member, rows, loop.create_future())
            if not self._parts:
                loop.call_soon(self._leave)  # after all who ask in this turn have
            self._parts.append(part)
            return await part.answer

        return ask

    def _leave(self) -> None:
        parts, self._parts = self._parts, []
        if wanted := [part for part in parts if not part.answer.done()]:
            task = asyncio.get_running_loop().create_task(self._ask(wanted))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self, parts: Sequence[_Part]) -> None:
        """Settle every part; one that nobody waits for any more leaves the others alone."""
        try:
            answers = await self._send([(part.member, part.rows) for part in parts])
        except Exception as error:
            for part in parts:
                if not part.answer.done():
                    part.answer.set_exception(error)
            return
        except asyncio.CancelledError:
            for part in parts:
                part.answer.cancel()
            raise
        for part, answer in zip(parts, answers, strict=True):
            if not part.answer.done():
                part.answer.set_result(answer)
