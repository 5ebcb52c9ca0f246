"""How far more cores and more machines carry: a simulation of queues, from service times measured here.

``python -m bench.capacity --measure`` puts load on the service in two layouts and notes the processor time that each of
its processes takes for a request; without it the last measurement is used. Both write results/capacity.md, and with
``--readme`` docs/capacity.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from bench import bodies
from bench.bodies import PREDICT
from bench.load import put_load
from bench.pages import CAPACITY, into_page
from bench.servers import EVENT_LOOP, GATEWAY, KEY, Running, service
from bench.simulation import Times, best_split, full_at, most, most_embedded
from bench.symbols import write_symbols
from bench.warm import warmed

RESULTS = Path(__file__).resolve().parent / "results"
STORED = RESULTS / "service_times.json"
TIMES, SIMULATED = "python -m bench.capacity --measure --readme", "python -m bench.capacity --readme"
CONNECTIONS = 64


def measured(seconds: float, symbols: int) -> Times:
    """Processor time a request, from what each process of the running service used under load."""
    with tempfile.TemporaryDirectory(prefix="deepfinance-capacity-") as name:
        folder = Path(name)
        names = write_symbols(folder / "prices", symbols)
        shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices"), "PREDICTION_CACHE_TTL": "0"}
        first, every = bodies.one_each(folder / "first.jsonl", names), bodies.uniform(folder / "all.jsonl", names)
        found = {}
        for layout in ("per_model", "embedded"):
            one = Running(service(layout, RUNNER_LAYOUT=layout), folder / layout, shared)
            try:
                warmed([one], first, _say)
                found[layout] = _processor_time(one, every, seconds)
                _say(f"{layout}: {json.dumps(found[layout])} seconds a request")
            finally:
                one.stop()
    per_model, embedded = found["per_model"], found["embedded"]
    runners = {name: value for name, value in per_model.items() if name.endswith("Runner")}
    whole = embedded[GATEWAY]
    return Times(per_model[GATEWAY], runners, whole, embedded[EVENT_LOOP], 10e-6)


def _processor_time(one: Running, every: Path, seconds: float) -> dict[str, float]:
    before = one.processor_seconds()
    load = put_load(one.url, PREDICT, every, KEY, CONNECTIONS, seconds)
    if load.failed:
        raise RuntimeError(f"{load.failed} requests failed")
    return {name: (after - before.get(name, 0.0)) / load.requests for name, after in one.processor_seconds().items()}


def times_table(times: Times) -> str:
    """Processor time of a forecast by layout, in milliseconds."""
    families = ", ".join(
        f"{name.removesuffix('Runner').lower()} {1000 * each:.2f}" for name, each in times.runners.items()
    )
    threads, whole = times.embedded - times.embedded_loop, times.gateway + sum(times.runners.values())
    rows = [
        ("embedded", times.embedded_loop, f"{1000 * threads:.2f} (threads)", times.embedded),
        ("per_model", times.gateway, f"{families} (processes)", whole),
    ]
    return "\n".join(
        ["| layout | gateway's event loop, ms | models, ms | all, ms |", "|---|---:|---:|---:|"]
        + [f"| `{name}` | {1000 * loop:.2f} | {models} | {1000 * every:.2f} |" for name, loop, models, every in rows]
    )


def simulated_tables(times: Times, cores: Sequence[int] = (4, 16, 64), machines: Sequence[int] = (1, 2, 4)) -> str:
    """What so many cores carry, and so many machines."""
    lines = [
        "| cores | gateways | runners | at most, a second | with p99 under 250 ms | p50, ms | p99, ms "
        "| `embedded`, a worker a core, at most |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for count in cores:
        split = best_split(times, count)
        rate, p50, p99 = full_at(times, split, count)
        runners = ", ".join(f"{number} {name.removesuffix('Runner').lower()}" for name, number in split.runners.items())
        numbers = f"{most(times, split, count):,.0f} | {rate:,.0f} | {p50 * 1000:.1f} | {p99 * 1000:.1f}"
        lines.append(
            f"| {count} | {split.gateways} | {runners} | {numbers} | {most_embedded(times, count, count):,.0f} |"
        )
    lines += ["", "| machines of 16 cores, one Redis | at most, a second | bound by |", "|---:|---:|---|"]
    alone = most(times, best_split(times, 16), 16)
    for count in machines:
        limit = most(times, replace(best_split(times, 16), machines=count), 16)
        bound = "Redis" if limit < count * alone - 1 else "the machine" if count == 1 else "the machines"
        lines.append(f"| {count} | {limit:,.0f} | {bound} |")
    return "\n".join(lines)


def main(
    measure: Annotated[bool, typer.Option(help="Measure the service times first.")] = False,
    seconds: float = 10.0,
    symbols: int = 60,
    readme: Annotated[bool, typer.Option(help="Put the tables into docs/capacity.md as well.")] = False,
) -> None:
    if measure:
        STORED.write_text(json.dumps(asdict(measured(seconds, symbols)), indent=1) + "\n")
    times = Times(**json.loads(STORED.read_text()))
    first, second = f"{times_table(times)}\n", f"{simulated_tables(times)}\n"
    (RESULTS / "capacity.md").write_text(f"{first}\n{second}")
    if readme:
        into_page(first, CAPACITY, TIMES)
        into_page(second, CAPACITY, SIMULATED)
    _say(f"{first}\n{second}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
