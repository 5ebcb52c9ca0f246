"""When a failing source is left alone, when it is tried again, and how often a healthy one may be asked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from errors import SourceUnavailable, UnknownSymbol
from market.breaker import LONGEST_REST, SHORTEST_REST, Breaker
from market.faults import Faulty, Refused, Throttled
from market.guard import Guard, asked_patience
from market.pace import Pace
from market.transport import Reply


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(failures=3, clock=clock)


def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        assert breaker.begin()
        breaker.failed()


def test_it_opens_after_three_failures_in_a_row(breaker):
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        assert breaker.begin()
        outcome()
    assert breaker.state == "closed"
    breaker.failed()
    assert (breaker.state, breaker.begin()) == ("open", False)


def test_where_there_is_no_connection_it_opens_at_once(breaker):
    breaker.failed(at_once=True)
    assert breaker.state == "open"
    assert 0.9 * SHORTEST_REST <= breaker.wait() <= 1.1 * SHORTEST_REST


def test_after_its_rest_one_call_passes_and_closes_it(breaker, clock):
    open_it(breaker)
    clock.now += 1.1 * SHORTEST_REST
    assert breaker.state == "half_open"
    assert [breaker.begin() for _ in range(3)] == [True, False, False]
    assert breaker.state == "half_open"
    breaker.succeeded()
    assert (breaker.state, breaker.begin()) == ("closed", True)


def test_each_probe_that_fails_doubles_the_rest_up_to_a_limit(breaker, clock):
    open_it(breaker)
    expected = SHORTEST_REST
    for _ in range(8):
        assert 0.9 * expected <= breaker.wait() <= 1.1 * expected
        clock.now += breaker.wait()
        assert breaker.begin()
        breaker.failed()
        expected = min(2 * expected, LONGEST_REST)


def test_a_probe_that_tells_nothing_lets_the_next_one_pass(breaker, clock):
    open_it(breaker)
    clock.now += 10
    assert breaker.begin()
    breaker.abandoned()
    assert breaker.begin()


def test_a_pace_keeps_every_allowance(clock):
    pace = Pace([(2, 1.0), (3, 60.0)], clock=clock)
    assert (pace.take(), pace.take()) == (0, 0)
    assert pace.take() == pytest.approx(1.0)
    clock.now += 1
    assert pace.take() == 0
    clock.now += 1
    assert pace.take() == pytest.approx(58.0)
    clock.now += 58
    assert pace.take() == 0


class Scripted:
    """A transport that answers from a list, the last entry again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = 0

    async def get(self, url, params, headers):
        self.calls += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


def guard_of(transport, clock, *allowances):
    return Guard("vendor", transport, allowances or [(1000, 1.0)], breaker=Breaker(clock=clock))


def unreachable():
    return Faulty("cannot be reached", unreachable=True)


async def asked(guard, understand=lambda status, content: content):
    return await guard.get("http://vendor", {}, understand)


async def test_an_open_breaker_answers_without_a_call_and_says_for_how_long(clock):
    transport = Scripted(unreachable())
    guard = guard_of(transport, clock)
    with pytest.raises(Faulty, match="vendor cannot be reached"):
        await asked(guard)
    assert (transport.calls, guard.state) == (2, "open")
    with pytest.raises(SourceUnavailable, match=r"vendor cannot be reached; it is asked again in [456] s") as error:
        await asked(guard)
    assert (transport.calls, error.value.retry_after in (5, 6)) == (2, True)


async def test_half_open_it_lets_one_call_through(clock):
    transport = Scripted(unreachable(), unreachable(), Reply(200, {}, b"1"))
    guard = guard_of(transport, clock)
    with pytest.raises(Faulty):
        await asked(guard)
    clock.now += 6
    assert guard.state == "half_open"
    answers = await asyncio.gather(*(asked(guard) for _ in range(3)), return_exceptions=True)
    assert answers[0] == 1
    assert [type(it) for it in answers[1:]] == [SourceUnavailable] * 2
    assert (guard.state, transport.calls) == ("closed", 3)


@pytest.mark.parametrize(
    ("reply", "kind", "rest"),
    [
        (Reply(429, {"retry-after": "40"}, b""), Throttled, 40),
        (Reply(429, {}, b""), Throttled, 30),
        (Reply(503, {"retry-after": "7"}, b""), Throttled, 7),
        (Reply(403, {}, b""), Refused, 600),
    ],
)
async def test_a_vendor_that_asks_for_patience_gets_it(clock, reply, kind, rest):
    transport = Scripted(reply)
    guard = guard_of(transport, clock)
    with pytest.raises(kind):
        await asked(guard)
    clock.now += rest - 0.5
    assert guard.state == "open"
    clock.now += 0.6
    assert (guard.state, transport.calls) == ("half_open", 1)


async def test_an_unknown_symbol_is_an_answer_and_no_failure(clock):
    def unknown(status, content):
        raise UnknownSymbol("no such symbol")

    guard = guard_of(Scripted(Reply(404, {}, b"{}")), clock)
    for _ in range(5):
        with pytest.raises(UnknownSymbol):
            await asked(guard, unknown)
    assert guard.state == "closed"


async def test_our_own_pace_is_not_held_against_the_vendor(clock):
    transport = Scripted(Reply(200, {}, b"1"))
    guard = guard_of(transport, clock, (1, 3600.0))
    await asked(guard)
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="limit of calls is used up") as error:
            await asked(guard)
        assert error.value.retry_after == 3600
    assert (transport.calls, guard.state) == (1, "closed")


def test_retry_after_is_a_number_a_date_or_nonsense():
    def wait(said):
        return asked_patience(Reply(429, {"retry-after": said}, b""))

    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    earlier = format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True)
    assert wait("120") == 120
    assert 30 <= wait(later) <= 90
    assert [wait(it) for it in (earlier, "soon", "", "-5")] == [0, 0, 0, 0]
    assert wait("9" * 40) == 86400
