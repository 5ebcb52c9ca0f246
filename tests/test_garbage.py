"""What is there when the service is ready is left out of collections; what comes later is not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from garbage import spare_what_stays


class Node:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_there_is_looked_at_no_more() -> None:
    kept = Node()
    assert any(it is kept for it in gc.get_objects())
    spare_what_stays()
    assert not any(it is kept for it in gc.get_objects())


def test_what_comes_later_is_collected() -> None:
    spare_what_stays()
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None


def test_what_was_spared_and_let_go_is_collected_the_next_time() -> None:
    kept = Node()
    spare_what_stays()
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is not None
    spare_what_stays()
    assert gone() is None
