"""What a request may carry: the size of its head, and of its body the type, the size and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import chain

from errors import HeadersTooLarge, MalformedBody, PayloadTooLarge, Timeout, UnsupportedMediaType, UriTooLong
from gateway.asgi import Headers, Message, Receive, Scope

#: Set on a scope once it is known whether the rest of the body may still be coming.
_UNFINISHED = "deepfinance.unfinished"
#: A header never is larger than all of them may be together, a query never longer than this.
MAX_HEADERS, MAX_HEADER_BYTES, MAX_TARGET_BYTES = 100, 32_768, 8_192

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_JSON_PATHS = "/api/v1/"
_SURELY_SMALL = 5  # digits of a length
_DRAINED = 16 * 1_048_576


def check_head(scope: Scope) -> None:
    """Raise HeadersTooLarge or UriTooLong for what no client of ours sends."""
    if len(scope["headers"]) > MAX_HEADERS:
        raise HeadersTooLarge(f"a request may have {MAX_HEADERS} headers")
    if header_bytes(scope) > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"the headers of a request may have {MAX_HEADER_BYTES} bytes")
    if len(scope["path"]) + len(scope.get("query_string", b"")) > MAX_TARGET_BYTES:
        raise UriTooLong(f"the address of a request may have {MAX_TARGET_BYTES} bytes")


def header_bytes(scope: Scope) -> int:
    """Bytes of all names and values."""
    return sum(map(len, chain.from_iterable(scope["headers"])))


def check_media_type(scope: Scope, headers: Headers) -> None:
    """A body sent to the API must say that it is JSON, and be it as it comes. A POST without a body need not say
    anything."""
    if scope["method"] not in _WITH_BODY or not scope["path"].startswith(_JSON_PATHS):
        return
    if headers.get(b"content-encoding", b"").lower() not in (b"", b"identity"):
        raise UnsupportedMediaType("the body must not be compressed")
    sent = headers.get(b"content-type")
    if sent == b"application/json" or (sent is None and not _has_body(headers)):
        return
    if (sent or b"").partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMediaType("the body must be application/json")


def _has_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def whole_body(
    scope: Scope, headers: Headers, receive: Receive, limit: int, seconds: float
) -> tuple[bytes, Receive] | None:
    """Read the body up to ``limit`` bytes; with it comes a ``receive`` that has it in one piece.

    None if the caller went away. Read here rather than counted on the way, because frameworks turn an
    error raised in their ``receive`` into one of their own.
    """
    if _declared_length(headers) > limit:
        scope[_UNFINISHED] = True
        raise _too_large(limit)
    if scope["method"] not in _WITH_BODY:
        return b"", receive
    try:
        async with asyncio.timeout(seconds):
            body, scope[_UNFINISHED] = await _collect(receive, limit)
    except TimeoutError:
        scope[_UNFINISHED] = True
        raise Timeout(f"the body did not arrive within {seconds:g} seconds") from None
    if body is not None and len(body) > limit:
        raise _too_large(limit)
    return None if body is None else (body, _replay(body, receive))


class Rest:
    """What a refused caller may still be sending. The server would read it for ever, and a client that is cut off
    while it sends may never see why: so the answer goes out, the rest is forgotten for a while, then it is cut off.
    """

    def __init__(self, scope: Scope, headers: Headers, receive: Receive, seconds: float) -> None:
        self._scope, self._headers, self._receive = scope, headers, receive
        self._seconds = min(2.0, seconds)

    def may_come(self) -> bool:
        """What is known to be small does not count: the server forgets it, and the connection can be used again."""
        unread = b"transfer-encoding" in self._headers or len(self._headers.get(b"content-length", b"")) > _SURELY_SMALL
        return bool(self._scope.get(_UNFINISHED, unread))

    async def forget(self) -> None:
        """Read to the end of it, for 2 seconds or 16 MiB at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _drain(self._receive, _DRAINED)


def _declared_length(headers: Headers) -> int:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise MalformedBody("Content-Length must be a number")
    return int(length[:19])


async def _collect(receive: Receive, limit: int) -> tuple[bytes | None, bool]:
    """The body as far as it may go, and whether more of it comes; None if the caller went away."""
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    if message.get("more_body"):
        body = bytearray(body)
    while message.get("more_body") and message["type"] == "http.request" and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] != "http.request":
        return None, False
    return bytes(body), message.get("more_body", False)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body must not be larger than {limit} bytes")


async def _drain(receive: Receive, at_most: int) -> None:
    more = True
    while more and at_most > 0:
        message = await receive()
        at_most -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def replay() -> Message:
        nonlocal pending
        if pending is None:
            return await receive()
        message, pending = pending, None
        return message

    return replay
