"""``deepfinance batch`` against a script that posts the same batches and throws the answers away.

    python -m bench.client                     # 10,000 rows, five rounds, into bench/results/client.json

Both take turns with rows of their own, all different, so that nothing is answered from memory (``computed``); and once
more with rows that were asked before (``kept``), when the service has least to do and the client weighs most. Times are
those of asking, and of the whole process: the start of Python, the reading and the writing of files included. ``cpu``
is the processor time of that process, which tells more than either where the machine has other work.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.servers import KEY, ROOT, Running, service
from market.bundled import BundledSource

RESULTS = Path(__file__).parent / "results" / "client.json"
BUNDLED = BundledSource().symbols()
CHUNK, PARALLEL = 250, 4
"""Those of the command."""

RAW = """
import asyncio, csv, sys, time
import httpx

url, key, file, chunk, parallel = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
with open(file) as lines:
    rows = [
        {"symbol": it["symbol"], "horizon": int(it["horizon"]), "confidence_level": float(it["confidence_level"])}
        for it in csv.DictReader(lines)
    ]

async def main():
    starts = iter(range(0, len(rows), chunk))
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": key}, timeout=120) as client:
        async def work():
            for start in starts:
                body = {"requests": rows[start : start + chunk]}
                (await client.post("/api/v1/predict/batch", json=body)).raise_for_status()
        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(parallel)))
        print(f"{time.perf_counter() - began:.3f} s")

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of one run."""

    asking: float
    whole: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """Medians in seconds; the ratios are medians of the rounds' own ratios, client over raw."""

    rows: int
    rounds: int
    raw: Turn
    client: Turn
    ratio: Turn


def write_rows(path: Path, count: int, level: float) -> None:
    """``count`` different rows: symbols, horizons and levels close above ``level``, which nobody else has."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["symbol", "horizon", "confidence_level"])
        for at in range(count):
            symbol, rest = BUNDLED[at % len(BUNDLED)], at // len(BUNDLED)
            lines.writerow([symbol, rest % 90 + 1, round(level + rest // 90 * 0.0001, 4)])


def raw(url: str, rows: Path) -> Turn:
    """The script."""
    return _timed([sys.executable, "-c", RAW, url, KEY, str(rows), str(CHUNK), str(PARALLEL)])


def client(url: str, rows: Path) -> Turn:
    """The command, which writes a Parquet file."""
    out = rows.with_suffix(".parquet")
    line = [sys.executable, "-m", "deepfinance_client.cli.app", "batch", str(rows), "--out", str(out), "--overwrite"]
    return _timed([*line, "--url", url])


def _timed(command: Sequence[str]) -> Turn:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client" / "src"), "DEEPFINANCE_API_KEY": KEY}
    began, used = time.perf_counter(), _cpu()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - began
    said = re.search(r"([0-9.]+) s$", (done.stdout + done.stderr).strip())
    if done.returncode or said is None or "errors" in done.stderr:
        raise SystemExit(f"it did not answer every row:\n{done.stdout}{done.stderr}")
    return Turn(float(said[1]), whole, _cpu() - used)


def _cpu() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(url: str, folder: Path, rows: int, rounds: int, kept: bool) -> Result:
    """Raw and client in turns, who begins changing with the round."""
    turns: dict[str, list[Turn]] = {"raw": [], "client": []}
    for number in range(rounds):
        order = [("raw", raw), ("client", client)]
        for place, (name, run) in enumerate(order if number % 2 else reversed(order)):
            file = folder / "rows.csv"
            write_rows(file, rows, 0.6 if kept else 0.5 + 0.01 * (2 * number + place) / 2)
            turns[name].append(run(url, file))
            took = turns[name][-1]
            sys.stdout.write(f"{name:6} {took.asking:6.2f} s asking {took.whole:6.2f} s in all {took.cpu:5.2f} s cpu\n")
    return Result(rows, rounds, _median(turns["raw"]), _median(turns["client"]), _ratio(turns["client"], turns["raw"]))


def _median(turns: Sequence[Turn]) -> Turn:
    names = ("asking", "whole", "cpu")
    return Turn(*(round(statistics.median(getattr(it, name) for it in turns), 3) for name in names))


def _ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> Turn:
    pairs = zip(ours, theirs, strict=True)
    return _median([Turn(a.asking / b.asking, a.whole / b.whole, a.cpu / b.cpu) for a, b in pairs])


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        running = Running(service("DeepFinance"), Path(scratch, "service"), {"DATA_PROVIDERS": "bundled"})
        try:
            compare(running.url, Path(scratch), asked.rows, 1, kept=True)  # warm, and fills the memory
            results = {
                "kept": asdict(compare(running.url, Path(scratch), asked.rows, asked.rounds, kept=True)),
                "computed": asdict(compare(running.url, Path(scratch), asked.rows, asked.rounds, kept=False)),
            }
        finally:
            running.stop()
    results["machine"] = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    text = json.dumps(results, indent=2) + "\n"
    asked.json.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
