"""The cap on BentoML's learned wait touches a private class: these tests say when to look at it again."""

from __future__ import annotations

import bentoml
import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Optimizer

from runners.dispatcher import CHECKED_VERSION, LONGEST_WAIT, cap_learned_wait


def test_when_bentoml_changes_then_the_cap_must_be_looked_at_again():
    assert bentoml.__version__ == CHECKED_VERSION


def test_a_learned_wait_is_capped():
    cap_learned_wait()
    optimizer = Optimizer(max_latency=10.0)
    optimizer.o_stat.extend([(1, 0.002, 0.05), (20, 0.004, 0.05), (40, 0.006, 0.05)])
    optimizer.trigger_refresh()
    assert optimizer.wait == LONGEST_WAIT
    assert optimizer.o_a == pytest.approx(0.0001, rel=0.1)


def test_a_short_wait_is_left_alone():
    cap_learned_wait()
    optimizer = Optimizer(max_latency=10.0)
    optimizer.o_stat.extend([(1, 0.002, 0.0), (2, 0.004, 0.001)])
    optimizer.trigger_refresh()
    assert optimizer.wait == pytest.approx(0.0005)


def test_capping_twice_is_capping_once():
    cap_learned_wait()
    capped = Optimizer.trigger_refresh
    cap_learned_wait()
    assert Optimizer.trigger_refresh is capped


def test_dispatchers_use_the_capped_class():
    dispatcher = CorkDispatcher(max_latency_in_ms=10, max_batch_size=2, fallback=lambda: None)
    assert type(dispatcher.optimizer) is Optimizer
