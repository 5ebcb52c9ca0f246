"""Questions to the disk that are asked together."""

import asyncio
import threading

import pytest

from market.looks import Looks


def counted(look):
    """Looks, and the keys and threads that were asked."""
    asked = []

    def counting(key):
        asked.append((key, threading.get_ident()))
        return look(key)

    return Looks(counting), asked


async def test_one_turn_takes_one_thread_and_a_key_one_look():
    looks, asked = counted(str.upper)
    assert await asyncio.gather(*(looks.of(key) for key in "abab")) == ["A", "B", "A", "B"]
    assert [key for key, _ in asked] == ["a", "b"]
    assert len({thread for _, thread in asked} | {threading.get_ident()}) == 2


async def test_the_next_turn_looks_again():
    looks, asked = counted(str.upper)
    assert [await looks.of("a"), await looks.of("a")] == ["A", "A"]
    assert len(asked) == 2


async def test_an_error_is_raised_where_it_was_asked_for():
    looks, _ = counted({"a": 1}.__getitem__)
    found = await asyncio.gather(looks.of("a"), looks.of("b"), return_exceptions=True)
    assert found[0] == 1
    assert isinstance(found[1], KeyError)


async def test_a_caller_that_goes_away_does_not_stop_it_for_the_others():
    begun, go_on = threading.Event(), threading.Event()

    def look(key):
        begun.set()
        return go_on.wait(10)

    looks = Looks(look)
    leaving, staying = asyncio.create_task(looks.of("a")), asyncio.create_task(looks.of("a"))
    assert await asyncio.to_thread(begun.wait, 10)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go_on.set()
    assert await staying is True
