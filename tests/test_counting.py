"""What is counted in plain numbers reaches Prometheus whole, soon, and as if it had been counted there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from counting import HAND_OVER_EVERY, Counting

BOUNDS = (0.1, 1.0, 10.0)


def shown(registry: CollectorRegistry) -> dict[str, float]:
    samples = [it for metric in registry.collect() for it in metric.samples if not it.name.endswith("_created")]
    return {it.name + "".join(it.labels.values()): it.value for it in samples}


def histogram(registry: CollectorRegistry) -> Histogram:
    return Histogram("seconds", "Seconds", registry=registry, buckets=BOUNDS)


@given(st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 10.0, 11.0]) | st.floats(0, 100), max_size=20))
def test_a_spread_is_what_the_histogram_would_have_seen(values: list[float]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    direct, counting = histogram(theirs), Counting()

    async def observe() -> None:
        spread = counting.spread(histogram(ours), BOUNDS)
        for value in values:
            direct.observe(value)
            spread.observe(value)
        counting.hand_over()

    asyncio.run(observe())
    assert shown(ours) == pytest.approx(shown(theirs))


async def test_it_comes_by_itself_and_all_of_it_at_once() -> None:
    registry, counting = CollectorRegistry(), Counting()
    count = counting.count(Counter("done", "Done", registry=registry))
    level = counting.level(Gauge("open", "Open", registry=registry))
    for _ in range(3):
        count.inc()
        level.inc()
    level.dec()
    count.inc(2)
    assert shown(registry) == {"done_total": 0, "open": 0}
    await asyncio.sleep(2 * HAND_OVER_EVERY)
    assert shown(registry) == {"done_total": 5, "open": 2}
    count.inc()
    level.set(7)
    await asyncio.sleep(2 * HAND_OVER_EVERY)
    assert shown(registry) == {"done_total": 6, "open": 7}


async def test_who_reads_need_not_wait_and_nothing_is_handed_over_twice() -> None:
    registry, counting = CollectorRegistry(), Counting()
    count = counting.count(Counter("done", "Done", registry=registry))
    for _ in range(3):
        count.inc()
        counting.hand_over()
        counting.hand_over()
    assert shown(registry) == {"done_total": 3}
    await asyncio.sleep(2 * HAND_OVER_EVERY)
    assert shown(registry) == {"done_total": 3}


def test_without_an_event_loop_nothing_waits() -> None:
    registry = CollectorRegistry()
    Counting().count(Counter("done", "Done", registry=registry)).inc()
    assert shown(registry) == {"done_total": 1}


def test_what_waits_in_an_event_loop_that_ended_comes_with_the_next() -> None:
    registry, counting = CollectorRegistry(), Counting()
    counts = [counting.count(Counter(name, name, registry=registry)) for name in ("first", "second")]

    async def count(number: int, seconds: float) -> None:
        counts[number].inc()
        await asyncio.sleep(seconds)

    asyncio.run(count(0, 0))
    assert shown(registry) == {"first_total": 0, "second_total": 0}
    asyncio.run(count(1, 2 * HAND_OVER_EVERY))
    assert shown(registry) == {"first_total": 1, "second_total": 1}


def test_with_files_that_processes_share_too(tmp_path: Path) -> None:
    """The parts of a histogram that are added to are those that its file is made of."""
    script = (
        "import prometheus_client as p, counting\n"
        "spread = counting.Counting().spread(p.Histogram('seconds', 'S', buckets=(1, 2)), (1.0, 2.0))\n"
        "[spread.observe(value) for value in (1.0, 1.5, 3.0, 3.0)]\n"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))
    assert shown(registry) == {
        "seconds_bucket1.0": 1,
        "seconds_bucket2.0": 2,
        "seconds_bucket+Inf": 4,
        "seconds_count": 4,
        "seconds_sum": 8.5,
    }
