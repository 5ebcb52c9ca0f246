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

from bench import bodies, limit
from bench.bodies import PREDICT
from bench.load import Figures, Load, load_generator, put_load
from bench.report import OURS, chart, into_readme, markdown, table
from bench.servers import KEY, Contender, Running, fastapi, service
from bench.soak import soaked
from bench.symbols import write_symbols
from bench.workloads import Plan, batch_seconds, calm_after_storm, post, risk, throughput, warmed

RESULTS = Path(__file__).resolve().parent / "results"
INPROCESS = "bench.peers.fastapi_inprocess:app"
LITSERVE = Contender("litserve", (sys.executable, "-m", "bench.peers.litserve_batched"), {})
DEFAULTS = Contender(
    "bentoml-defaults",
    (sys.executable, "-m", "bentoml", "serve", "bench.peers.bentoml_defaults:Defaults", "--port", "{port}"),
    {},
)
FULL = Plan(rounds=3, seconds=3, connections=(1, 16, 64, 100, 256), burst=60)
QUICK = Plan(rounds=1, seconds=3, connections=(1, 64, 100))
RISK_SYMBOLS = 20
STARTED = time.monotonic()


def uncached_contenders() -> list[Contender]:
    return [
        service(OURS, PREDICTION_CACHE_TTL="0"),
        replace(service("deepfinance-workers", PREDICTION_CACHE_TTL="0", GATEWAY_WORKERS="2"), workers=2),
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
    only: Annotated[str, typer.Option(help="Peers to compare with, comma separated; all where empty.")] = "",
    readme: Annotated[bool, typer.Option(help="Put the figures into README.md as well.")] = False,
) -> None:
    plan = QUICK if quick else FULL
    plan = replace(plan, rounds=rounds or plan.rounds)
    chosen = [each for each in uncached_contenders() if not only or each.name in (OURS, *only.split(","))]
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deepfinance-bench-") as folder:
        if soak:
            raise SystemExit(soaked(Path(folder), soak, symbols or 200, RESULTS, say))
        found = measure(Path(folder), chosen, plan, symbols or (60 if quick else 1000))
    name = RESULTS / ("quick" if quick else "latest")
    name.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    name.with_suffix(".md").write_text(markdown(found))
    chart(found, name.with_suffix(".svg"))
    say(table(found))
    if readme:
        into_readme(markdown(found))
    say(f"written: {name}.json, .md and .svg{', README.md' if readme else ''}")


def measure(folder: Path, contenders: Sequence[Contender], plan: Plan, count: int) -> dict[str, Any]:
    """Everything, as it goes into the results file."""
    say(f"{count} symbols, {load_generator()}, {os.cpu_count()} cores; {about_minutes(plan, len(contenders), count)}")
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
        "minutes": (time.monotonic() - STARTED) / 60,
    }


def about_minutes(plan: Plan, contenders: int, count: int) -> str:
    """What is foreseen: the turns, the first forecast of each series by each contender, starts and the rest."""
    turns = plan.rounds * len(plan.connections) * (contenders + 2) * (plan.seconds + 0.3)
    seconds = turns + 0.025 * count * (contenders / 2 + 2) + 10 * contenders + plan.burst + 40
    return f"about {max(1, round(seconds / 60))} minutes"


def uncached(
    folder: Path, contenders: Sequence[Contender], names: Sequence[str], shared: Mapping[str, str], plan: Plan
) -> dict[str, Any]:
    """Every request is computed; bars and corrections are known. The first contender is ours, which must not fail."""
    running: list[Running] = []
    try:
        for each in contenders:
            started(each, folder, shared, running)
        idle = {one.name: one.pss() for one in running}
        warm = warmed(running, bodies.one_each(folder / "first.jsonl", names), say)
        if OURS not in warm:
            raise RuntimeError(f"{OURS} did not answer every request of the warm-up")
        every = bodies.uniform(folder / "uniform.jsonl", names)
        loads = throughput([one for one in running if one.name in warm], every, plan, running, say)
        loaded = {one.name: one.pss() for one in running}
        ours = next(one for one in running if one.name == OURS)
        for other in running:
            if other is not ours:
                other.hold()
        before, after = calm_after_storm(ours, every, plan.seconds)
        burst = put_load(ours.url, PREDICT, every, KEY, 256, plan.burst)
        say(f"burst      256 connections for {plan.burst:.0f} s: {burst.requests} answers, {burst.failed} failed")
        batch, bare = batch_seconds(ours, names, 500, 9), limit.seconds_for(500, 9)
        few = bodies.risk(folder / "risk.jsonl", names[:RISK_SYMBOLS])
        first_risk, of_risk = risk(ours, few, Plan(1, plan.seconds, (1, 16)), say)
        return {
            "loads": by_connections(loads),
            "left_out": [each.name for each in contenders if each.name not in loads],
            "seconds_to_ready": {one.name: one.seconds_to_ready for one in running},
            "warm_up_seconds": warm,
            "pss_idle_mb": idle,
            "pss_loaded_mb": loaded,
            "burst_of_256": _as_json(burst),
            "first_risk_seconds": first_risk,
            "risk": {str(c): asdict(figures) for c, figures in of_risk.items()},
            "lone_p50_before_burst": before,
            "lone_p50_after_burst": after,
            "batch_500_seconds": batch,
            "bare_models_500_seconds": bare,
        }
    finally:
        for one in running:
            one.stop()


def started(each: Contender, folder: Path, shared: Mapping[str, str], running: list[Running]) -> None:
    """Added to those that run; a peer that does not start is named and left out."""
    try:
        running.append(Running(each, folder / each.name, shared))
    except (RuntimeError, OSError) as error:
        if each.name == OURS:
            raise
        say(f"left out   {each.name:<22}{error}")
    else:
        say(f"ready      {each.name:<22}{running[-1].seconds_to_ready:.1f} s, {running[-1].pss():.0f} MB")


def cached(folder: Path, names: Sequence[str], shared: Mapping[str, str], plan: Plan) -> dict[str, Any]:
    """Answers given before, asked for again; beside a FastAPI worker that has them in a dict."""
    asked = bodies.zipf(folder / "zipf.jsonl", names)
    all_day = {"PREDICTION_CACHE_TTL": "86400", "DATA_CACHE_TTL": "86400"}
    ours = Running(service(OURS, **all_day), folder / "cached", shared)
    running = [ours]
    try:
        distinct = list(dict.fromkeys(asked.read_text().splitlines()))
        answers = {body: json.dumps(post(ours.url, PREDICT, json.loads(body))[1]) for body in distinct}
        (folder / "answers.json").write_text(json.dumps(answers))
        peer = fastapi("fastapi-dict", "bench.peers.fastapi_dict:app", 1, ANSWERS=str(folder / "answers.json"))
        started(peer, folder, shared, running)
        say(f"warmed up  {len(distinct)} answers are kept")
        for one in running:  # in the very bytes that count
            put_load(one.url, PREDICT, asked, KEY, 16, 1)
        return {"loads": by_connections(throughput(running, asked, plan, running, say))}
    finally:
        for one in running:
            one.stop()


def by_connections(loads: Mapping[str, Mapping[int, Figures]]) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {str(c): asdict(figures) for c, figures in by.items()} for name, by in loads.items()}


def _as_json(load: Load) -> dict[str, float]:
    return {**asdict(load), "throughput": load.throughput}


def say(line: str) -> None:
    """With the minutes and seconds since the start."""
    minutes, seconds = divmod(round(time.monotonic() - STARTED), 60)
    sys.stdout.write(f"{minutes:2}:{seconds:02}  {line}\n" if "\n" not in line else f"\n{line}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
