"""How long work of one kind may take, with one timer for all of it.

``asyncio.timeout`` makes a timer for every request and takes it back a moment later. Where everything has the same
time, what began first is due first: it is enough to wait for that.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Deadlines:
    """``with deadlines.begin():`` in a task is ``async with asyncio.timeout(seconds):``. Belongs to one event loop at
    a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Deadline, None] = {}  # the first to begin comes first
        self._waits_in: asyncio.AbstractEventLoop | None = None

    def begin(self) -> Deadline:
        """For what the current task does from now on."""
        loop = asyncio.get_running_loop()
        deadline = Deadline(self._running, loop.time() + self._seconds)
        if self._waits_in is not loop:
            self._wait_for(deadline, loop)
        return deadline

    def _wait_for(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        self._waits_in = loop
        loop.call_at(deadline.when, self._give_up_what_is_due, loop)

    def _give_up_what_is_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waits_in = None
        now = loop.time()
        for deadline in tuple(self._running):
            if deadline.when > now:
                self._wait_for(deadline, loop)
                return
            deadline.give_up()


class Deadline:
    """Of one piece of work. Raises TimeoutError on the way out where the work was given up."""

    __slots__ = ("_cancelling", "_is_given_up", "_running", "_task", "when")

    def __init__(self, running: dict[Deadline, None], when: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task, self._cancelling = task, task.cancelling()
        self._running, self.when = running, when
        self._is_given_up = False

    def give_up(self) -> None:
        self._running.pop(self, None)
        self._is_given_up = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._running[self] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.pop(self, None)
        # As asyncio.timeout does: someone else may want the task to end as well, and comes first.
        if self._is_given_up and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
