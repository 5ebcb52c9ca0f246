"""One runner at several addresses: calls go round, and an address that is lost is passed over until it answers again.

In a cluster one address stands for all replicas of a runner; this is for where nothing does that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from contracts import Floats32
from runners.breaker import Breaker
from runners.foreign import connection_was_lost, runner_is_away

log = logging.getLogger("deepfinance.runners")

PATIENCE: Final = 1.0
"""Seconds after which a call goes to another replica, where there is one."""
PAUSE: Final = 0.5
"""Seconds between two questions to one that is lost, whether it is back."""

Ask = Callable[[str, Floats32], Awaitable[Any]]
"""(method of the runner, its rows) -> what it answers."""


class Replica:
    """One address. ``name`` is for the log."""

    def __init__(self, name: str, ask: Ask) -> None:
        self.name, self.ask = name, ask
        self._breaker = Breaker(self._try_out, PAUSE, self._note)
        self._question: tuple[str, Floats32] | None = None

    @property
    def is_away(self) -> bool:
        """True after it was lost and until it has answered again."""
        return self._breaker.is_open

    def lost(self, method: str, rows: Floats32) -> None:
        """It did not answer this; it is asked the first row of it until it does."""
        self._question = method, rows[:1]
        self._breaker.failed()

    async def _try_out(self) -> None:
        """Raises where it does not answer; a refusal is an answer."""
        if self._question is None:
            return
        try:
            await asyncio.wait_for(self.ask(*self._question), PATIENCE)
        except Exception as error:
            if runner_is_away(error):
                raise

    def _note(self, is_away: bool) -> None:
        log.warning("%s %s", self.name, "is lost: others answer for it" if is_away else "answers again")


class Replicas:
    """Those of one runner. Belongs to one event loop."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._turn = 0

    async def ask(self, method: str, rows: Floats32) -> Any:
        """The answer of the one whose turn it is or, where it is lost, of the next; raises what the last one raises.

        The last has all the time that the caller gives it."""
        *others, last = self._in_turn()
        for replica in others:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await replica.ask(method, rows)
            except Exception as error:
                if not runner_is_away(error):
                    raise
                replica.lost(method, rows)
        try:
            return await last.ask(method, rows)
        except Exception as error:
            if connection_was_lost(error):
                last.lost(method, rows)
            raise

    def _in_turn(self) -> list[Replica]:
        """Those that are not lost, all where every one is, beginning with the next."""
        self._turn += 1
        start = self._turn % len(self._replicas)
        turn = [*self._replicas[start:], *self._replicas[:start]]
        return [each for each in turn if not each.is_away] or turn
