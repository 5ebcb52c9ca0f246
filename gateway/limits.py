"""How much a caller may ask: a sliding window per caller, counted in this process and, where there is a store for
it, together with the other gateways.

One process alone is exact: never more than the limit in any span of its length. Gateways that share a store take
their requests from it in units of a hundredth of the limit (one request, below 200), so that a high limit costs a
hundred questions per window and not one per request. Together they can pass by at most a unit each. While the store
does not answer, every process counts for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Generic, Protocol, TypeVar

SPANS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_STEPS = 100
_ASK_AGAIN = 1.0
_PATIENCE = 0.05
_HEADERS = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset")
_LINES = b"".join(b"%b: %%d\r\n" % name for name in _HEADERS)

Clock = Callable[[], float]
Header = tuple[bytes, bytes]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` requests in any ``seconds``."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """``100/minute``: a whole number from 1, per second, minute, hour or day. Raises ValueError."""
        amount, _, span = text.partition("/")
        if span not in SPANS or not (amount.isascii() and amount.isdigit()) or len(amount) > 12 or int(amount) < 1:
            raise ValueError("a limit is requests per second, minute, hour or day, such as 100/minute")
        return cls(int(amount), SPANS[span])

    @property
    def unit(self) -> int:
        """Requests that are taken from a shared store at a time."""
        return max(1, self.amount // _STEPS)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a shared store gave: units granted now, units left, and seconds until the oldest of them comes back."""

    granted: int
    left: int
    reset_after: float


class SharedWindows(Protocol):
    """A store of windows that several processes share."""

    on_change: Callable[[bool], None]

    def is_away(self, now: float) -> bool:
        """Whether it has just failed, so that asking it is not worth the wait."""
        ...

    async def lease(self, caller: str, limit: Limit, units: int) -> Lease | None:
        """Up to ``units`` for a caller, or None where the store did not answer in time. Raises nothing."""
        ...

    async def close(self) -> None: ...


class SlidingWindow:
    """Requests of the last ``limit.seconds``, in runs no longer than a hundredth of that: a few kB at any limit.

    A run leaves when its latest request is old enough, so no span ever holds more than ``limit.amount``.
    """

    __slots__ = ("_limit", "_runs", "_step", "used")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._step = limit.seconds / _STEPS
        self._runs: deque[list[float]] = deque()  # first request, latest request, requests
        self.used = 0

    def has_room(self, now: float) -> bool:
        runs = self._runs
        while runs and runs[0][1] + self._limit.seconds <= now:
            self.used -= int(runs.popleft()[2])
        return self.used < self._limit.amount

    def count(self, now: float) -> None:
        runs = self._runs
        if runs and now - runs[-1][0] < self._step:
            runs[-1][1] = now
            runs[-1][2] += 1
        else:
            runs.append([now, now, 1])
        self.used += 1

    def reset_after(self, now: float) -> float:
        """Seconds until the oldest requests leave; 0 where there are none."""
        if not self._runs:
            return 0.0
        return min(max(0.0, self._runs[0][1] + self._limit.seconds - now), self._limit.seconds)


