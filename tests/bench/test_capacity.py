"""The simulation of queues agrees with what is known of them."""

from __future__ import annotations

import pytest

from bench.capacity import simulated_tables, times_table
from bench.simulation import Layout, Times, best_split, most, most_embedded, simulated

ALONE = Times(gateway=0.002, runners={"A": 1e-6}, embedded=0.002, embedded_loop=0.001, redis=1e-5)
TWO = Times(gateway=0.001, runners={"A": 0.001, "B": 0.004}, embedded=0.006, embedded_loop=0.001, redis=1e-5)


def test_a_request_that_meets_nobody_takes_its_service_times():
    p50, p99 = simulated(TWO, Layout(1, {"A": 1, "B": 1}), rate=0.01, requests=500)
    assert p50 == pytest.approx(0.001 + 0.004)
    assert p99 == pytest.approx(p50)


def test_near_the_limit_the_queue_grows_and_beyond_it_without_end():
    layout = Layout(1, {"A": 1})
    limit = most(ALONE, layout, 4)
    assert limit == pytest.approx(500, rel=1e-3)
    calm, busy, over = (simulated(ALONE, layout, share * limit)[0] for share in (0.3, 0.9, 1.3))
    assert 0.002 <= calm < 0.004 < busy < 0.1 < over


def test_the_next_core_goes_where_the_work_is():
    assert best_split(TWO, 3) == Layout(1, {"A": 1, "B": 1})
    assert best_split(TWO, 6) == Layout(1, {"A": 1, "B": 4})


def test_the_tightest_part_sets_the_limit():
    assert most(TWO, Layout(1, {"A": 1, "B": 1}), 8) == pytest.approx(250)  # B
    assert most(TWO, Layout(1, {"A": 1, "B": 1}), 1) == pytest.approx(1 / 0.006)  # the core
    assert most(TWO, Layout(50, {"A": 50, "B": 200}, machines=8), 300) == pytest.approx(20_000)  # Redis
    assert most_embedded(TWO, 1, 2) == pytest.approx(2 / 0.006)


def test_the_tables_show_the_times_and_what_bounds_them():
    table = times_table(TWO)
    assert "| `embedded` | 1.00 | 5.00 (threads) | 6.00 |" in table
    assert "| `per_model` | 1.00 | a 1.00, b 4.00 (processes) | 6.00 |" in table
    lines = simulated_tables(TWO, cores=(6,), machines=(1, 30)).splitlines()
    assert lines[2].startswith("| 6 | 1 | 1 a, 4 b | 1,000 |")
    assert lines[-2:] == ["| 1 | 2,500 | the machine |", "| 30 | 20,000 | Redis |"]
