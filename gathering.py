"""Requests that arrive while others are being forecast are forecast together, in one pass through the pipeline.

A pass costs little more for sixty rows than for one: features, models and ensemble work on arrays. Nobody waits for
company: a request that finds a free turn starts at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from contracts import Bars, ForecastRequest, MarketData
from errors import DeepFinanceError
from pipeline import Outcome, Series

Work = Callable[[Sequence[ForecastRequest], Mapping[Series, Bars]], Awaitable[Sequence[Outcome]]]
"""Requests, and the bars of those series that have been looked up already."""

ROWS_A_PASS = 64
PASSES_AT_ONCE = 2
"""While one waits for the models, the other can be computed."""
SERIES_KNOWN = 8192


@dataclass(slots=True)
class _Place:
    """A request that waits for its outcome, the bars it is about, and the context it was made in."""

    request: ForecastRequest
    bars: Bars
    outcome: asyncio.Future[Outcome]
    context: Context = field(default_factory=copy_context)


class Gathering:
    """Single requests of many callers in, passes of up to ``rows`` requests out. Belongs to one event loop.

    The first forecast of a series' bar replays its recent past, which takes a hundred times as long as the next one
    does: it goes alone, so that nobody else waits for it.
    """

    def __init__(self, work: Work, market: MarketData, rows: int = ROWS_A_PASS, at_once: int = PASSES_AT_ONCE) -> None:
        self._work = work
        self._market = market
        self._rows = rows
        self._at_once = at_once
        self._known: OrderedDict[str, None] = OrderedDict()
        self._waiting: deque[_Place] = deque()
        self._passes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many wait for a turn."""
        return len(self._waiting)

    async def forecast(
        self, requests: Sequence[ForecastRequest], known: Mapping[Series, Bars] | None = None
    ) -> Sequence[Outcome]:
        """One outcome a request, in order; ``known`` are the bars that the caller has looked up. A batch is a pass of
        its own already."""
        if len(requests) != 1 or requests[0].explain:
            return await self._work(requests, known or {})
        (request,) = requests
        try:
            series = _series(request)
            bars = known[series] if known and series in known else await self._market.bars(*series)
        except DeepFinanceError as error:
            return [error]
        if bars.fingerprint not in self._known:
            outcomes = await self._work(requests, {series: bars})
            self._remember(bars.fingerprint)
            return outcomes
        self._known.move_to_end(bars.fingerprint)
        return [await self._in_company(request, bars)]

    def _remember(self, fingerprint: str) -> None:
        self._known[fingerprint] = None
        while len(self._known) > SERIES_KNOWN:
            self._known.popitem(last=False)

    async def _in_company(self, request: ForecastRequest, bars: Bars) -> Outcome:
        loop = asyncio.get_running_loop()
        place = _Place(request, bars, loop.create_future())
        self._waiting.append(place)
        loop.call_soon(self._start)  # after others that are ready now have come
        return await place.outcome

    def _start(self) -> None:
        while self._waiting and len(self._passes) < self._at_once:
            taken = [self._waiting.popleft() for _ in range(min(self._rows, len(self._waiting)))]
            if wanted := [place for place in taken if not place.outcome.done()]:
                # as the first of them, not as whoever happens to start it: what is logged names a request
                task = asyncio.get_running_loop().create_task(self._pass(wanted), context=wanted[0].context)
                self._passes.add(task)
                task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._passes.discard(task)
        self._start()

    async def _pass(self, places: Sequence[_Place]) -> None:
        """Settle every place, whatever happens."""
        try:
            bars = {_series(place.request): place.bars for place in places}
            outcomes = await self._work([place.request for place in places], bars)
        except Exception as error:
            if len(places) == 1:
                _fail(places[0], error)
            else:  # nobody foresaw it: one of them may be to blame, and the others are not
                await asyncio.gather(*(self._pass([place]) for place in places))
            return
        except asyncio.CancelledError:
            for place in places:
                place.outcome.cancel()
            raise
        for place, outcome in zip(places, outcomes, strict=True):
            if not place.outcome.done():
                place.outcome.set_result(outcome)


def _series(request: ForecastRequest) -> Series:
    return request.symbol, request.timeframe


def _fail(place: _Place, error: Exception) -> None:
    if not place.outcome.done():
        place.outcome.set_exception(error)
