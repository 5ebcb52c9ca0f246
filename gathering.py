"""Requests that arrive while others are being forecast are forecast together, in one pass through the pipeline.

A pass costs little more for sixty rows than for one: features, models and ensemble work on arrays. Nobody waits for
company: a request that finds a free turn starts at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from contracts import Bars, ForecastRequest, MarketData
from errors import DeepFinanceError
from passes import Passes
from pipeline import Outcome, Series

Work = Callable[[Sequence[ForecastRequest], Mapping[Series, Bars]], Awaitable[Sequence[Outcome]]]
"""Requests, and the bars of those series that have been looked up already."""

ROWS_A_PASS = 64
PASSES_AT_ONCE = 2
"""While one waits for the models, the other can be computed."""
NEW_A_PASS = 8
"""Of series that are new; two passes fill one of their replays (corrections.py)."""
SERIES_KNOWN = 8192


class Gathering:
    """Single requests of many callers in, passes of up to ``rows`` requests out. Belongs to one event loop.

    The first forecast of a series' bar replays its recent past, which takes thirty times as long as the next one does:
    new series have passes of their own, so that nobody else waits for them.
    """

    def __init__(self, work: Work, market: MarketData, rows: int = ROWS_A_PASS, at_once: int = PASSES_AT_ONCE) -> None:
        self._work = work
        self._market = market
        self._known: OrderedDict[str, None] = OrderedDict()
        self._passes = Passes(self._pass, rows, at_once)
        self._new = Passes(self._pass, NEW_A_PASS, at_once)

    def __len__(self) -> int:
        """How many wait for a turn."""
        return len(self._passes) + len(self._new)

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
            outcome = await self._new.through((request, bars))
            self._remember(bars.fingerprint)
            return [outcome]
        self._known.move_to_end(bars.fingerprint)
        return [await self._passes.through((request, bars))]

    def _remember(self, fingerprint: str) -> None:
        self._known[fingerprint] = None
        while len(self._known) > SERIES_KNOWN:
            self._known.popitem(last=False)

    async def _pass(self, wanted: Sequence[tuple[ForecastRequest, Bars]]) -> Sequence[Outcome]:
        return await self._work([request for request, _ in wanted], {_series(each): bars for each, bars in wanted})


def _series(request: ForecastRequest) -> Series:
    return request.symbol, request.timeframe
