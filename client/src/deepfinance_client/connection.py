"""What the synchronous and the asynchronous client have in common: how to connect, and how answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import httpx
from pydantic import ValidationError

from deepfinance_client.calls import Answer, Call
from deepfinance_client.errors import UnexpectedAnswer, refusal_in

DEFAULT_URL = "http://127.0.0.1:3000"
API = "/api/v1"


class HttpOptions(TypedDict):
    """Arguments of ``httpx.Client`` and ``httpx.AsyncClient``."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    limits: httpx.Limits
    verify: bool


def http_options(url: str, key: str | None, timeout: float, connections: int) -> HttpOptions:
    """Connections are kept open and used again; ``timeout`` is for an answer, connecting has five seconds."""
    headers = {"Accept": "application/json", "User-Agent": "deepfinance-client"}
    if key:
        headers["X-API-Key"] = key
    return HttpOptions(
        base_url=url.rstrip("/") + API,
        headers=headers,
        timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        verify=not url.startswith("http://"),  # without TLS the certificates need not be read, which takes 50 ms
    )


def arguments_of(call: Call[Any]) -> dict[str, Any]:
    """The call as arguments of ``httpx.Client.request``."""
    sent: dict[str, Any] = {"method": call.method, "url": call.path, "params": _query(call.query)}
    return sent if call.body is None else {**sent, "json": call.body}


def _query(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}


def read(call: Call[Answer], response: httpx.Response) -> Answer:
    """The answer in a response. Raises Refused where it is an error, UnexpectedAnswer where it is something else."""
    if response.status_code not in call.may_be | {200}:
        raise refusal_in(response)
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError as error:
        if response.status_code != 200:
            raise refusal_in(response) from None
        raise UnexpectedAnswer(f"{response.url}: the answer is not a {call.answer.__name__}: {error}") from None
