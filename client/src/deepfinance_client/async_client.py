"""The asynchronous client: the same methods as the synchronous one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Concatenate, ParamSpec, Self

import httpx

from deepfinance_client import routes
from deepfinance_client.calls import MAX_BATCH, Answer, Call, Request, described, request_of
from deepfinance_client.connection import DEFAULT_URL, arguments_of, http_options, read
from deepfinance_client.errors import DeepFinanceError, broken, refusal_in
from deepfinance_client.events import Event, EventReader
from deepfinance_client.forecasts import BatchResult, Forecasts
from deepfinance_client.many import Bulk, Chunk, Requests, chunks_of
from deepfinance_client.responses import PredictResponse
from deepfinance_client.retries import NEVER, USUAL, Retries
from deepfinance_client.subscriptions import Change, Feed, Socket

Arguments = ParamSpec("Arguments")


def _asks(
    route: Callable[Arguments, Call[Answer]],
) -> Callable[Concatenate[AsyncClient, Arguments], Awaitable[Answer]]:
    """The route as a method."""

    async def method(self: AsyncClient, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return await self.send(route(*args, **kwargs))

    described(method, route)
    return method


def _streams(
    route: Callable[Arguments, Call[PredictResponse]],
) -> Callable[Concatenate[AsyncClient, Arguments], AsyncIterator[Event]]:
    """The route as a method that gives the answer piece by piece."""

    def method(self: AsyncClient, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> AsyncIterator[Event]:
        return self._events(route(*args, **kwargs))

    described(method, route, "AsyncIterator[Event]")
    return method


class AsyncClient:
    """A DeepFinance service. Tasks of one event loop may share it; connections are kept and used again.

        async with AsyncClient(key="...") as client:
            (await client.predict("AAPL", horizon=5)).interval

    ``timeout``: seconds for one answer. What may pass (no connection, 429, 502, 503, 504) is asked again as ``retries``
    says. Raises what is in ``errors``. What each method takes is in ``routes``.
    """

    # forecasts
    predict = _asks(routes.predict)
    stream = _streams(routes.stream)
    history = _asks(routes.history)
    # risk
    risk = _asks(routes.risk)
    risk_returns = _asks(routes.risk_returns)
    portfolio = _asks(routes.portfolio)
    # options
    option_price = _asks(routes.option_price)
    option_prices = _asks(routes.option_prices)
    implied_volatility = _asks(routes.implied_volatility)
    implied_volatilities = _asks(routes.implied_volatilities)
    # what there is
    models = _asks(routes.models)
    scoreboard = _asks(routes.scoreboard)
    live_scoreboard = _asks(routes.live_scoreboard)
    symbols = _asks(routes.symbols)
    symbol = _asks(routes.symbol)
    health = _asks(routes.health)

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: Retries = USUAL,
        connections: int = 16,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url, self._key, self._timeout = url, key, timeout
        self._retries = retries
        self._http = httpx.AsyncClient(**http_options(url, key, timeout, connections), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict_batch(self, requests: Iterable[str | Request | Mapping[str, Any]]) -> Forecasts:
        """Up to 500 symbols or requests in one call. Each gets its forecast or its own error."""
        asked = [request_of(it) for it in requests]
        return Forecasts(asked, (await self.send(routes.predict_batch(asked))).results)

    async def predict_many(
        self, requests: Iterable[str | Request | Mapping[str, Any]], *, parallel: int = 4, chunk: int = MAX_BATCH
    ) -> Forecasts:
        """Any number of symbols or requests, ``chunk`` to a call and up to ``parallel`` calls at a time, fewer where
        the service asks for it. Raises what ``predict_batch`` raises; what one item lacks is its own error.
        """
        asked = [request_of(it) for it in requests]
        found: dict[int, BatchResult] = {}

        async def keep(chunk: Chunk, results: Sequence[BatchResult]) -> None:
            found.update(enumerate(results, chunk.start))

        async def ask(requests: Requests) -> Sequence[BatchResult]:
            return (await self.send(routes.predict_batch(requests), retries=NEVER)).results

        await Bulk(ask, keep, self._retries, parallel).run(chunks_of(asked, chunk))
        return Forecasts(asked, [found[place] for place in range(len(asked))])

    async def subscribe(self, requests: Iterable[str | Request | Mapping[str, Any]]) -> AsyncIterator[Change]:
        """The forecasts of up to 100 symbols or requests, each at once and whenever it changes, without end. A
        connection that breaks is opened again; then all of them come anew. Needs ``deepfinance-client[stream]``.
        """
        feed, socket = Feed(requests, self._retries), Socket(self._url, self._key, self._timeout)
        while True:
            try:
                async with socket.connect_async() as connection:
                    for message in feed.messages:
                        await connection.send(message)
                    async for text in connection:
                        if (change := feed.read(text)) is not None:
                            yield change
                problem = socket.closed()
            except socket.errors as error:
                problem = socket.problem(error)
            await asyncio.sleep(feed.delay(problem))

    async def send(self, call: Call[Answer], retries: Retries | None = None) -> Answer:
        """Send any call, again where that may help. Raises DeepFinanceError."""
        retries = retries or self._retries
        for attempt in count(1):
            try:
                return await self._send(call)
            except DeepFinanceError as error:
                delay = retries.delay(attempt, error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _send(self, call: Call[Answer]) -> Answer:
        try:
            response = await self._http.request(**arguments_of(call))
        except httpx.TransportError as error:
            raise broken(error) from error
        return read(call, response)

    async def _events(self, call: Call[PredictResponse]) -> AsyncIterator[Event]:
        reader = EventReader()
        try:
            async with self._http.stream(**arguments_of(call)) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refusal_in(response)
                async for line in response.aiter_lines():
                    if (event := reader.line(line)) is not None:
                        yield event
        except httpx.TransportError as error:
            raise broken(error) from error
        reader.finish()
