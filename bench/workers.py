"""One gateway worker beside two, and on one core beside all: ``make bench ARGS=--workers``, some seven minutes.

With few symbols several requests of a pass ask for the same series and share its row, with many they do not, so both
are asked for. The load generator runs on the same machine: beside a service that is bound to one core it has the
others, beside one that is not it takes its part of them all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import bodies
from bench.bodies import PREDICT
from bench.load import by_connections, load_generator, put_load
from bench.servers import KEY, Contender, Running, service
from bench.symbols import write_symbols
from bench.warm import warmed
from bench.workloads import Plan, Say, alone, throughput

FULL = Plan(rounds=5, seconds=3, connections=(1, 64, 100))
QUICK = Plan(rounds=1, seconds=2, connections=(1, 64, 100))
FEW, MANY = 60, 1000
ONE, TWO, ONE_CORE = "one worker", "two workers", "one worker, one core"
COMMAND = 'make bench ARGS="--workers --readme"'
SPREAD_OF, SPREAD_TIMES = 64, 5


def contenders() -> list[Contender]:
    """Each computes every forecast, with the models inside its workers."""
    settings = {"PREDICTION_CACHE_TTL": "0", "RUNNER_LAYOUT": "embedded"}
    return [
        service(ONE, **settings, GATEWAY_WORKERS="1"),
        replace(service(TWO, **settings, GATEWAY_WORKERS="2"), workers=2),
        replace(service(ONE_CORE, **settings, GATEWAY_WORKERS="1"), cores=1),
    ]


def measured(folder: Path, plan: Plan, counts: Sequence[int], say: Say) -> dict[str, Any]:
    """Figures by number of symbols, contender and connections; memory, and how connections were spread, at the end."""
    names = write_symbols(folder / "prices", max(counts))
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    load_before = os.getloadavg()[1]
    running: list[Running] = []
    try:
        for each in contenders():
            running.append(Running(each, folder / each.name.replace(" ", "-"), shared))
            say(f"ready      {each.name}")
        if len(warmed(running, bodies.one_each(folder / "first.jsonl", names), say)) < len(running):
            raise RuntimeError("not everyone answered every request of the warm-up")
        loads = {}
        for count in counts:
            say(f"{count} symbols")
            every = bodies.uniform(folder / f"uniform{count}.jsonl", names[:count])
            loads[str(count)] = by_connections(throughput(running, every, plan, running, say))
        pss = {one.name: one.pss() for one in running}
        with alone(running[1], running):
            spread = [busier_of(running[1], every) for _ in range(SPREAD_TIMES)]
    finally:
        for one in running:
            one.stop()
    return {
        **{"cores": os.cpu_count(), "load": load_generator(), "rounds": plan.rounds, "seconds": plan.seconds},
        **{"load_average_before": load_before, "load_average_after": os.getloadavg()[1]},
        **{"loads": loads, "pss_loaded_mb": pss, f"busier_worker_of_{SPREAD_OF}_connections": spread},
    }


def busier_of(one: Running, asked: Path) -> int:
    """Of so many connections that are opened at once, how many the worker has that has most."""
    with ThreadPoolExecutor(1) as aside:
        load = aside.submit(put_load, one.url, PREDICT, asked, KEY, SPREAD_OF, 1)
        time.sleep(0.5)
        held = [
            sum(each.laddr.port == one.port and bool(each.raddr) for each in process.net_connections("tcp"))
            for process in one.gateways()
        ]
        load.result()
    return max(held)


def markdown(found: Mapping[str, Any]) -> str:
    """A table for each number of symbols, then memory and how connections were spread."""
    busier = found[f"busier_worker_of_{SPREAD_OF}_connections"]
    pss = found["pss_loaded_mb"]
    parts = [
        f"{_turns(found)}, {found['cores']} cores, {found['load']} on the "
        f"same machine, load average {found['load_average_before']:.1f} before and {found['load_average_after']:.1f} "
        "after; nothing cached.",
        *("\n".join(_table(int(count), by)) for count, by in found["loads"].items()),
        f"All processes took {pss[ONE]:.0f} MB with one worker and {pss[TWO]:.0f} MB with two (PSS, {_most(found):,} "
        f"symbols, after the last turn). Of {SPREAD_OF} connections opened at once the busier of two workers had "
        f"{min(busier)} to {max(busier)} in {len(busier)} runs.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(count: int, by: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    yield (
        f"| {count:,} symbols | connections | forecasts a second | p50, ms | p99, ms | processor for a forecast, ms "
        "| of it event loops, ms | failed |"
    )
    yield f"|---|{'---:|' * 7}"
    for connections in by[ONE]:
        for name, figures in by.items():
            it = figures[connections]
            times = " | ".join(
                f"{1000 * it[what]:.{digits}f}"
                for what, digits in (("p50", 1), ("p99", 1), ("processor", 2), ("event_loop", 2))
            )
            yield f"| {name} | {connections} | {it['throughput']:,.0f} | {times} | {it['failed']:,.0f} |"


def _most(found: Mapping[str, Any]) -> int:
    return max(int(count) for count in found["loads"])


def _turns(found: Mapping[str, Any]) -> str:
    one = found["rounds"] == 1
    return (
        f"One turn of {found['seconds']:g} s"
        if one
        else f"Medians of {found['rounds']} turns of {found['seconds']:g} s"
    )
