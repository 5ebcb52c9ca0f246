"""What can be received without waiting: so no clock is needed for bodies that are there already, nearly all of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from gateway.asgi import Message, Receive


class _Begun:
    """Goes on with an awaitable of which the first step is made already."""

    def __init__(self, step: Generator[Any, Any, Message], pending: Any) -> None:
        self._step, self._pending = step, pending

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._pending
        except BaseException as error:  # the task is cancelled while it waits
            self._step.throw(error)
            raise
        return (yield from self._step)


def at_once(receive: Receive) -> tuple[Message | None, Receive]:
    """The message that can be had without waiting, or None; and a ``receive`` as if nobody had looked."""
    step: Generator[Any, Any, Message] = receive().__await__()
    first: Message | None = None
    pending: Any = None
    try:
        pending = next(step)
    except StopIteration as done:
        first = done.value
    looked = False

    async def again() -> Message:
        nonlocal looked
        if looked:
            return await receive()
        looked = True
        return await _Begun(step, pending) if first is None else first

    return first, again
