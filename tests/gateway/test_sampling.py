"""Few lines are all written; of many none is left out unsaid."""

from __future__ import annotations

from gateway.sampling import Sampled


def test_up_to_so_many_in_a_second_are_written_and_the_next_stands_for_the_rest() -> None:
    now = 0.0
    lines = Sampled(3, clock=lambda: now)
    assert [lines.stands_for() for _ in range(5)] == [1, 1, 1, 0, 0]
    now = 0.9
    assert lines.stands_for() == 0
    now = 1.0
    assert [lines.stands_for() for _ in range(4)] == [4, 1, 1, 0]


def test_every_line_is_stood_for_once() -> None:
    now = 0.0
    lines = Sampled(7, clock=lambda: now)
    total = 0
    for step in range(1000):
        now = step * 0.013
        total += lines.stands_for()
    now += 2
    assert total + lines.stands_for() == 1001
