"""``WS /stream``: forecasts as they change. What is said and what it means; waiting is left to the clients.

Needs websockets, which is imported with the first connection: ``deepfinance-client[stream]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from deepfinance_client.body import Body
from deepfinance_client.calls import Request, request_of
from deepfinance_client.connection import API
from deepfinance_client.errors import DeepFinanceError, UnexpectedAnswer, Unreachable, refusal, refusal_in
from deepfinance_client.responses import ErrorInfo, PredictResponse
from deepfinance_client.retries import Retries

if TYPE_CHECKING:
    from websockets.asyncio.client import connect as connect_async
    from websockets.sync.client import ClientConnection

LASTING = Retries(attempts=60)
"""For a connection that was there: about nine minutes."""


class Update(Body):
    """A forecast that is new. ``latest_price`` is that of the bar still forming, where the source tells it."""

    symbol: str
    horizon: int
    latest_price: float | None = None
    forecast: PredictResponse


class NoForecast(Body):
    """A forecast that cannot be made, told once; where that passes, it follows."""

    symbol: str
    error: ErrorInfo


Change = Update | NoForecast


class Feed:
    """What is sent on every connection (``messages``), and what comes back."""

    def __init__(self, requests: Iterable[str | Request | Mapping[str, Any]], retries: Retries) -> None:
        self.messages = [json.dumps({"action": "subscribe", **request_of(it)}) for it in requests]
        self._retries, self._failed = retries, 0

    def read(self, text: str | bytes) -> Change | None:
        """What a message changes, None where nothing. Raises Refused where a request is wrong."""
        try:
            return self._read(from_json(text))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise UnexpectedAnswer(f"a message that is not the service's: {error}") from None

    def _read(self, message: dict[str, Any]) -> Change | None:
        if message["type"] == "forecast":
            self._retries, self._failed = LASTING, 0
            return Update.model_validate(message)
        if message["type"] != "error":
            return None  # subscribed, heartbeat; closing, which the close itself follows
        info = ErrorInfo.model_validate({**message["error"], "request_id": message["error"].get("request_id") or ""})
        if "symbol" not in message:
            raise refusal(422, info)
        return NoForecast(symbol=message["symbol"], error=info)

    def delay(self, problem: DeepFinanceError) -> float:
        """Seconds until the next connection. Raises the problem where another one would not help."""
        self._failed += 1
        delay = self._retries.delay(self._failed, problem)
        if delay is None:
            raise problem
        return delay


class Socket:
    """Where the service listens, and what a connection to it can end with."""

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        try:
            from websockets.exceptions import WebSocketException
        except ImportError:
            raise ImportError("subscribe needs websockets: pip install 'deepfinance-client[stream]'") from None
        self.errors: tuple[type[Exception], ...] = (OSError, WebSocketException)
        self._url = "ws" + url.rstrip("/").removeprefix("http") + API + "/stream"
        self._options: dict[str, Any] = {
            "additional_headers": {"X-API-Key": key} if key else {},
            "user_agent_header": "deepfinance-client",
            "open_timeout": timeout,
            "compression": None,
        }

    def connect(self) -> ClientConnection:
        """For ``with``."""
        from websockets.sync.client import connect

        return connect(self._url, **self._options)

    def connect_async(self) -> connect_async:
        """For ``async with``."""
        from websockets.asyncio.client import connect

        return connect(self._url, **self._options)

    def closed(self) -> DeepFinanceError:
        """The service ended a connection in order: it is going away, or the key is no longer good, which the next
        connection will be told."""
        return Unreachable("the service closed the connection")

    def problem(self, error: Exception) -> DeepFinanceError:
        """The error of the tree for a connection that broke or never was."""
        from websockets.exceptions import InvalidStatus

        if not isinstance(error, InvalidStatus):
            return Unreachable(f"the service cannot be reached: {error or type(error).__name__}")
        answer = error.response
        request = httpx.Request("GET", self._url)
        headers = [(name, value) for name, value in answer.headers.raw_items() if name.lower() != "content-encoding"]
        return refusal_in(
            httpx.Response(answer.status_code, headers=headers, content=bytes(answer.body), request=request)
        )
