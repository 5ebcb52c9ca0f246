"""`make bench`: this service beside what people would write instead, in one run on this machine."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import bodies, first, limit, workers
from bench.bodies import PREDICT
from bench.contenders import of_new_forecasts, started
from bench.kept import cached
from bench.load import Load, by_connections, load_generator, put_load
from bench.pages import CAPACITY, README, into_page
from bench.report import COMMAND, OURS, chart, details, markdown, table
from bench.servers import KEY, Contender, Running
from bench.soak import soaked
from bench.symbols import write_symbols
from bench.warm import warmed
from bench.workloads import Plan, alone, batch_seconds, calm_after_storm, risk, throughput

RESULTS = Path(__file__).resolve().parent / "results"
FULL = Plan(rounds=3, seconds=3, connections=(1, 16, 64, 100, 256), burst=60, new=200)
QUICK = Plan(rounds=1, seconds=3, connections=(1, 64, 100), new=40)
RISK_SYMBOLS = 20
STARTED = time.monotonic()


def main(
    quick: Annotated[bool, typer.Option(help="Fewer symbols, rounds and seconds: about two minutes.")] = False,
    symbols: Annotated[int, typer.Option(help="How many made-up symbols; 0 for 1000, or 60 when quick.")] = 0,
    soak: Annotated[
        float, typer.Option(help="Nothing but so many minutes of mixed load, and what becomes of memory.")
    ] = 0,
    against: Annotated[
        bool, typer.Option("--workers", help="Nothing but one gateway worker beside two, and one core beside all.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="How often everyone takes a turn; 0 for 3, or 1 when quick.")] = 0,
    only: Annotated[str, typer.Option(help="Peers to compare with, comma separated; all where empty.")] = "",
    readme: Annotated[
        bool, typer.Option(help="Put the figures into README.md as well, those of --workers into docs/capacity.md.")
    ] = False,
) -> None:
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deepfinance-bench-") as name:
        folder = Path(name)
        if soak:
            raise SystemExit(soaked(folder, soak, symbols or 200, RESULTS, say))
        if against:
            plan, counts = (workers.QUICK, (workers.FEW,)) if quick else (workers.FULL, (workers.FEW, workers.MANY))
            plan = replace(plan, rounds=rounds or plan.rounds)
            _write_workers(workers.measured(folder, plan, (symbols,) if symbols else counts, say), quick, readme)
        else:
            plan = QUICK if quick else FULL
            plan = replace(plan, rounds=rounds or plan.rounds)
            chosen = [each for each in of_new_forecasts() if not only or each.name in (OURS, *only.split(","))]
            _write(measure(folder, chosen, plan, symbols or (60 if quick else 1000)), quick, readme)


def _write(found: Mapping[str, Any], quick: bool, readme: bool) -> None:
    name = RESULTS / ("quick" if quick else "latest")
    name.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    name.with_suffix(".md").write_text(f"{markdown(found)}\n{details(found)}")
    chart(found, name.with_suffix(".svg"))
    say(table(found))
    if readme:
        into_page(markdown(found), README, COMMAND)
    say(f"written: {name}.json, .md and .svg{', README.md' if readme else ''}")


def _write_workers(found: Mapping[str, Any], quick: bool, readme: bool) -> None:
    name, text = RESULTS / ("workers-quick" if quick else "workers"), workers.markdown(found)
    name.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    name.with_suffix(".md").write_text(text)
    say(text)
    if readme:
        into_page(text, CAPACITY, workers.COMMAND)
    say(f"written: {name}.json and .md{', docs/capacity.md' if readme else ''}")


def measure(folder: Path, contenders: Sequence[Contender], plan: Plan, count: int) -> dict[str, Any]:
    """Everything, as it goes into the results file."""
    say(f"{count} symbols, {load_generator()}, {os.cpu_count()} cores; {about_minutes(plan, len(contenders), count)}")
    everything = write_symbols(folder / "prices", count + plan.new + first.BATCH)
    names, new = everything[:count], everything[count:]
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": load_generator()}
    return {
        "machine": machine,
        "symbols": count,
        "load_average_before": os.getloadavg()[1],
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "compute_limit": limit.compute_limit(plan.seconds, os.cpu_count() or 1),
        "uncached": uncached(folder, contenders, names, new, shared, plan),
        "cached": cached(folder, names, shared, plan, say),
        "load_average_after": os.getloadavg()[1],
        "minutes": (time.monotonic() - STARTED) / 60,
    }


def about_minutes(plan: Plan, contenders: int, count: int) -> str:
    """What is foreseen: the turns, the first forecast of each series by each contender, starts and the rest."""
    turns = plan.rounds * len(plan.connections) * (contenders + 3) * (plan.seconds + 0.3)
    series = count * (contenders / 2 + 2) + 2 * plan.new + first.BATCH
    seconds = turns + 0.025 * series + 10 * contenders + plan.burst + 40
    return f"about {max(1, round(seconds / 60))} minutes"


def uncached(
    folder: Path,
    contenders: Sequence[Contender],
    names: Sequence[str],
    new: Sequence[str],
    shared: Mapping[str, str],
    plan: Plan,
) -> dict[str, Any]:
    """Every request is computed; bars and corrections of ``names`` are known, of ``new`` none. The first contender is
    ours, which must not fail."""
    running: list[Running] = []
    try:
        for each in contenders:
            started(each, folder, shared, running, say)
        idle = {one.name: one.pss() for one in running}
        warm = warmed(running, bodies.one_each(folder / "first.jsonl", names), say)
        if OURS not in warm:
            raise RuntimeError(f"{OURS} did not answer every request of the warm-up")
        every = bodies.uniform(folder / "uniform.jsonl", names)
        loads = throughput([one for one in running if one.name in warm], every, plan, running, say)
        return {
            "loads": by_connections(loads),
            "left_out": [each.name for each in contenders if each.name not in loads],
            "seconds_to_ready": {one.name: one.seconds_to_ready for one in running},
            "warm_up_seconds": warm,
            "pss_idle_mb": idle,
            "pss_loaded_mb": {one.name: one.pss() for one in running},
            **ours_alone(running, every, names, folder, plan),
            **first_forecasts([one for one in running if one.name in loads], new, running),
        }
    finally:
        for one in running:
            one.stop()


def first_forecasts(answering: Sequence[Running], new: Sequence[str], everyone: Sequence[Running]) -> dict[str, Any]:
    """Of ours one by one and in a batch, and of a peer that works them out as most people would."""
    found: dict[str, Any] = {"first_forecasts": {}}
    single, batch = new[: -first.BATCH], new[-first.BATCH :]
    for one in answering:
        if one.name in (OURS, "fastapi-1"):
            with alone(one, everyone):
                found["first_forecasts"][one.name] = asdict(first.one_by_one(one, single))
                if one.name == OURS:
                    found["first_batch"] = asdict(first.in_one_batch(one, batch))
            say(f"new series {one.name:<22}{len(single)} of them")
    return found


def ours_alone(
    running: Sequence[Running], every: Path, names: Sequence[str], folder: Path, plan: Plan
) -> dict[str, Any]:
    """What no peer is asked for: a burst and the calm after it, batches, risk."""
    ours = next(one for one in running if one.name == OURS)
    with alone(ours, running):
        before, after = calm_after_storm(ours, every, plan.seconds)
        burst = put_load(ours.url, PREDICT, every, KEY, 256, plan.burst)
        say(f"burst      256 connections for {plan.burst:.0f} s: {burst.requests} answers, {burst.failed} failed")
        turns = [(batch_seconds(ours, names, 500, 3), limit.seconds_for(500, 3)) for _ in range(5)]
        batch, bare = (min(seconds) for seconds in zip(*turns, strict=True))
        few = bodies.risk(folder / "risk.jsonl", names[:RISK_SYMBOLS])
        first_risk, of_risk = risk(ours, few, Plan(1, plan.seconds, (1, 16)), say)
    return {
        "burst_of_256": _as_json(burst),
        "first_risk_seconds": first_risk,
        "risk": {str(c): asdict(figures) for c, figures in of_risk.items()},
        "lone_p50_before_burst": before,
        "lone_p50_after_burst": after,
        "batch_500_seconds": batch,
        "bare_models_500_seconds": bare,
    }


def _as_json(load: Load) -> dict[str, float]:
    return {**asdict(load), "throughput": load.throughput}


def say(line: str) -> None:
    """With the minutes and seconds since the start."""
    minutes, seconds = divmod(round(time.monotonic() - STARTED), 60)
    sys.stdout.write(f"{minutes:2}:{seconds:02}  {line}\n" if "\n" not in line else f"\n{line}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
