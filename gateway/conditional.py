"""304 where a caller names, in If-None-Match, the ETag of what it would be sent."""

from __future__ import annotations

from gateway.answers import matches
from gateway.asgi import Message, Send

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
