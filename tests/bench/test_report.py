"""What is shown of the figures, and how memory is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.report import chart, details, markdown, ratios, table
from bench.soak import Soak
from bench.soak import chart as soak_chart


def figures(throughput: float, failed: int = 0) -> dict[str, float]:
    times = {"p50": 0.01, "p95": 0.02, "p99": 10 / throughput, "processor": 1.5 / throughput, "event_loop": 0.0}
    return {"throughput": throughput, "failed": failed, **times}


def found(**peers: float) -> dict[str, Any]:
    """Ours at 1,000 a second beside peers; kept answers three times those of the dict."""
    at = ("1", "64", "100")
    return {
        "machine": {"cores": 2, "python": "3.11", "load": "wrk"},
        **{"symbols": 1000, "rounds": 3, "seconds": 3, "compute_limit": 4000.0},
        **{"load_average_before": 0.1, "load_average_after": 1.5},
        "uncached": {
            "loads": {
                name: {each: figures(rate) for each in at} for name, rate in {"deepfinance": 1000, **peers}.items()
            },
            "left_out": ["litserve"],
            **{"batch_500_seconds": 0.06, "bare_models_500_seconds": 0.05},
            **{"lone_p50_before_burst": 0.003, "lone_p50_after_burst": 0.0036},
            "burst_of_256": {"requests": 60_000, "failed": 0},
            **{"pss_loaded_mb": {"deepfinance": 480.0}, "seconds_to_ready": {"deepfinance": 6.0}},
            **{"first_risk_seconds": 0.08, "risk": {"16": figures(834)}},
            "first_forecasts": {
                name: {"series": 200, "seconds": seconds, "processor": 2 * seconds}
                for name, seconds in (("deepfinance", 2.0), ("fastapi-1", 4.0))
            },
            "first_batch": {"series": 500, "seconds": 4.0, "processor": 6.0},
        },
        "cached": {
            "loads": {
                name: {each: figures(rate) for each in at}
                for name, rate in (("deepfinance", 30000), ("fastapi-dict", 10000), ("bare-socket", 40000))
            }
        },
    }


def test_each_ratio_is_against_the_better_fastapi():
    shown = {row.name: row for row in ratios(found(**{"fastapi-1": 200, "fastapi-2": 400}))}
    assert shown["new, 64 connections: throughput against FastAPI"][1:] == ("2.50x", "at least 2.5", True)
    assert shown["new, 64 connections: p99 against FastAPI"][1:] == ("0.40x", "at most 0.125", False)
    assert shown["kept, 1 connection: throughput against a dict"].value == "3.00x"
    assert shown["kept, 1 connection: throughput against a bare socket"] == (
        "kept, 1 connection: throughput against a bare socket",
        "0.75x",
        "",
        None,
    )
    assert shown["batch of 500 new series, a series"].value == "8.0 ms, processor 12.0 ms"
    assert shown["new: best throughput against the models alone"].reached is False
    assert shown["batch of 500 against the models alone"][1:] == ("1.20x", "at most 1.5", True)
    assert shown["new, 100 connections: forecasts a second; p50, p95, p99 in ms"].value == "1,000; 10, 20, 10"


@pytest.mark.parametrize("peers", [{}, {"fastapi-1": 200}, {"bentoml-defaults": 0}])
def test_peers_that_failed_are_named_and_the_rest_is_shown(peers: dict[str, float], tmp_path: Path):
    for name in peers:
        peers[name] = peers[name] or 0.0001
    without_dict = found(**peers)
    del without_dict["cached"]["loads"]["fastapi-dict"]
    assert "against a dict" not in markdown(without_dict)
    text = markdown(found(**peers))
    assert "Failed and left out: litserve." in text
    assert "left out" in table(found(**peers))
    chart(found(**peers), tmp_path / "chart.svg")


def test_first_forecasts_and_processor_time_are_told():
    everything = found(**{"fastapi-1": 200})
    assert "200 series asked for by 4 callers: 10.0 ms, processor 20.0 ms each (FastAPI, 1 worker: 20.0 ms" in markdown(
        everything
    )
    assert "500 new series in one batch: 4.0 s, processor 12.0 ms each." in markdown(everything)
    assert "| a bare socket that always writes the same bytes | 0.037 | 0.037 |" in details(everything)
    assert "| FastAPI, 1 worker | 7.50 | 7.50 |" in details(everything)


def soak(minutes: int, growth: float, failed: int = 0) -> Soak:
    """A start that grows by 300 MB in two minutes, then ``growth`` a minute."""
    times = tuple(float(minute) for minute in range(minutes + 1))
    lasting = [300.0 + min(at, 2.0) * 150 + growth * at for at in times]
    return Soak(
        times,
        tuple(size + 190 * (at > 25) for at, size in zip(times, lasting, strict=True)),
        tuple(lasting),
        1000,
        failed,
    )


def test_the_start_does_not_count_as_growth():
    assert soak(30, 0.5).slope == pytest.approx(0.5)
    assert len(soak(30, 0.5).late) == 21
    assert soak(6, 0.5).late[0][0] == 2.0, "of a short one the last two thirds"


def test_growth_and_failures_do_not_pass(tmp_path: Path):
    assert soak(30, 0.9).passes
    assert not soak(30, 1.1).passes
    assert not soak(30, 0.0, failed=1).passes
    assert soak(30, 1.1).verdict().startswith("not passed: +1.10 MB a minute over the last 20 minutes")
    soak_chart(soak(30, 0.9), tmp_path / "soak.svg")
    assert (tmp_path / "soak.svg").stat().st_size > 1000
