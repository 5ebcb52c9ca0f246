"""What is asked in the same turn leaves as one, and everyone gets their own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from contracts import Floats, Floats32
from runners.together import Together


class Sent:
    """Doubles every row, noting who asked in one go; waits at the gate."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, parts: Sequence[tuple[str, Floats32]]) -> Sequence[Floats]:
        self.calls.append([member for member, _ in parts])
        await self.gate.wait()
        if any(member == "broken" for member, _ in parts):
            raise ConnectionResetError
        return [rows.astype(np.float64) * 2 for _, rows in parts]


@pytest.fixture
def sent() -> Sent:
    return Sent()


def rows(value: float, count: int = 1) -> Floats32:
    return np.full((count, 3), value, np.float32)


async def test_members_asked_in_one_turn_share_a_call(sent: Sent):
    together = Together(sent)
    answers = await asyncio.gather(*(together.call(name)(rows(at, at)) for at, name in enumerate("abc", 1)))
    assert sent.calls == [["a", "b", "c"]]
    for at, answer in enumerate(answers, 1):
        np.testing.assert_array_equal(answer, np.full((at, 3), 2.0 * at))


async def test_who_comes_later_goes_in_a_call_of_their_own(sent: Sent):
    together = Together(sent)
    sent.gate.clear()
    first = asyncio.create_task(together.call("a")(rows(1)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(together.call("a")(rows(2)))
    await asyncio.sleep(0.01)
    sent.gate.set()
    assert (await first)[0, 0] == 2.0
    assert (await second)[0, 0] == 4.0
    assert sent.calls == [["a"], ["a"]]


async def test_a_lost_call_is_told_to_all_who_shared_it(sent: Sent):
    together = Together(sent)
    outcomes = await asyncio.gather(
        together.call("a")(rows(1)), together.call("broken")(rows(2)), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [ConnectionResetError] * 2


async def test_who_gives_up_takes_nothing_from_the_others(sent: Sent):
    together = Together(sent)
    sent.gate.clear()
    leaves = asyncio.create_task(together.call("a")(rows(1)))
    stays = asyncio.create_task(together.call("b")(rows(2)))
    await asyncio.sleep(0.01)
    leaves.cancel()
    await asyncio.sleep(0)
    sent.gate.set()
    assert (await stays)[0, 0] == 4.0
    assert leaves.cancelled()
