"""The one way to call a vendor: paced, retried once where that helps, and not at all while its breaker is open."""

from __future__ import annotations

import asyncio
import email.utils
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from time import perf_counter
from typing import Any, TypeVar

import orjson
import stamina

from errors import SourceUnavailable, UnknownSymbol
from market import meters
from market.breaker import Breaker, BreakerState
from market.faults import Faulty, Refused, Throttled
from market.pace import Allowance, Pace
from market.transport import CONNECTIONS, Reply, Transport

ATTEMPTS = 2
PATIENCE_UNSAID = 30
LONGEST_PATIENCE = 24 * 3600

_THROTTLED = (418, 429)
_REFUSED = (401, 403, 451)
_OUTCOMES: dict[type[Exception], str] = {
    UnknownSymbol: "unknown_symbol",
    Throttled: "throttled",
    Refused: "refused",
    Faulty: "faulty",
}

T = TypeVar("T")

log = logging.getLogger("deepfinance.market")


class Guard:
    """Belongs to one event loop. ``name`` is the source's, for messages and metrics."""

    def __init__(
        self, name: str, transport: Transport, allowances: Sequence[Allowance], *, breaker: Breaker | None = None
    ) -> None:
        self.name = name
        self._transport = transport
        self._pace = Pace(allowances)
        self._breaker = breaker or Breaker()
        self._at_once = asyncio.Semaphore(CONNECTIONS)
        self._why = f"{name} failed"

    @property
    def state(self) -> BreakerState:
        return self._breaker.state

    async def get(
        self,
        url: str,
        params: Mapping[str, str],
        understand: Callable[[int, Any], T],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """What ``understand`` makes of the status and the JSON of the reply.

        ``understand`` raises UnknownSymbol, Throttled, Refused or Faulty; KeyError, TypeError, ValueError and the like
        mean that the reply is not what the vendor documents. Raises those, each with the name of the source.
        """
        if not self._breaker.begin():
            raise self._left_alone(self._breaker.wait())
        meters.breaker_is(self.name, self.state)
        try:
            return await self._judged(url, params, understand, headers or {})
        finally:
            self._breaker.abandoned()
            meters.breaker_is(self.name, self.state)

    async def close(self) -> None:
        await self._transport.close()

    async def _judged(
        self, url: str, params: Mapping[str, str], understand: Callable[[int, Any], T], headers: Mapping[str, str]
    ) -> T:
        """The same, and the breaker hears how it went."""
        try:
            answer = await self._attempts(url, params, understand, headers)
        except (Throttled, Refused, Faulty) as error:
            self._failed(error)
            raise
        except UnknownSymbol:
            self._succeeded()
            raise
        self._succeeded()
        return answer

    def _failed(self, error: Throttled | Refused | Faulty) -> None:
        was_closed, self._why = self.state == "closed", error.message
        if isinstance(error, Faulty):
            self._breaker.failed(at_once=error.unreachable)
        else:
            self._breaker.open_for(error.retry_after)
        if was_closed and self.state == "open":
            log.warning("%s; it is left alone for %.0f s", error.message, self._breaker.wait())

    def _succeeded(self) -> None:
        if self.state != "closed":
            log.info("%s answers again", self.name)
        self._breaker.succeeded()

    async def _attempts(
        self, url: str, params: Mapping[str, str], understand: Callable[[int, Any], T], headers: Mapping[str, str]
    ) -> T:
        async for attempt in stamina.retry_context(
            on=_worth_retrying, attempts=ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=0.5, wait_jitter=0.2
        ):
            with attempt:
                return await self._once(url, params, understand, headers)
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self, url: str, params: Mapping[str, str], understand: Callable[[int, Any], T], headers: Mapping[str, str]
    ) -> T:
        if (wait := self._pace.take()) > 0:
            message = f"{self.name} may be asked again in {ceil(wait)} s: its limit of calls is used up"
            raise SourceUnavailable(message, retry_after=ceil(wait))
        started, outcome = perf_counter(), "ok"
        try:
            async with self._at_once:
                reply = await self._transport.get(url, params, headers)
            return await asyncio.to_thread(_understood, reply, understand)
        except (Throttled, Refused, Faulty, UnknownSymbol) as error:
            outcome = _OUTCOMES[type(error)]
            if not error.message.startswith(self.name):
                error.message = f"{self.name} {error.message}"
                error.args = (error.message,)
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError):
            outcome = "faulty"
            raise Faulty(f"{self.name} answers in a form that is not its own", worth_retrying=False) from None
        finally:
            meters.called(self.name, outcome, perf_counter() - started)

    def _left_alone(self, wait: float) -> SourceUnavailable:
        message = f"{self._why}; it is asked again in {max(1, ceil(wait))} s"
        return SourceUnavailable(message, retry_after=max(1, ceil(wait)))


def _understood(reply: Reply, understand: Callable[[int, Any], T]) -> T:
    _require_willing(reply)
    try:
        content = orjson.loads(reply.body)
    except ValueError:
        raise Faulty(f"answers something that is not JSON (status {reply.status})") from None
    return understand(reply.status, content)


def _require_willing(reply: Reply) -> None:
    """Raise what a status means that is the same with every vendor."""
    if reply.status in _THROTTLED:
        raise Throttled("asks for fewer calls", retry_after=asked_patience(reply) or PATIENCE_UNSAID)
    if reply.status in _REFUSED:
        raise Refused(f"refuses the call (status {reply.status}): the key, its plan or this place")
    if reply.status >= 500:
        if wait := asked_patience(reply):
            raise Throttled(f"fails (status {reply.status}) and asks for patience", retry_after=wait)
        raise Faulty(f"fails (status {reply.status})")


def asked_patience(reply: Reply) -> int:
    """Seconds in Retry-After, a number or a date; 0 where there is none that makes sense, a day at most."""
    said = reply.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return min(int(said[:9]), LONGEST_PATIENCE)
    try:
        moment = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0, ceil((moment - datetime.now(UTC)).total_seconds())), LONGEST_PATIENCE)


def _worth_retrying(error: Exception) -> bool:
    return isinstance(error, Faulty) and error.worth_retrying
