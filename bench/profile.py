"""What the event loop of a gateway worker is busy with: ``python -m bench.profile`` writes results/profile.txt.

It needs py-spy, which is not among the packages of the benchmark (``pip install py-spy``): a sampler that looks at the
worker from outside, so the worker runs as ever. Where the system lets nobody look at other processes it says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from bench import bodies
from bench.bodies import PREDICT
from bench.load import put_load
from bench.servers import KEY, Running, service
from bench.symbols import write_symbols
from bench.warm import warmed

STORED = Path(__file__).resolve().parent / "results" / "profile.txt"
CONNECTIONS, RATE, SYMBOLS = 64, 400, 60
MARGIN = 1.0
"""Seconds of load before the first sample and after the last."""
MAIN = "MainThread"
LEAST, MOST = 0.012, 0.95
"""Shares of the samples: what is on fewer stacks is not shown, and what is on more began the loop and is not shown."""

HEAD = """\
What the event loop of the gateway is busy with: RUNNER_LAYOUT=embedded, one worker, {connections} connections,
{symbols} symbols, nothing cached, keys, limits, history and metrics on. Made by `python -m bench.profile`, which asked
py-spy for {rate} samples a second for {seconds:g} s; {cores} cores, load average {load:.1f} before, wrk on the same
machine. The main thread alone; a line is the share, in percent, of the {samples:,} samples in which it ran Python
(of {asked:,.0f}) that had a function on the stack. The shares add up within a request: what one costs on its own is
Making.run_asgi, and a pass of the pipeline, which many requests share, is Gathering._pass. The rest is the loop
itself, reading from sockets and settling what the models answered.

"""


def shares(stacks: Iterable[str]) -> tuple[int, dict[str, float]]:
    """Samples of the main thread, and the share of them that had each function on the stack, largest first; from
    lines as py-spy writes them: frames from the outermost on, with semicolons between, and how often it was seen."""
    seen: Counter[str] = Counter()
    samples = 0
    for line in stacks:
        stack, times = line.rsplit(" ", 1)
        thread, *frames = stack.split(";")
        if MAIN in thread:
            samples += int(times)
            seen.update(dict.fromkeys((re.sub(r":\d+\)$", ")", frame) for frame in frames), int(times)))
    found = {frame: times / samples for frame, times in seen.most_common()}
    return samples, {frame: share for frame, share in found.items() if LEAST <= share <= MOST}


def sampled(folder: Path, py_spy: str, seconds: float) -> list[str]:
    """Stacks of a worker under load; raises RuntimeError where py-spy fails."""
    names = write_symbols(folder / "prices", SYMBOLS)
    settings = {"PREDICTION_CACHE_TTL": "0", "RUNNER_LAYOUT": "embedded", "GATEWAY_WORKERS": "1"}
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    one = Running(service("profile", **settings), folder / "profile", shared)
    try:
        warmed([one], bodies.one_each(folder / "first.jsonl", names), _say)
        every = bodies.uniform(folder / "uniform.jsonl", names)
        with ThreadPoolExecutor(1) as aside:
            load = aside.submit(put_load, one.url, PREDICT, every, KEY, CONNECTIONS, seconds + 2 * MARGIN)
            (gateway,) = one.gateways()
            stacks = _recorded(py_spy, gateway.pid, seconds, folder / "stacks")
            load.result()
        return stacks
    finally:
        one.stop()


def _recorded(py_spy: str, pid: int, seconds: float, path: Path) -> list[str]:
    command = [py_spy, "record", "--pid", str(pid), "--duration", f"{seconds:.0f}", "--rate", str(RATE)]
    command += ["--format", "raw", "--output", str(path), "--threads", "--gil"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"py-spy failed: {(done.stderr or done.stdout)[-500:]}")
    return path.read_text().splitlines()


def text(samples: int, found: dict[str, float], seconds: float, load: float) -> str:
    """As it is stored."""
    head = HEAD.format(
        **{"connections": CONNECTIONS, "symbols": SYMBOLS, "rate": RATE, "seconds": seconds, "cores": os.cpu_count()},
        **{"load": load, "samples": samples, "asked": RATE * seconds},
    )
    return head + "".join(f"{100 * share:5.1f} {frame}\n" for frame, share in found.items())


def main(
    seconds: float = 10.0,
    py_spy: Annotated[str, typer.Option(help="Where py-spy is, if not on the path.")] = "py-spy",
) -> None:
    if shutil.which(py_spy) is None:
        raise SystemExit("py-spy is not there: pip install py-spy, or name it with --py-spy")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="deepfinance-profile-") as folder:
        samples, found = shares(sampled(Path(folder), py_spy, seconds))
    STORED.write_text(text(samples, found, seconds, load))
    _say(f"{STORED.read_text()}\nwritten: {STORED}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
