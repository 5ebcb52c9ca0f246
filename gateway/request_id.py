"""The name of the request being answered: set at the door, read where an error body is made."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from itertools import count

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PROCESS = uuid.uuid4().hex[:20]
_numbers = count()
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin(sent: bytes | None) -> str:
    """Take the id that the caller sent if it is sane, else make one; it is current until the task ends."""
    request_id = name(sent)
    _current.set(request_id)
    return request_id


def name(sent: bytes | None) -> str:
    """The id that the caller sent if it is sane, else a new one: this process' own part and a number."""
    return sent.decode("ascii") if sent and _SANE.fullmatch(sent) else f"{_PROCESS}{next(_numbers):012x}"


def current() -> str:
    """The id of the request being answered; empty outside of one."""
    return _current.get()
