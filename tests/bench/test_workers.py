"""What is shown of one worker beside two."""

from __future__ import annotations

from typing import Any

from bench import workers
from bench.workers import MANY, ONE, ONE_CORE, TWO, contenders, markdown


def figures(throughput: float) -> dict[str, float]:
    times = {"p50": 0.01, "p95": 0.02, "p99": 0.0345, "processor": 0.00046, "event_loop": 0.00028}
    return {"throughput": throughput, "failed": 0, **times}


def found() -> dict[str, Any]:
    rates = {ONE: 250, TWO: 260, ONE_CORE: 9}
    by = {name: {"1": figures(rate), "64": figures(10 * rate)} for name, rate in rates.items()}
    return {
        **{"cores": 2, "load": "wrk", "rounds": 5, "seconds": 3, "load_average_before": 0.1, "load_average_after": 1.5},
        **{"loads": {"60": by, "1000": by}, "pss_loaded_mb": {ONE: 361.0, TWO: 550.0, ONE_CORE: 360.0}},
        "busier_worker_of_64_connections": [33, 59, 40],
    }


def test_each_number_of_symbols_has_a_table_in_which_contenders_stand_side_by_side():
    text = markdown(found())
    rows = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith(("| one", "| two"))]
    assert rows[:4] == [[f"| {name}", at] for at, name in (("1", ONE), ("1", TWO), ("1", ONE_CORE), ("64", ONE))]
    assert len(rows) == 12
    assert "| 1,000 symbols | connections |" in text
    assert "| two workers | 64 | 2,600 | 10.0 | 34.5 | 0.46 | 0.28 | 0 |" in text
    assert "361 MB with one worker and 550 MB with two (PSS, 1,000 symbols" in text
    assert "the busier of two workers had 33 to 59 in 3 runs" in text


def test_contenders_differ_in_workers_and_cores_alone():
    one, two, bound = contenders()
    assert (one.workers, one.cores, two.workers, two.cores, bound.workers, bound.cores) == (1, 0, 2, 0, 1, 1)
    assert {**two.settings, "GATEWAY_WORKERS": "1"} == dict(one.settings) == dict(bound.settings)
    assert workers.FULL.connections == workers.QUICK.connections
    assert MANY > 500, "so many that requests of a pass seldom share a series"
