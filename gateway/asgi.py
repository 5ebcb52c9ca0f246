"""The few ASGI types and helpers that the door and its parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.responses import Problem, error_body

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "answer", "first_header"]


def first_header(scope: Mapping[str, Any], name: bytes) -> bytes | None:
    """The first header of that (lower-case) name, which is the one that frameworks behind us read as well."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def answer(send: Send, problem: Problem) -> None:
    """Send a problem as a whole response."""
    body = error_body(problem)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
