"""The request body at the door: its type, its size, and how long it may take."""

from __future__ import annotations

import asyncio

from errors import MalformedBody, PayloadTooLarge, Timeout, UnsupportedMediaType
from gateway.asgi import Message, Receive, Scope, first_header

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_JSON_PATHS = "/api/v1/"


def check_media_type(scope: Scope) -> None:
    """A body sent to the API must say that it is JSON. A POST without a body need not say anything."""
    if scope["method"] not in _WITH_BODY or not scope["path"].startswith(_JSON_PATHS):
        return
    sent = first_header(scope, b"content-type")
    if sent is None and not _has_body(scope):
        return
    if (sent or b"").partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMediaType("the body must be application/json")


def _has_body(scope: Scope) -> bool:
    length = first_header(scope, b"content-length")
    return first_header(scope, b"transfer-encoding") is not None or length not in (None, b"0")


async def whole_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> Receive | None:
    """Read the body up to ``limit`` bytes and give it back as a ``receive`` that has it in one piece.

    None if the caller went away. Read here rather than counted on the way, because frameworks turn an
    error raised in their ``receive`` into one of their own.
    """
    _check_declared_length(scope, limit)
    if scope["method"] not in _WITH_BODY:
        return receive
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(receive, limit)
    except TimeoutError:
        raise Timeout(f"the body did not arrive within {seconds:g} seconds") from None
    return None if body is None else _replay(body, receive)


def _check_declared_length(scope: Scope, limit: int) -> None:
    length = first_header(scope, b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise MalformedBody("Content-Length must be a number")
    if len(length) > 18 or int(length) > limit:
        raise _too_large(limit)


async def _collect(receive: Receive, limit: int) -> bytes | None:
    message = await receive()
    body = bytearray(message.get("body", b""))
    while message.get("more_body") and message["type"] == "http.request" and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] != "http.request":
        return None
    if len(body) > limit:
        raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body must not be larger than {limit} bytes")


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def replay() -> Message:
        nonlocal pending
        if pending is None:
            return await receive()
        message, pending = pending, None
        return message

    return replay
