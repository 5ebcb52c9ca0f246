"""Several addresses of one runner: turns, a loss that nobody notices, and the way back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import InvalidArgument

from contracts import Floats32
from runners import replicas
from runners.replicas import Replica, Replicas

ROWS = np.ones((3, 2), np.float32)


class Runner:
    """Answers its name; raises ``problem`` where there is one, hangs where that is ``hangs``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problem: Exception | None = None
        self.hangs = False
        self.asked: list[int] = []

    async def ask(self, method: str, rows: Floats32) -> Any:
        self.asked.append(len(rows))
        if self.hangs:
            await asyncio.sleep(60)
        if self.problem is not None:
            raise self.problem
        return self.name


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "PAUSE", 0.02)
    monkeypatch.setattr(replicas, "PATIENCE", 0.1)


@pytest.fixture
def runners() -> list[Runner]:
    return [Runner("a"), Runner("b")]


@pytest.fixture
def both(runners: list[Runner]) -> Replicas:
    return Replicas([Replica(it.name, it.ask) for it in runners])


async def answers(both: Replicas, count: int) -> list[str]:
    return [await both.ask("predict", ROWS) for _ in range(count)]


async def test_calls_go_round(both: Replicas):
    assert sorted(await answers(both, 6)) == ["a"] * 3 + ["b"] * 3


async def test_a_lost_one_is_passed_over_until_it_answers_again(both: Replicas, runners: list[Runner], caplog: Any):
    caplog.set_level(logging.WARNING)
    lost, other = runners
    lost.problem = aiohttp.ServerDisconnectedError()
    assert await answers(both, 4) == [other.name] * 4
    assert lost.asked.count(3) == 1, "it was asked for an answer once"
    await asyncio.sleep(0.1)
    assert lost.asked.count(1) > 1, "and since then whether it is back, with one row"
    lost.problem = None
    await asyncio.sleep(0.1)
    assert set(await answers(both, 2)) == {"a", "b"}
    assert [it.message for it in caplog.records] == ["a is lost: others answer for it", "a answers again"]


async def test_one_that_hangs_costs_its_patience_and_no_answer(both: Replicas, runners: list[Runner]):
    runners[0].hangs = True
    assert await answers(both, 4) == ["b"] * 4
    assert runners[0].asked.count(3) == 1


async def test_what_it_says_is_an_answer_even_if_it_is_no(both: Replicas, runners: list[Runner]):
    runners[0].problem = runners[1].problem = InvalidArgument("no such set")
    with pytest.raises(InvalidArgument):
        await both.ask("predict", ROWS)
    assert sorted(map(len, (it.asked for it in runners))) == [0, 1]


async def test_where_all_are_lost_the_caller_is_told(both: Replicas, runners: list[Runner]):
    for runner in runners:
        runner.problem = aiohttp.ServerDisconnectedError()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await both.ask("predict", ROWS)
    for runner in runners:
        runner.problem = None
    assert await both.ask("predict", ROWS) in ("a", "b"), "at once: there is nobody else to ask"


async def test_the_last_one_has_as_much_time_as_the_caller(both: Replicas, runners: list[Runner]):
    runners[0].hangs = runners[1].hangs = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(both.ask("predict", ROWS), 0.4)
    assert [it.asked.count(3) for it in runners] == [1, 1]
