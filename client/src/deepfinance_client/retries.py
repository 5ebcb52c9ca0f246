"""When to ask again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from deepfinance_client.errors import DeepFinanceError, Refused, Unreachable

PASSING = frozenset({429, 502, 503, 504})
"""Statuses that may be gone in a moment. Nothing that is asked here changes anything, so all of it may be repeated."""


@dataclass(frozen=True, slots=True)
class Retries:
    """``attempts`` in all. The wait doubles from ``first`` to ``longest`` seconds and is shortened at random by up to
    half, so that clients that failed together do not come back together; a ``Retry-After`` is never undercut.
    A service that asks for more than ``patience`` seconds is not waited for.
    """

    attempts: int = 5
    first: float = 0.2
    longest: float = 10.0
    patience: float = 90.0

    def delay(self, attempt: int, error: DeepFinanceError) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); None where the error is final."""
        if attempt >= self.attempts or not is_passing(error):
            return None
        backoff = self.backoff(attempt)
        asked = error.retry_after if isinstance(error, Refused) else None
        if asked is None:
            return backoff
        return asked + min(backoff, 1.0) if asked <= self.patience else None

    def backoff(self, attempt: int) -> float:
        """The wait after failed attempt number ``attempt`` where the service asks for none."""
        return min(self.longest, self.first * 2.0 ** min(attempt - 1, 32)) * random.uniform(0.5, 1.0)


USUAL = Retries()
NEVER = Retries(attempts=1)


def is_passing(error: DeepFinanceError) -> bool:
    """Whether the same request may succeed a moment later."""
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.status in PASSING)
