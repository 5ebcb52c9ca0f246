"""The memory layer: bounded in bytes, the least recently used go first, nothing outlives its time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from storage.cache import ENTRY_OVERHEAD, MemoryCache


@dataclass
class Clock:
    time: float = 100.0

    def __call__(self) -> float:
        return self.time


def room_for(entries: int, size: int = 0) -> int:
    return entries * (ENTRY_OVERHEAD + size)


def test_a_value_is_kept_for_its_time_and_no_longer():
    clock = Clock()
    cache = MemoryCache[str, bytes](1_000_000, clock=clock)
    cache.put("a", b"1", 1, ttl=10)
    clock.time += 4
    assert cache.get("a") == (b"1", 6.0)
    clock.time += 6
    assert cache.get("a") is None
    assert (len(cache), cache.size) == (0, 0)


def test_what_was_used_last_stays():
    cache = MemoryCache[str, int](room_for(2))
    cache.put("a", 1, 0, ttl=10)
    cache.put("b", 2, 0, ttl=10)
    cache.get("a")
    cache.put("c", 3, 0, ttl=10)
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_one_that_could_never_fit_throws_nothing_out():
    cache = MemoryCache[str, int](room_for(1))
    cache.put("a", 1, 0, ttl=10)
    cache.put("b", 2, 1, ttl=10)
    assert cache.get("a") is not None
    assert cache.get("b") is None


def test_a_new_value_replaces_the_old_one_and_its_bytes():
    cache = MemoryCache[str, int](1_000_000)
    cache.put("a", 1, 500, ttl=10)
    cache.put("a", 2, 100, ttl=10)
    assert cache.get("a")[0] == 2
    assert cache.size == room_for(1, 100)


def test_without_time_to_live_nothing_is_kept_and_the_old_value_is_gone():
    cache = MemoryCache[str, int](1_000_000)
    cache.put("a", 1, 0, ttl=10)
    cache.put("a", 2, 0, ttl=0)
    assert cache.get("a") is None


def test_it_tells_of_every_change():
    seen: list[tuple[int, int]] = []
    cache = MemoryCache[str, int](room_for(2), on_change=lambda entries, size: seen.append((entries, size)))
    cache.put("a", 1, 0, ttl=10)
    cache.get("a")
    cache.clear()
    assert seen == [(1, ENTRY_OVERHEAD), (0, 0)]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 900), st.floats(0, 5), st.floats(0, 3))))
def test_bytes_are_counted_right_and_never_too_many(puts: list[tuple[str, int, float, float]]):
    clock = Clock()
    cache = MemoryCache[str, int](room_for(2, 450), clock=clock)
    sizes: dict[str, int] = {}
    for key, size, ttl, pause in puts:
        cache.put(key, size, size, ttl)
        sizes[key] = size
        clock.time += pause
        assert cache.size <= room_for(2, 450)
    assert cache.size == sum(ENTRY_OVERHEAD + value for value, _, _ in cache._entries.values())
    assert all(cache.get(key)[0] == size for key, size in sizes.items() if cache.get(key))
