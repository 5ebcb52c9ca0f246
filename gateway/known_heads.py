"""Heads of requests that were answered from memory: a client sends the same bytes again, but for the body.

The same bytes mean the same once more, so a head that is known need not be parsed: who asks, for which path, how long
the body is. They are kept as hashes, since there is a key in them.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from gateway.asgi import Headers
from gateway.auth import Caller

MOST_HEADS: Final = 1024
_LONGEST: Final = 8192
#: Of one request alone (its id), or of a request that is more than a head and a body in one piece.
_NOT_AGAIN: Final = (b"x-request-id", b"transfer-encoding", b"expect", b"upgrade")


class KnownHead(NamedTuple):
    """What a head says. ``length`` is that of the body, in bytes."""

    caller: Caller
    path: str
    length: int
    if_none_match: bytes | None


class KnownHeads:
    """Those of one process; of too many the first to come goes first."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, head: bytes) -> KnownHead | None:
        """What is known of these bytes, the empty line at their end included."""
        return self._known.get(hashlib.sha256(head).digest())

    def learn(self, request: bytes, path: str, headers: Headers, caller: Caller) -> None:
        """Remember the head of a whole request, of which these are the headers, and who sent it."""
        end = end_of_head(request)
        length = headers.get(b"content-length", b"")
        if len(request) > _LONGEST or not length.isdigit() or int(length) != len(request) - end:
            return
        if any(name in headers for name in _NOT_AGAIN):
            return
        if len(self._known) >= MOST_HEADS:
            del self._known[next(iter(self._known))]
        known = KnownHead(caller, path, int(length), headers.get(b"if-none-match"))
        self._known[hashlib.sha256(request[:end]).digest()] = known


def end_of_head(request: bytes) -> int:
    """Where the body begins; 3 where the head is not whole."""
    return request.find(b"\r\n\r\n") + 4
