"""Fail fast while a runner is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Breaker:
    """Open from a loss until the runner has answered again, which a task of its own finds out.

    A killed runner keeps its socket, so calls to it hang rather than fail until it is back: no request is used to find
    that out. ``try_out`` asks the runner something and raises where it does not answer; ``pause`` is how long to wait
    after that, in seconds. Belongs to one event loop.
    """

    def __init__(
        self,
        try_out: Callable[[], Awaitable[object]],
        pause: float,
        on_change: Callable[[bool], None] = lambda is_open: None,
    ) -> None:
        self._try_out = try_out
        self._pause = pause
        self._on_change = on_change
        self._finding_out: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._finding_out is not None

    def failed(self) -> None:
        """The runner is away."""
        if self._finding_out is None:
            self._finding_out = asyncio.get_running_loop().create_task(self._until_it_answers())
            self._on_change(True)

    def succeeded(self) -> None:
        """The runner has answered."""
        if self._finding_out is not None:
            self._finding_out.cancel()
            self._finding_out = None
            self._on_change(False)

    async def _until_it_answers(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self._try_out()
            except Exception:  # whatever it says, it is not back
                continue
            self._finding_out = None
            self._on_change(False)
            return
