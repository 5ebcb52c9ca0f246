from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import Floats, Floats32, Grid, MemberSpec
from errors import RunnerUnavailable, Timeout
from runners.coalesce import CoalescingRunner, Limits

WIDTH = 3
GRID = Grid(horizons=(1, 5), levels=(0.25, 0.5, 0.75))
SPEC = MemberSpec("lstm", "v1", "lstm.onnx", "0" * 64, "onnx", "flat", WIDTH)
PATIENT = Limits(timeout=5.0, pause=0.0)


def row(value: float) -> Floats32:
    return np.full((1, WIDTH), value, np.float32)


def right_answer(rows: Floats32) -> Floats:
    """(n_rows, n_horizons, n_levels): every row's own value, so that a mix-up shows."""
    return rows[:, 0, None, None].astype(np.float64) * np.ones(GRID.shape)


class FakeRunner:
    """Answers after ``delay``; remembers the size of every call; ``faults`` are raised or returned first."""

    def __init__(self, delay: float = 0.0, faults: tuple[Any, ...] = ()) -> None:
        self.delay = delay
        self.faults = list(faults)
        self.sizes: list[int] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self, rows: Floats32) -> Any:
        self.sizes.append(len(rows))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay)
            fault = self.faults.pop(0) if self.faults else None
            if isinstance(fault, BaseException):
                raise fault
            return right_answer(rows) if fault is None else fault
        finally:
            self.at_once -= 1


def coalescing(fake: Callable[[Floats32], Awaitable[Any]], limits: Limits = PATIENT) -> CoalescingRunner:
    return CoalescingRunner(SPEC, GRID, fake, limits)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not come to that")


async def test_requests_at_the_same_time_share_calls():
    fake = FakeRunner(delay=0.01)
    runner = coalescing(fake)
    answers = await asyncio.gather(*(runner.predict([f"k{i}"], row(i)) for i in range(200)))
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, right_answer(row(i)))
    assert max(fake.sizes) == 64
    assert sum(fake.sizes) == 200
    assert fake.most_at_once == 2
    assert runner.counters.calls == len(fake.sizes)
    assert runner.counters.largest_call == 64


async def test_a_lone_request_does_not_wait():
    fake = FakeRunner()
    runner = coalescing(fake)
    started = asyncio.get_running_loop().time()
    await runner.predict(["a"], row(1))
    assert asyncio.get_running_loop().time() - started < 0.05
    assert fake.sizes == [1]


async def test_what_queues_during_a_call_goes_with_the_next():
    fake = FakeRunner(delay=0.02)
    runner = coalescing(fake)
    early = [asyncio.create_task(runner.predict(["a"], row(1)))]
    await asyncio.sleep(0.005)
    early.append(asyncio.create_task(runner.predict(["b"], row(2))))
    await asyncio.sleep(0.005)
    late = [asyncio.create_task(runner.predict([f"c{i}"], row(i))) for i in range(30)]
    await asyncio.gather(*early, *late)
    assert fake.sizes == [1, 1, 30]


async def test_the_same_row_is_computed_once():
    fake = FakeRunner(delay=0.01)
    runner = coalescing(fake)
    answers = await asyncio.gather(*(runner.predict([f"k{i % 5}"], row(i % 5)) for i in range(100)))
    assert sum(fake.sizes) == 5
    assert runner.counters.shared_rows == 95
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, right_answer(row(i % 5)))


async def test_answers_that_are_shared_are_not_the_same_array():
    runner = coalescing(FakeRunner(delay=0.01))
    first, second = await asyncio.gather(runner.predict(["a"], row(1)), runner.predict(["a"], row(1)))
    first[:] = -1
    np.testing.assert_array_equal(second, right_answer(row(1)))


async def test_a_row_is_computed_again_once_it_is_done():
    fake = FakeRunner()
    runner = coalescing(fake)
    await runner.predict(["a"], row(1))
    await runner.predict(["a"], row(1))
    assert fake.sizes == [1, 1]


