"""What happens to the service, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chaos.stack import RUNNERS, Stack


@dataclass(frozen=True)
class Event:
    """``at`` is a fraction of the whole time; ``missing`` is what answers must name after it."""

    at: float
    name: str
    do: Callable[[Any], object]
    missing: str = ""


def _plan() -> tuple[Event, ...]:
    kills = tuple(
        Event(0.44 + 0.08 * number, f"{name} killed", _killing(name), model)
        for number, (name, model) in enumerate(RUNNERS.items())
    )
    return (
        Event(0.0, "nothing", lambda it: None),
        Event(0.08, "Redis killed", lambda it: it.redis.kill()),
        Event(0.18, "Redis back", lambda it: it.redis.start()),
        Event(0.24, "PostgreSQL killed", lambda it: it.postgres.kill()),
        Event(0.36, "PostgreSQL back", lambda it: it.postgres.bring_back()),
        *kills,
        Event(0.69, "every source fails", lambda it: it.lose_source(), "source:yahoo"),
        Event(0.94, "sources back", lambda it: it.bring_back_source()),
        Event(1.0, "SIGTERM", lambda it: it.terminate()),
    )


def _killing(name: str) -> Callable[[Stack], object]:
    return lambda it: it.kill_runner(name)


PLAN = _plan()


async def happen(stack: Stack, seconds: float, before_last: Callable[[], None] = lambda: None) -> list[float]:
    """Let everything of the plan happen, one after the other, with the plan's pauses between; when each did (of
    ``time.monotonic``)."""
    times: list[float] = []
    at = 0.0
    for event in PLAN:
        await asyncio.sleep((event.at - at) * seconds)
        at = event.at
        if event is PLAN[-1]:
            before_last()
        times.append(time.monotonic())
        await asyncio.to_thread(event.do, stack)
    return times
