"""ETags of what is read, and 304 where a caller names, in If-None-Match, that of what it would be sent."""

from __future__ import annotations

from gateway.answers import VARY, matches, tag_of
from gateway.asgi import Headers, Message, Scope, Send
from gateway.hot import HOT_PATHS

#: What is read there changes seldom: callers keep it, and ask each time whether it still is the same.
TAGGED = ("/api/v1/models", "/api/v1/scoreboard", "/api/v1/symbols")
_OF_THE_BODY = (b"content-type", b"content-length")


class Conditional:
    """A ``send`` for one response to a request with If-None-Match."""

    def __init__(self, send: Send, if_none_match: bytes) -> None:
        self._send = send
        self._if_none_match = if_none_match
        self._is_empty = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._names(message):
            self._is_empty = True
            headers = [pair for pair in message["headers"] if pair[0] not in _OF_THE_BODY]
            await self._send({**message, "status": 304, "headers": headers})
        elif not self._is_empty:
            await self._send(message)
        elif not message.get("more_body", False):
            await self._send({"type": "http.response.body", "body": b""})

    def _names(self, start: Message) -> bool:
        tag = dict(start["headers"]).get(b"etag", b"") if start["status"] == 200 else b""
        return bool(tag) and matches(self._if_none_match, tag.strip(b'"').decode("latin-1"))


class Tagged:
    """A ``send`` for one response that is read: gives it an ETag made of its bytes, or makes it a 304."""

    def __init__(self, send: Send, if_none_match: bytes | None) -> None:
        self._send = send
        self._if_none_match = if_none_match
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        tag = tag_of(self._body)
        own = ((b"etag", f'"{tag}"'.encode()), (b"cache-control", b"private, no-cache"), (b"vary", VARY.encode()))
        tagged = {**start, "headers": [*start["headers"], *own]}
        send = self._send if self._if_none_match is None else Conditional(self._send, self._if_none_match)
        await send(tagged)
        await send({"type": "http.response.body", "body": self._body})


def is_conditional(method: str, path: str) -> bool:
    """Whether what is answered there has an ETag; ``path`` may be a template."""
    return (path in HOT_PATHS and method == "POST") or _is_tagged(method, path)


def _is_tagged(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and any(path == it or path.startswith(f"{it}/") for it in TAGGED)


def conditional(scope: Scope, headers: Headers, send: Send) -> Send:
    """The ``send`` that minds If-None-Match, and gives what is read a tag to name there."""
    if_none_match = headers.get(b"if-none-match")
    if _is_tagged(scope["method"], scope["path"]):
        return Tagged(send, if_none_match)
    return send if if_none_match is None else Conditional(send, if_none_match)
