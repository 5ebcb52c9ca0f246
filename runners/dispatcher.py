"""BentoML's batching dispatcher learns how long to hold a request back and keeps that wait after a burst: a
lone request then takes 10 to 15 ms for half a minute. Our callers coalesce already, so the wait is capped.

``Optimizer`` is private to BentoML: tests/runners/test_dispatcher.py fails when the pinned version changes.
"""

from __future__ import annotations

from bentoml._internal.marshal.dispatcher import Optimizer

CHECKED_VERSION = "1.4.39"
LONGEST_WAIT = 0.002
"""Seconds."""


def cap_learned_wait() -> None:
    """Cap the wait of every dispatcher in this process; doing it twice changes nothing."""
    learn = Optimizer.trigger_refresh
    if getattr(learn, "capped", False):
        return

    def learn_with_cap(self: Optimizer) -> None:
        learn(self)
        self.wait = min(self.wait, LONGEST_WAIT)

    learn_with_cap.capped = True  # type: ignore[attr-defined]
    Optimizer.trigger_refresh = learn_with_cap
