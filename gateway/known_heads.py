"""Heads of requests that were answered from memory: a client sends the same bytes again, but for the body.

The same bytes mean the same once more, so a head that is known need not be parsed: who asks, for which path, how long
the body is. What may differ is the id that a request is sent with. They are kept as hashes, since there is a key in
them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from gateway.asgi import Headers
from gateway.auth import Caller

MOST_HEADS: Final = 1024
_LONGEST: Final = 8192
#: Of a request that is more than a head and a body in one piece.
_MORE: Final = (b"transfer-encoding", b"expect", b"upgrade")
#: A sane one (gateway/request_id.py); the first of several counts, and with another one left a head is not known.
_ID: Final = re.compile(rb"\r\nx-request-id:[ \t]*([a-z0-9._-]{1,64})(?=\r\n)", re.IGNORECASE)
_NAME_OF_ID: Final = b"x-request-id"


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

    def find(self, head: bytes) -> tuple[KnownHead, bytes | None] | None:
        """What is known of these bytes, the empty line at their end included, and the id in them."""
        if (known := self._known.get(_digest(head))) is not None:
            return known, None
        head, sent_id = without_id(head)
        known = None if sent_id is None else self._known.get(_digest(head))
        return None if known is None else (known, sent_id)

    def learn(self, request: bytes, path: str, headers: Headers, caller: Caller) -> None:
        """Remember the head of a whole request, of which these are the headers, and who sent it."""
        end = end_of_head(request)
        length = headers.get(b"content-length", b"")
        if len(request) > _LONGEST or not length.isdigit() or int(length) != len(request) - end:
            return
        head, sent_id = without_id(request[:end])
        if any(name in headers for name in _MORE) or headers.get(_NAME_OF_ID) != sent_id or _has_id(head):
            return
        if len(self._known) >= MOST_HEADS:
            del self._known[next(iter(self._known))]
        known = KnownHead(caller, path, int(length), headers.get(b"if-none-match"))
        self._known[_digest(head)] = known


def end_of_head(request: bytes) -> int:
    """Where the body begins; 3 where the head is not whole."""
    return request.find(b"\r\n\r\n") + 4


def without_id(head: bytes) -> tuple[bytes, bytes | None]:
    """A head without the line of its id, and the id; as it is where there is none, or none that is sane."""
    found = _ID.search(head)
    return (head, None) if found is None else (head[: found.start()] + head[found.end() :], found[1])


def _has_id(head: bytes) -> bool:
    return _NAME_OF_ID in head.lower()


def _digest(head: bytes) -> bytes:
    return hashlib.sha256(head).digest()
