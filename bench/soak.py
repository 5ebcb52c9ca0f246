"""Half an hour of mixed load, and what becomes of memory: ``make bench ARGS="--soak 30"``.

Shared pages are divided among all processes that map them: another service from the same packages that ends meanwhile
makes this one look larger.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import bodies
from bench.bodies import PREDICT
from bench.load import put_load
from bench.servers import KEY, Running, service
from bench.symbols import write_symbols
from bench.warm import warmed
from bench.workloads import Say

CONNECTIONS = (1, 16, 64)
TURN = 10.0
"""Seconds of each number of connections; then memory is looked at."""
COMES_AND_GOES = "offload.py"
"""The process for heavy work ends when it has been idle for a while, and takes what it had with it."""
LATE_MINUTES = 20.0
MOST_GROWTH = 1.0
"""MB a minute over the last LATE_MINUTES."""


@dataclass(frozen=True, slots=True)
class Soak:
    """What was seen at ``minutes`` since the load began: ``pss_mb`` of all processes, and ``lasting_mb`` of those that
    do not come and go, by which growth is judged."""

    minutes: tuple[float, ...]
    pss_mb: tuple[float, ...]
    lasting_mb: tuple[float, ...]
    requests: int
    failed: int

    @property
    def late(self) -> list[tuple[float, float]]:
        """The last twenty minutes; of a shorter one the last two thirds."""
        whole = self.minutes[-1]
        since = max(whole - LATE_MINUTES, whole / 3)
        return [(at, size) for at, size in zip(self.minutes, self.lasting_mb, strict=True) if at >= since]

    @property
    def slope(self) -> float:
        """MB a minute, by least squares."""
        return float(statistics.linear_regression(*zip(*self.late, strict=True)).slope)

    @property
    def passes(self) -> bool:
        return self.slope < MOST_GROWTH and not self.failed

    def verdict(self) -> str:
        over = self.late[-1][0] - self.late[0][0]
        return (
            f"{'passed' if self.passes else 'not passed'}: {self.slope:+.2f} MB a minute over the last "
            f"{over:.0f} minutes (allowed: under {MOST_GROWTH:g}), at most {max(self.pss_mb):.0f} MB, "
            f"{self.requests} requests, {self.failed} failed"
        )


def soaked(folder: Path, minutes: float, count: int, results: Path, say: Say) -> int:
    """Put the load on, write soak.json and soak.svg, and say how it went; 0 where memory did not grow and nothing
    failed."""
    names = write_symbols(folder / "prices", count)
    shared = {"DATA_PROVIDERS": "files", "DATA_DIR": str(folder / "prices")}
    ours = Running(service("deepfinance", PREDICTION_CACHE_TTL="30"), folder / "soak", shared)
    try:
        warmed([ours], bodies.one_each(folder / "first.jsonl", names), say)
        seen = watched(ours, bodies.mixed(folder / "mixed.jsonl", names), minutes, say)
    finally:
        ours.stop()
    about = {"late_slope_mb_a_minute": seen.slope, "passed": seen.passes, **asdict(seen)}
    (results / "soak.json").write_text(json.dumps(about, indent=1) + "\n")
    chart(seen, results / "soak.svg")
    say(f"{seen.verdict()}; written: {results / 'soak'}.json and .svg")
    return 0 if seen.passes else 1


def watched(one: Running, asked: Path, minutes: float, say: Say) -> Soak:
    """Load in turns of few, some and many connections, until the time is over."""
    times, sizes, lasting = [0.0], [one.pss()], [one.pss(COMES_AND_GOES)]
    requests, failed, started = 0, 0, time.monotonic()
    while time.monotonic() - started < 60 * minutes:
        turn = len(sizes)
        load = put_load(one.url, PREDICT, asked, KEY, CONNECTIONS[turn % len(CONNECTIONS)], TURN, seed=turn)
        requests, failed = requests + load.requests, failed + load.failed
        times.append((time.monotonic() - started) / 60)
        sizes.append(one.pss())
        lasting.append(one.pss(COMES_AND_GOES))
        shown = f"{sizes[-1]:.0f} MB, of which lasting {lasting[-1]:.1f}"
        say(f"minute {times[-1]:4.1f}  {shown}; {load.throughput:.0f} a second, {load.failed} failed")
    return Soak(tuple(times), tuple(sizes), tuple(lasting), requests, failed)


def chart(seen: Soak, path: Path) -> None:
    """Memory by minute, with the slope that counts."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.5), layout="constrained")
    axis.plot(seen.minutes, seen.pss_mb, color="#aaaaaa", linewidth=1, label="all, that for heavy work included")
    axis.plot(seen.minutes, seen.lasting_mb, color="#1f5fbf", linewidth=1.5, label="processes that stay")
    times, sizes = zip(*seen.late, strict=True)
    line: Sequence[float] = statistics.linear_regression(times, sizes)
    axis.plot(times, [line[0] * at + line[1] for at in times], color="#c03020", label=f"{seen.slope:+.2f} MB a minute")
    axis.set(xlabel="minutes of mixed load", ylabel="PSS, MB", ylim=(0, 1.15 * max(seen.pss_mb)))
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)
