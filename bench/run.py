"""`make bench`: this service beside what people would write instead, in one run on this machine."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import bodies, limit
from bench.load import Load, load_generator, put_load
from bench.report import chart, table
from bench.servers import KEY, Contender, Running, fastapi, service
from bench.symbols import write_symbols
from bench.workloads import (
    PREDICT,
    RISK,
    Plan,
    batch_seconds,
    calm_after_storm,
    memory_growth,
    post,
    throughput,
    warmed,
)

RESULTS = Path(__file__).resolve().parent / "results"
INPROCESS = "bench.peers.fastapi_inprocess:app"
LITSERVE = Contender("litserve", (sys.executable, "-m", "bench.peers.litserve_batched"), {})
DEFAULTS = Contender(
    "bentoml-defaults",
    (sys.executable, "-m", "bentoml", "serve", "bench.peers.bentoml_defaults:Defaults", "--port", "{port}"),
    {},
)


def uncached_contenders() -> list[Contender]:
    return [
        service("deepfinance", PREDICTION_CACHE_TTL="0"),
        service("deepfinance-per-model", PREDICTION_CACHE_TTL="0", RUNNER_LAYOUT="per_model"),
        fastapi("fastapi-1", INPROCESS, workers=1),
        fastapi("fastapi-2", INPROCESS, workers=2),
        LITSERVE,
        DEFAULTS,
    ]


def main(
    quick: Annotated[bool, typer.Option(help="Fewer symbols, rounds and seconds: about two minutes.")] = False,
    symbols: Annotated[int, typer.Option(help="How many made-up symbols; 0 for 1000, or 60 when quick.")] = 0,
    soak: Annotated[
        float, typer.Option(help="Nothing but so many minutes of mixed load, and what becomes of memory.")
    ] = 0,
    rounds: Annotated[int, typer.Option(help="How often everyone takes a turn; 0 for 3, or 1 when quick.")] = 0,
    only: Annotated[str, typer.Option(help="Contenders to compare, comma separated; all where empty.")] = "",
) -> None:
    plan = Plan(rounds or 1, 3, (1, 64, 100), 10) if quick else Plan(rounds or 3, 5, (1, 16, 64, 100, 256), 60)
    chosen = [each for each in uncached_contenders() if not only or each.name in only.split(",")]
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deepfinance-bench-") as folder:
        if soak:
            soaked(Path(folder), soak, symbols or 200)
            return
        found = measure(Path(folder), chosen, plan, symbols or (60 if quick else 1000))
    name = "quick" if quick else "latest"
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    chart(found, RESULTS / f"{name}.svg")
    say(table(found))
    say(f"written: {RESULTS / name}.json and .svg")


def measure(folder: Path, contenders: Sequence[Contender], plan: Plan, count: int) -> dict[str, Any]:
    """Everything, as it goes into the results file."""
    started = time.monotonic()
    say(f"{count} symbols, {load_generator()}, {os.cpu_count()} cores")
    names = write_symbols(folder / "prices", count)
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": load_generator()}
    return {
        "machine": machine,
        "symbols": count,
        "load_average_before": os.getloadavg()[1],
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "compute_limit": limit.compute_limit(plan.seconds, os.cpu_count() or 1),
        "uncached": uncached(folder, contenders, names, shared, plan),
        "cached": cached(folder, names, shared, plan),
        "load_average_after": os.getloadavg()[1],
        "minutes": (time.monotonic() - started) / 60,
    }


def uncached(
    folder: Path, contenders: Sequence[Contender], names: Sequence[str], shared: Mapping[str, str], plan: Plan
) -> dict[str, Any]:
    """Every request is computed; bars and corrections are known."""
    running: list[Running] = []
    try:
        for each in contenders:
            running.append(Running(each, folder / each.name, shared))
            say(f"ready      {each.name:<22}{running[-1].seconds_to_ready:.1f} s, {running[-1].pss():.0f} MB")
        idle = {one.name: one.pss() for one in running}
        first = bodies.one_each(folder / "first.jsonl", names)
        warm = warmed(running, first, say)
        every = bodies.uniform(folder / "uniform.jsonl", names)
        loads = throughput(running, every, plan, running, say)
        ours = running[0]
        for other in running[1:]:
            other.hold()
        before, after = calm_after_storm(ours, every, plan.seconds)
        burst = put_load(ours.url, PREDICT, every, KEY, 256, plan.burst)
        say(f"burst      256 connections for {plan.burst:.0f} s: {burst.requests} answers, {burst.failed} failed")
        batch = batch_seconds(ours, names, 500, 5)
        of_risk = throughput(
            [ours], bodies.risk(folder / "risk.jsonl", names), Plan(1, plan.seconds, (1, 16)), [ours], say, RISK
        )
        return {
            "loads": {name: {str(c): _as_json(load) for c, load in by.items()} for name, by in loads.items()},
            "seconds_to_ready": {one.name: one.seconds_to_ready for one in running},
            "warm_up_seconds": warm,
            "pss_idle_mb": idle,
            "pss_loaded_mb": {one.name: one.pss() for one in running},
            "burst_of_256": _as_json(burst),
            "risk": {str(c): _as_json(load) for c, load in of_risk[ours.name].items()},
            "lone_p50_before_burst": before,
            "lone_p50_after_burst": after,
            "batch_500_seconds": batch,
            "bare_models_500_seconds": limit.seconds_for(500),
        }
    finally:
        for one in running:
            one.stop()


def cached(folder: Path, names: Sequence[str], shared: Mapping[str, str], plan: Plan) -> dict[str, Any]:
    """Answers given before, asked for again; beside a FastAPI worker that has them in a dict."""
    asked = bodies.zipf(folder / "zipf.jsonl", names)
    ours = Running(service("deepfinance", PREDICTION_CACHE_TTL="86400"), folder / "cached", shared)
    running = [ours]
    try:
        distinct = list(dict.fromkeys(asked.read_text().splitlines()))
        answers = {body: json.dumps(post(ours.url, PREDICT, json.loads(body))[1]) for body in distinct}
        (folder / "answers.json").write_text(json.dumps(answers))
        peer = fastapi("fastapi-dict", "bench.peers.fastapi_dict:app", 1, ANSWERS=str(folder / "answers.json"))
        running.append(Running(peer, folder / "dict", shared))
        loads = throughput(running, asked, plan, running, say)
        return {"loads": {name: {str(c): _as_json(load) for c, load in by.items()} for name, by in loads.items()}}
    finally:
        for one in running:
            one.stop()


def soaked(folder: Path, minutes: float, count: int) -> None:
    """Mixed load, half of it cached by its second round, and the growth of memory."""
    names = write_symbols(folder / "prices", count)
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    ours = Running(service("deepfinance", PREDICTION_CACHE_TTL="30"), folder / "soak", shared)
    try:
        sizes, slope = memory_growth(ours, bodies.uniform(folder / "uniform.jsonl", names), minutes, say)
    finally:
        ours.stop()
    (RESULTS / "soak.json").write_text(
        json.dumps({"minutes": minutes, "pss_mb": sizes, "late_slope_mb_a_minute": slope}, indent=1) + "\n"
    )
    say(f"{slope:+.2f} MB a minute over the last two thirds; written: {RESULTS / 'soak.json'}")


def _as_json(load: Load) -> dict[str, float]:
    return {**asdict(load), "throughput": load.throughput}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
