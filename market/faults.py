"""How a source behind HTTP can fail to answer. All are ``SourceUnavailable`` to the chain; what is left alone for how
long differs. Messages are ours, word for word: vendors' texts can hold the key that was sent.

SourceUnavailable
├── Throttled   it asks for patience: left alone for as long as it says
├── Refused     it does not take the key, or does not serve this to us: left alone for minutes
└── Faulty      no connection, a 5xx, half a reply: tried once more, then counted
"""

from __future__ import annotations

from errors import SourceUnavailable

REFUSED_FOR = 600


class Throttled(SourceUnavailable):
    """``retry_after`` is what the vendor asked for, or a guess where it did not say."""


class Refused(SourceUnavailable):
    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=REFUSED_FOR)


class Faulty(SourceUnavailable):
    """``worth_retrying``: the next attempt may well go better. ``unreachable``: there was no connection at all."""

    def __init__(self, message: str, *, worth_retrying: bool = True, unreachable: bool = False) -> None:
        super().__init__(message, retry_after=5)
        self.worth_retrying = worth_retrying
        self.unreachable = unreachable