class Allowance:
    """What one caller may still ask. ``caller`` names the window in the store and must hold no secret."""

    def __init__(
        self, caller: str, limit: Limit, shared: SharedWindows | None = None, clock: Clock = time.monotonic
    ) -> None:
        self._caller, self._limit, self._shared, self._clock = caller, limit, shared, clock
        self._window = SlidingWindow(limit)
        self._in_hand = 0  # leased from the store and not used yet
        self._leased_at = 0.0
        self._left_in_store = limit.amount
        self._store_resets_at = 0.0
        self._refused_until = 0.0
        self._wanted = 0
        self._asking: asyncio.Task[None] | None = None

    def take_now(self) -> bool | None:
        """Count one request: True if it may pass, False if not, None if the shared store has to be asked."""
        now = self._clock()
        if not self._window.has_room(now):
            return False
        if self._shared is None:
            self._window.count(now)
            return True
        return self._take_shared(self._shared, now)

    async def take(self) -> bool:
        """The same, asking the store if need be: for 50 ms at most, then this process counts alone."""
        verdict = self.take_now()
        if verdict is not None:
            return verdict
        try:
            async with asyncio.timeout(_PATIENCE):
                while verdict is None:
                    await self._lease()
                    verdict = self.take_now()
        except TimeoutError:
            return self._take_alone()
        return verdict

    def hit(self) -> bool:
        """The same without waiting: what is not in hand is lent and asked of the store meanwhile.

        For messages on an open socket; too many may pass for as long as one question to the store takes.
        """
        verdict = self.take_now()
        if verdict is not None:
            return verdict
        self._ask()
        self._in_hand -= 1
        return self._take_alone()

    @property
    def reset_after(self) -> float:
        """Seconds until more may be asked than now."""
        now = self._clock()
        here, there = self._window.reset_after(now), self._store_resets_at - now
        if there <= 0:
            return here
        return there if self._window.used < self._limit.amount else max(here, there)

    @property
    def remaining(self) -> int:
        """Requests that may still pass now, as far as this process knows."""
        here = self._limit.amount - self._window.used
        if self._shared is None or self._shared.is_away(self._clock()):
            return here
        return max(0, min(here, self._in_hand + self._left_in_store))

    def headers(self) -> list[Header]:
        """``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (whole seconds, rounded up)."""
        return [(name, b"%d" % number) for name, number in zip(_HEADERS, self._numbers(), strict=True)]

    def lines(self) -> bytes:
        """The same as lines of a response, each with its end."""
        return _LINES % self._numbers()

    def _numbers(self) -> tuple[int, int, int]:
        return self._limit.amount, self.remaining, ceil(self.reset_after)

    def _take_alone(self) -> bool:
        now = self._clock()
        if not self._window.has_room(now):
            return False
        self._window.count(now)
        return True

    def _take_shared(self, shared: SharedWindows, now: float) -> bool | None:
        if self._in_hand > 0 and now - self._leased_at >= self._limit.seconds:
            self._in_hand = 0
        if self._in_hand > 0:
            self._in_hand -= 1
        elif now < self._refused_until:
            return False
        elif not shared.is_away(now):
            return None
        self._window.count(now)
        return True

    async def _lease(self) -> None:
        """Wait for a lease; those who wait together share one question."""
        await asyncio.shield(self._ask())

    def _ask(self) -> asyncio.Task[None]:
        self._wanted += 1
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_store())
        return self._asking

    async def _ask_store(self) -> None:
        assert self._shared is not None
        wanted, self._wanted = self._wanted, 0
        try:
            lease = await self._shared.lease(self._caller, self._limit, ceil(wanted / self._limit.unit))
            if lease is not None:
                self._book(lease)
        finally:
            self._asking = None

    def _book(self, lease: Lease) -> None:
        now, unit = self._clock(), self._limit.unit
        self._in_hand += lease.granted * unit
        self._left_in_store = lease.left * unit
        self._store_resets_at = now + lease.reset_after
        if lease.granted:
            self._leased_at = now
        else:
            self._in_hand = max(0, self._in_hand)
            self._refused_until = now + min(_ASK_AGAIN, lease.reset_after)


class Addresses(Generic[T]):
    """Something per client address, for the ``capacity`` addresses seen last: whoever floods cannot fill memory."""

    def __init__(self, make: Callable[[str], T], capacity: int = 10_000) -> None:
        self._make, self._capacity = make, capacity
        self._kept: OrderedDict[str, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, address: str) -> T:
        kept = self._kept
        if address in kept:
            kept.move_to_end(address)
            return kept[address]
        if len(kept) >= self._capacity:
            kept.popitem(last=False)
        made = kept[address] = self._make(address)
        return made
