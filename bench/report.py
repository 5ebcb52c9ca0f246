"""The results as a table for people and a chart for the README."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

OURS = "deepfinance"


def table(found: Mapping[str, Any]) -> str:
    """Throughput, latency and failures by contender and connections, then the ratios that matter."""
    parts = [f"compute limit of the models alone: {found['compute_limit']:.0f} forecasts a second"]
    for workload in ("uncached", "cached"):
        parts += ["", _loads(workload, found[workload]["loads"])]
    return "\n".join([*parts, "", *(f"{name:<58}{value}" for name, value in ratios(found).items())])


def ratios(found: Mapping[str, Any]) -> dict[str, str]:
    """What is claimed, each against its reference in the same run."""
    loads, cached = found["uncached"]["loads"], found["cached"]["loads"]
    ours, rows = loads[OURS], {}
    plain = [loads[name] for name in ("fastapi-1", "fastapi-2") if name in loads]
    for connections in ours:
        best = max((peer[connections] for peer in plain), key=lambda load: load["throughput"], default=None)
        if best:
            rows[f"uncached, {connections} connections: throughput against FastAPI"] = _times(
                ours[connections]["throughput"] / best["throughput"]
            )
            rows[f"uncached, {connections} connections: p99 against FastAPI"] = _times(
                ours[connections]["p99"] / best["p99"]
            )
            if "deepfinance-per-model" in loads:
                rows[f"uncached, {connections} connections: per_model's throughput against FastAPI"] = _times(
                    loads["deepfinance-per-model"][connections]["throughput"] / best["throughput"]
                )
            rows[f"uncached, {connections} connections: p50 against FastAPI"] = _times(
                ours[connections]["p50"] / best["p50"]
            )
        if "bentoml-defaults" in loads:
            rows[f"uncached, {connections} connections: throughput against BentoML's defaults"] = _times(
                ours[connections]["throughput"] / max(loads["bentoml-defaults"][connections]["throughput"], 0.1)
            )
        if connections in cached[OURS]:
            rows[f"cached, {connections} connections: throughput against a dict"] = _times(
                cached[OURS][connections]["throughput"] / cached["fastapi-dict"][connections]["throughput"]
            )
    uncached = found["uncached"]
    top = max(load["throughput"] for load in ours.values())
    rows["uncached: best throughput against the compute limit"] = _times(top / found["compute_limit"])
    rows["batch of 500 against the bare models"] = _times(
        uncached["batch_500_seconds"] / uncached["bare_models_500_seconds"]
    )
    rows["lone p50 after a burst of 256 against before"] = _times(
        uncached["lone_p50_after_burst"] / uncached["lone_p50_before_burst"]
    )
    rows["failed of the burst of 256 connections"] = (
        f"{uncached['burst_of_256']['failed']:.0f} of {uncached['burst_of_256']['requests']:.0f}"
    )
    rows["PSS under load"] = f"{uncached['pss_loaded_mb'][OURS]:.0f} MB"
    rows["start to ready"] = f"{uncached['seconds_to_ready'][OURS]:.1f} s"
    return rows


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def _loads(title: str, loads: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    lines = [f"{title:<24}{'conn':>5}{'rps':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'failed':>8}"]
    for name, by in loads.items():
        for connections, load in by.items():
            times = "".join(f"{load[each] * 1000:>9.1f}" for each in ("p50", "p95", "p99"))
            lines.append(f"{name:<24}{connections:>5}{load['throughput']:>9.0f}{times}{load['failed']:>8.0f}")
    return "\n".join(lines)


def chart(found: Mapping[str, Any], path: Path) -> None:
    """Two panels: throughput and p99 of uncached forecasts by connections."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for name, by in found["uncached"]["loads"].items():
        style = {"linewidth": 2.5, "color": "#1f5fbf"} if name == OURS else {"linewidth": 1.2}
        connections = [int(each) for each in by]
        left.plot(connections, [load["throughput"] for load in by.values()], marker="o", label=name, **style)
        right.plot(connections, [load["p99"] * 1000 for load in by.values()], marker="o", **style)
    left.set(xlabel="connections", ylabel="forecasts a second", title="Throughput, nothing cached")
    right.set(xlabel="connections", ylabel="p99 in ms", title="Slowest of a hundred", yscale="log")
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(connections, [str(each) for each in connections])
        axis.grid(alpha=0.3)
    left.legend(fontsize=8)
    figure.savefig(path)
    plt.close(figure)
