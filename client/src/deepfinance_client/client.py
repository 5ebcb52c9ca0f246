"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Concatenate, ParamSpec, Self

import httpx
from anyio.from_thread import start_blocking_portal

from deepfinance_client import routes
from deepfinance_client.async_client import AsyncClient
from deepfinance_client.calls import MAX_BATCH, Answer, Call, Request, described, request_of
from deepfinance_client.connection import DEFAULT_URL, arguments_of, http_options, read
from deepfinance_client.errors import DeepFinanceError, broken, refusal_in
from deepfinance_client.events import Event, EventReader
from deepfinance_client.forecasts import Forecasts
from deepfinance_client.many import Requests
from deepfinance_client.responses import PredictResponse
from deepfinance_client.retries import USUAL, Retries
from deepfinance_client.subscriptions import Change, Feed, Socket

Arguments = ParamSpec("Arguments")


def _asks(route: Callable[Arguments, Call[Answer]]) -> Callable[Concatenate[Client, Arguments], Answer]:
    """The route as a method."""

    def method(self: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return self.send(route(*args, **kwargs))

    described(method, route)
    return method


def _streams(
    route: Callable[Arguments, Call[PredictResponse]],
) -> Callable[Concatenate[Client, Arguments], Iterator[Event]]:
    """The route as a method that gives the answer piece by piece."""

    def method(self: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Event]:
        return self._events(route(*args, **kwargs))

    described(method, route, "Iterator[Event]")
    return method


class Client:
    """A DeepFinance service. Threads may share it; connections are kept and used again.

        with Client(key="...") as client:
            client.predict("AAPL", horizon=5).interval

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url, self._key, self._timeout = url, key, timeout
        self._retries = retries
        self._http = httpx.Client(**http_options(url, key, timeout, connections), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict_batch(self, requests: Iterable[str | Request | Mapping[str, Any]]) -> Forecasts:
        """Up to 500 symbols or requests in one call. Each gets its forecast or its own error."""
        asked = [request_of(it) for it in requests]
        return Forecasts(asked, (self.send(routes.predict_batch(asked))).results)

    def predict_many(
        self, requests: Iterable[str | Request | Mapping[str, Any]], *, parallel: int = 4, chunk: int = MAX_BATCH
    ) -> Forecasts:
        """Any number of symbols or requests, ``chunk`` to a call and up to ``parallel`` calls at a time, fewer where
        the service asks for it. Raises what ``predict_batch`` raises; what one item lacks is its own error.
        """
        with start_blocking_portal() as elsewhere:  # works where an event loop is running already, as in a notebook
            return elsewhere.call(self._predict_many, [request_of(it) for it in requests], parallel, chunk)

    def subscribe(self, requests: Iterable[str | Request | Mapping[str, Any]]) -> Iterator[Change]:
        """The forecasts of up to 100 symbols or requests, each at once and whenever it changes, without end. A
        connection that breaks is opened again; then all of them come anew. Needs ``deepfinance-client[stream]``.
        """
        feed, socket = Feed(requests, self._retries), Socket(self._url, self._key, self._timeout)
        while True:
            try:
                with socket.connect() as connection:
                    for message in feed.messages:
                        connection.send(message)
                    for text in connection:
                        if (change := feed.read(text)) is not None:
                            yield change
                problem = socket.closed()
            except socket.errors as error:
                problem = socket.problem(error)
            time.sleep(feed.delay(problem))

    def send(self, call: Call[Answer], retries: Retries | None = None) -> Answer:
        """Send any call, again where that may help. Raises DeepFinanceError."""
        retries = retries or self._retries
        for attempt in count(1):
            try:
                return self._send(call)
            except DeepFinanceError as error:
                delay = retries.delay(attempt, error)
                if delay is None:
                    raise
            time.sleep(delay)
        raise AssertionError("unreachable")

    def _send(self, call: Call[Answer]) -> Answer:
        try:
            response = self._http.request(**arguments_of(call))
        except httpx.TransportError as error:
            raise broken(error) from error
        return read(call, response)

    def _events(self, call: Call[PredictResponse]) -> Iterator[Event]:
        reader = EventReader()
        try:
            with self._http.stream(**arguments_of(call)) as response:
                if response.status_code != 200:
                    response.read()
                    raise refusal_in(response)
                for line in response.iter_lines():
                    if (event := reader.line(line)) is not None:
                        yield event
        except httpx.TransportError as error:
            raise broken(error) from error
        reader.finish()

    async def _predict_many(self, requests: Requests, parallel: int, chunk: int) -> Forecasts:
        async with AsyncClient(self._url, self._key, timeout=self._timeout, retries=self._retries) as client:
            return await client.predict_many(requests, parallel=parallel, chunk=chunk)