async def test_a_row_named_twice_in_one_request_is_answered_twice():
    fake = FakeRunner()
    rows = np.concatenate([row(1), row(2), row(1)])
    answer = await coalescing(fake).predict(["a", "b", "a"], rows)
    np.testing.assert_array_equal(answer, right_answer(rows))
    assert fake.sizes == [2]


@pytest.mark.parametrize(("n_rows", "calls"), [(65, [65]), (512, [512]), (600, [512, 88])])
async def test_a_large_request_goes_as_one_call_up_to_the_largest(n_rows: int, calls: list[int]):
    fake = FakeRunner()
    rows = np.repeat(np.arange(n_rows, dtype=np.float32)[:, None], WIDTH, axis=1)
    answer = await coalescing(fake).predict([str(i) for i in range(n_rows)], rows)
    np.testing.assert_array_equal(answer, right_answer(rows))
    assert fake.sizes == calls


async def test_no_rows_make_no_call():
    fake = FakeRunner()
    answer = await coalescing(fake).predict([], np.empty((0, WIDTH), np.float32))
    assert answer.shape == (0, *GRID.shape)
    assert fake.sizes == []


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, GRID.shape[0], GRID.shape[1])),
        np.zeros((3, *GRID.shape)),
        np.zeros((2, *GRID.shape[::-1])),
        np.full((2, *GRID.shape), np.nan),
        "oops",
        None,
        {"error": "x"},
    ],
)
async def test_when_an_answer_has_another_shape_then_nobody_gets_it(bad: Any):
    async def answer(rows: Floats32) -> Any:
        return bad

    outcomes = await asyncio.gather(
        *(coalesced.predict([k], row(1)) for coalesced in [coalescing(answer)] for k in "ab"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [RunnerUnavailable, RunnerUnavailable]
    assert "cannot be used" in str(outcomes[0])


@pytest.mark.parametrize(
    "fault",
    [
        ServiceUnavailable("process is overloaded"),
        InvalidArgument("bad row"),
        BentoMLException("/some/path went wrong"),
        aiohttp.ClientPayloadError("half a body"),
        RuntimeError("a bug"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_errors_of_the_runner_become_ours_without_its_words(fault: Exception):
    fake = FakeRunner(faults=(fault,))
    runner = coalescing(fake)
    with pytest.raises(RunnerUnavailable, match=r"^model lstm (is not answering|failed)$"):
        await runner.predict(["a"], row(1))
    assert fake.sizes == [1]
    assert runner.counters.failures == 1
    np.testing.assert_array_equal(await runner.predict(["a"], row(1)), right_answer(row(1)))
    assert runner.counters.last_error is None


async def test_a_lost_connection_is_tried_once_more():
    fake = FakeRunner(faults=(aiohttp.ServerDisconnectedError(),))
    runner = coalescing(fake)
    np.testing.assert_array_equal(await runner.predict(["a"], row(1)), right_answer(row(1)))
    assert runner.counters.retries == 1
    assert runner.counters.failures == 0


async def test_a_connection_lost_twice_is_an_error():
    fake = FakeRunner(faults=(aiohttp.ServerDisconnectedError(), ConnectionResetError()))
    with pytest.raises(RunnerUnavailable, match="not answering"):
        await coalescing(fake).predict(["a"], row(1))
    assert fake.sizes == [1, 1]


async def test_a_call_that_takes_too_long_is_a_timeout():
    fake = FakeRunner(delay=5)
    runner = coalescing(fake, Limits(timeout=0.05, pause=0.0))
    with pytest.raises(Timeout, match="model lstm did not answer in time"):
        await runner.predict(["a"], row(1))
    fake.delay = 0
    await asyncio.sleep(0.01)
    np.testing.assert_array_equal(await runner.predict(["b"], row(2)), right_answer(row(2)))


async def test_waiting_for_a_free_call_counts_towards_the_timeout():
    fake = FakeRunner(delay=0.2)
    runner = coalescing(fake, Limits(timeout=0.1, calls_in_flight=1, pause=0.0))
    outcomes = await asyncio.gather(*(runner.predict([str(i)], row(i)) for i in range(5)), return_exceptions=True)
    assert all(isinstance(outcome, Timeout) for outcome in outcomes)


async def test_when_a_runner_is_lost_then_requests_fail_fast_until_it_is_back():
    fake = FakeRunner(faults=(TimeoutError(), ConnectionResetError()))
    runner = coalescing(fake, Limits(timeout=5.0, pause=0.05))
    with pytest.raises(Timeout):
        await runner.predict(["a"], row(1))
    assert runner.is_away
    for _ in range(3):
        with pytest.raises(RunnerUnavailable, match="not answering"):
            await runner.predict(["b"], row(2))
    assert fake.sizes == [1]
    assert runner.counters.refused == 3
    await until(lambda: fake.sizes == [1, 1] and not fake.at_once)
    assert runner.is_away  # it was asked, and still away
    await until(lambda: not runner.is_away)
    np.testing.assert_array_equal(await runner.predict(["b"], row(2)), right_answer(row(2)))


async def test_when_its_process_dies_then_whoever_waits_is_told_at_once():
    fake = FakeRunner(delay=60)
    runner = coalescing(fake)
    waiting = [asyncio.create_task(runner.predict([str(i)], row(i))) for i in range(200)]
    await asyncio.sleep(0.01)
    fake.delay = 0.0
    runner.lost()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert {type(outcome) for outcome in outcomes} == {RunnerUnavailable}
    assert runner.is_idle
    await asyncio.sleep(0.02)
    np.testing.assert_array_equal(await runner.predict(["0"], row(5)), right_answer(row(5)))


async def test_an_error_that_is_not_a_loss_does_not_make_requests_fail_fast():
    runner = coalescing(FakeRunner(faults=(RuntimeError("a bug"),)), Limits(pause=60.0))
    with pytest.raises(RunnerUnavailable):
        await runner.predict(["a"], row(1))
    assert not runner.is_away
    await runner.predict(["a"], row(1))


async def test_one_cancelled_request_does_not_cancel_the_others():
    fake = FakeRunner(delay=0.02)
    runner = coalescing(fake)
    shared = [asyncio.create_task(runner.predict(["a"], row(1))) for _ in range(3)]
    await asyncio.sleep(0.005)
    shared[0].cancel()
    outcomes = await asyncio.gather(*shared, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    for outcome in outcomes[1:]:
        np.testing.assert_array_equal(outcome, right_answer(row(1)))


async def test_a_row_that_nobody_waits_for_is_not_computed():
    fake, begun, go_on = FakeRunner(), asyncio.Event(), asyncio.Event()

    async def held(rows: Floats32) -> Any:
        begun.set()
        await go_on.wait()
        return await fake(rows)

    runner = coalescing(held, replace(PATIENT, calls_in_flight=1))
    first = asyncio.create_task(runner.predict(["a"], row(1)))
    await begun.wait()
    abandoned = asyncio.create_task(runner.predict(["b"], row(2)))
    await asyncio.sleep(0)
    abandoned.cancel()
    go_on.set()
    await first
    await asyncio.sleep(0.02)
    assert fake.sizes == [1]
    np.testing.assert_array_equal(await runner.predict(["b"], row(3)), right_answer(row(3)))


async def test_a_row_that_is_not_finite_harms_only_its_sender():
    fake = FakeRunner(delay=0.01)
    runner = coalescing(fake)
    outcomes = await asyncio.gather(
        runner.predict(["a"], row(1)),
        runner.predict(["b"], row(np.nan)),
        runner.predict(["c"], np.zeros((1, WIDTH + 1), np.float32)),
        runner.predict(["d", "e"], row(1)),
        return_exceptions=True,
    )
    np.testing.assert_array_equal(outcomes[0], right_answer(row(1)))
    assert all(isinstance(outcome, RunnerUnavailable) for outcome in outcomes[1:])


async def test_closing_ends_every_wait():
    runner = coalescing(FakeRunner(delay=60))
    waiting = [asyncio.create_task(runner.predict([str(i)], row(i))) for i in range(200)]
    await asyncio.sleep(0.01)
    await runner.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {RunnerUnavailable}


async def test_a_thousand_requests_with_duplicates_cancellations_and_failures_all_end():
    rng = np.random.default_rng(11)
    fates = cycle(["fine", "overloaded", "fine", "short", "fine", "lost", "fine"])

    async def unreliable(rows: Floats32) -> Any:
        fate = next(fates)  # by the number of the call: a draw would depend on which of two calls comes back first
        await asyncio.sleep(float(rng.uniform(0, 0.003)))
        if fate == "overloaded":
            raise ServiceUnavailable("overloaded")
        if fate == "short":
            return right_answer(rows)[:-1]
        if fate == "lost":
            raise aiohttp.ServerDisconnectedError
        return right_answer(rows)

    runner = coalescing(unreliable)
    symbols = rng.integers(0, 300, 1000)
    tasks = []
    for symbol in symbols:
        tasks.append(asyncio.create_task(runner.predict([f"s{symbol}"], row(float(symbol)))))
        if rng.random() < 0.1:
            await asyncio.sleep(0)
    for position in rng.choice(1000, 100, replace=False):
        tasks[position].cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    answered = 0
    for symbol, outcome in zip(symbols, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, (RunnerUnavailable, asyncio.CancelledError))
        else:
            answered += 1
            np.testing.assert_array_equal(outcome, right_answer(row(float(symbol))))
    assert answered > 300
    assert runner.queued_rows == 0


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(st.lists(st.integers(0, 30), min_size=0, max_size=12), max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
    limits=st.builds(
        Limits,
        rows_per_call=st.integers(1, 8),
        largest_call=st.integers(8, 12),
        calls_in_flight=st.integers(1, 3),
    ),
)
def test_whatever_is_asked_everyone_gets_their_own_rows(requests: list[list[int]], cancelled: set[int], limits: Limits):
    async def scenario() -> None:
        fake = FakeRunner()
        runner = coalescing(fake, limits)
        tasks = [
            asyncio.create_task(
                runner.predict(
                    [str(value) for value in values],
                    np.repeat(np.asarray(values, np.float32).reshape(-1, 1), WIDTH, axis=1),
                )
            )
            for values in requests
        ]
        await asyncio.sleep(0)
        for position in cancelled & set(range(len(tasks))):
            tasks[position].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for position, (values, outcome) in enumerate(zip(requests, outcomes, strict=True)):
            if not isinstance(outcome, asyncio.CancelledError):
                assert not isinstance(outcome, BaseException), outcome
                np.testing.assert_array_equal(outcome[:, 0, 0], values)
            else:
                assert position in cancelled
        assert all(size <= limits.largest_call for size in fake.sizes)
        assert fake.most_at_once <= limits.calls_in_flight

    asyncio.run(scenario())


async def test_of_rows_whose_bringer_went_away_those_are_computed_that_others_wait_for():
    fake, go_on = FakeRunner(), asyncio.Event()

    async def held(rows: Floats32) -> Any:
        await go_on.wait()
        return await fake(rows)

    runner = coalescing(held, replace(PATIENT, calls_in_flight=1))
    first = asyncio.create_task(runner.predict(["z"], row(9)))
    await asyncio.sleep(0)
    bringer = asyncio.create_task(runner.predict(list("abc"), np.concatenate([row(1), row(2), row(3)])))
    await asyncio.sleep(0)
    rows = np.concatenate([row(3), row(4), row(2)])
    other = asyncio.create_task(runner.predict(list("cdb"), rows))
    await asyncio.sleep(0)
    bringer.cancel()
    go_on.set()
    np.testing.assert_array_equal(await other, right_answer(rows))
    await first
    assert fake.sizes == [1, 3]
    assert runner.is_idle
