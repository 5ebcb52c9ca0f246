"""Every response on its way out: its headers, and errors of others put into our shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from gateway.asgi import Message, Send
from gateway.body import Rest
from gateway.responses import ERROR_PREFIX, error_body, problem_for_status

Header = tuple[bytes, bytes]

#: Given to every response that does not say otherwise itself. The documentation page has its own policy.
_DEFAULTS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
#: Those of an answer that says itself how long it is good.
DEFAULT_HEADERS = tuple(pair for pair in _DEFAULTS.items() if pair[0] != b"cache-control")
_NAMES_THE_FRAMEWORK = b"server"
_OF_THE_OLD_BODY = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
_LARGEST_ERROR = 65_536
_ID, _TIME, _SECONDS = b"x-request-id", b"x-response-time", b"%.6f"
_OWN_LINES = b"%b: %%b\r\n%b: %b\r\n" % (_ID, _TIME, _SECONDS)


class Outgoing:
    """A ``send`` for one response. Errors are held back until their body is seen, all else passes at once.

    The door sets ``limits`` where the request was counted (the headers that say so), and the ``rest`` of the body that
    may still be coming when an error goes out: the connection is closed then.
    """

    def __init__(self, send: Send, request_id: str, started_at: float) -> None:
        self._send = send
        self.request_id = request_id
        self._started_at = started_at
        self._held: Message | None = None
        self._body = b""
        self._over = False
        self.status = 0
        self.limits: Callable[[], list[Header]] | None = None
        self.rest: Rest | None = None

    @property
    def seconds(self) -> float:
        """Time since the request came in."""
        return time.perf_counter() - self._started_at

    async def __call__(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start":
            await self._start(message)
        elif message["type"] == "http.response.body" and self._held is not None:
            await self._hold_body(message, self._held)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        if self.status < 400:
            await self._send({**message, "headers": self._stamped(message["headers"])})
        else:
            self._held = message

    async def _hold_body(self, message: Message, start: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body", False) and len(self._body) <= _LARGEST_ERROR:
            return
        self._over = True
        headers = list(start.get("headers", ()))
        if not self._body.startswith(ERROR_PREFIX):
            headers = self._translate(headers)
        if self.rest is not None and self.rest.may_come():
            await self._send_and_close(start, headers, self.rest)
        else:
            await self._send({**start, "headers": self._stamped(headers)})
            await self._send({"type": "http.response.body", "body": self._body})

    async def _send_and_close(self, start: Message, headers: list[Header], rest: Rest) -> None:
        await self._send({**start, "headers": self._stamped([*headers, (b"connection", b"close")])})
        await self._send({"type": "http.response.body", "body": self._body, "more_body": True})
        await rest.forget()
        await self._send({"type": "http.response.body", "body": b""})

    def _translate(self, headers: list[Header]) -> list[Header]:
        """Replace the body by one in our shape; headers such as Allow and those for CORS are kept."""
        kept = [(name, value) for name, value in headers if name.lower() not in _OF_THE_OLD_BODY]
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in kept}
        problem = problem_for_status(self.status, sent)
        self._body = error_body(problem)
        added = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items() if name not in sent]
        length = (b"content-length", str(len(self._body)).encode())
        return [*kept, *added, (b"content-type", b"application/json"), length]

    def _stamped(self, headers: Iterable[Header]) -> list[Header]:
        limits = self.limits() if self.limits is not None else []
        return [*with_defaults(headers), *limits, *own_headers(self.request_id, self.seconds)]


def with_defaults(headers: Iterable[Header]) -> list[Header]:
    """What every response has, beside or in place of what this one says itself."""
    kept = [pair for pair in headers if pair[0] != _NAMES_THE_FRAMEWORK]
    said = {name for name, _ in kept}
    return kept + [pair for pair in _DEFAULTS.items() if pair[0] not in said]


def own_headers(request_id: str, seconds: float) -> tuple[Header, Header]:
    """Of one response alone."""
    return (_ID, request_id.encode()), (_TIME, _SECONDS % seconds)


def own_lines(request_id: str, seconds: float) -> bytes:
    """The same as lines of a response, each with its end."""
    return _OWN_LINES % (request_id.encode(), seconds)
