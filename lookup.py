"""The bars of many series, or why there are none."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from contracts import Bars, MarketData, Timeframe
from errors import DeepFinanceError


async def looked_up(
    series: Iterable[tuple[str, Timeframe]], market: MarketData
) -> dict[tuple[str, Timeframe], Bars | DeepFinanceError]:
    """Each once, all at the same time.

    Nearly all are known and there at once, so one task goes from series to series; only when it has to wait for one
    does another go on.
    """
    left = deque(dict.fromkeys(series))
    found: dict[tuple[str, Timeframe], Bars | DeepFinanceError] = {}

    async def go_on() -> None:
        while left:
            each = left.popleft()
            try:
                found[each] = await market.bars(*each)
            except DeepFinanceError as error:
                found[each] = error

    if len(left) == 1:
        await go_on()
        return found
    tasks: list[asyncio.Task[None]] = []
    try:
        while left:
            tasks.append(asyncio.create_task(go_on()))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()  # where the caller has gone away, or something unforeseen happened
    return found
