"""The few ASGI types and helpers that the door and its parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.responses import Problem, error_body

__all__ = ["ASGIApp", "Headers", "Message", "Receive", "Scope", "Send", "answer", "first_headers", "problem_headers"]

Headers = Mapping[bytes, bytes]


def first_headers(scope: Mapping[str, Any]) -> Headers:
    """By (lower-case) name, of several the first, which is the one that frameworks behind us read as well."""
    return dict(reversed(scope["headers"]))


def problem_headers(problem: Problem, body: bytes) -> list[tuple[bytes, bytes]]:
    """Of the response that says ``problem`` in ``body``."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return headers + [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]


async def answer(send: Send, problem: Problem) -> None:
    """Send a problem as a whole response."""
    body = error_body(problem)
    headers = problem_headers(problem, body)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
