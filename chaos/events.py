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


async def happen(stack: Stack, seconds: float) -> list[float]:
    """Let everything of the plan happen; when each did (of ``time.monotonic``). The last waits for all before it."""
    started, times = time.monotonic(), list[float]()
    doing: list[asyncio.Task[object]] = []
    for event in PLAN:
        await asyncio.sleep(max(0.0, started + event.at * seconds - time.monotonic()))
        if event is PLAN[-1]:
            await asyncio.gather(*doing)
        times.append(time.monotonic())
        doing.append(asyncio.create_task(asyncio.to_thread(event.do, stack)))
    await doing[-1]
    return times
