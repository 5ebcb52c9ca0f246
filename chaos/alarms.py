"""`python -m chaos.alarms [--times 15]`: does each alert fire when its condition is true? Two replicas run, and a real
Prometheus with the rules of deploy/prometheus in which all times are so many times shorter; each condition is made true
on the services themselves. Prints what fired after how long; the exit status is 1 if an alert did not, or did before.
Needs Debian's package ``prometheus``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import yaml

from chaos.conditions import AT_ONCE, LAST, Condition, Stand, stand, use
from chaos.prometheus import RULES, watching

QUIET = 400.0
"""Seconds for which nothing is wrong at first, in the rules' own pace: longer than most rates look back."""


class Judge(Protocol):
    """Knows which alerts fire."""

    def firing(self) -> Mapping[str, str]:
        """The summary of each, by name."""
        ...


@dataclass(frozen=True)
class Fired:
    """``after``: seconds from the moment at which the condition was made true, infinite where it did not fire."""

    alert: str
    what: str
    after: float
    summary: str


async def calm(judge: Judge, seconds: float) -> list[str]:
    """The alerts that fire although nothing is wrong."""
    await asyncio.sleep(seconds)
    return sorted(await asyncio.to_thread(judge.firing))


async def try_all(it: Stand, judge: Judge, patience: float, wanted: Collection[str]) -> list[Fired]:
    """Every condition of an alert that is wanted; ``patience`` is how many seconds are waited for those of one."""
    rows = [_one_by_one(row, it, judge, patience, wanted) for row in (*AT_ONCE, (LAST,))]
    fired = [*await asyncio.gather(*rows[:-1]), await rows[-1]]
    return [each for row in fired for each in row]


async def _one_by_one(
    row: Sequence[Condition], it: Stand, judge: Judge, patience: float, wanted: Collection[str]
) -> list[Fired]:
    tried = [await _try(each, it, judge, patience) for each in row if set(each.alerts) & set(wanted)]
    return [fired for condition in tried for fired in condition]


async def _try(condition: Condition, it: Stand, judge: Judge, patience: float) -> list[Fired]:
    before = await asyncio.to_thread(judge.firing)
    making = asyncio.create_task(condition.make(it))
    began, seen = time.monotonic(), dict[str, tuple[float, str]]()
    while len(seen) < len(condition.alerts) and time.monotonic() < began + patience and not making.done():
        await asyncio.sleep(0.25)
        firing = await asyncio.to_thread(judge.firing)
        for alert in condition.alerts:
            if alert in firing and alert not in before:
                seen.setdefault(alert, (time.monotonic() - began, firing[alert]))
    making.cancel()
    (ended,) = await asyncio.gather(making, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        raise RuntimeError(f"{condition.what}: it could not be made true") from ended
    never = (float("inf"), "it fired before" if any(each in before for each in condition.alerts) else "")
    return [Fired(alert, condition.what, *seen.get(alert, never)) for alert in condition.alerts]


async def observe(
    it: Stand, judge: Judge, times: float, patience: float, wanted: Collection[str] | None = None
) -> tuple[list[str], list[Fired]]:
    """What fires while nothing is wrong, and then everything that should, while clients ask the first replica."""
    using = asyncio.create_task(use(it))
    try:
        quiet = await calm(judge, QUIET / times)
        return quiet, await try_all(it, judge, patience, alerts() if wanted is None else wanted)
    finally:
        using.cancel()


def alerts() -> list[str]:
    """The names of all, in the order of the rules."""
    return [it["alert"] for group in _groups() for it in group["rules"] if "alert" in it]


def table(fired: Sequence[Fired], times: float) -> str:
    """In Markdown."""
    waits = {it["alert"]: it.get("for", "") for group in _groups() for it in group["rules"] if "alert" in it}
    lines = ["| alert | made true by | for | fired after | as if | it said |", "|---|---|---|---|---|---|"]
    for it in sorted(fired, key=lambda each: list(waits).index(each.alert)):
        after = f"{it.after:.0f} s | {it.after * times / 60:.1f} min" if it.after < float("inf") else "never | "
        lines.append(f"| `{it.alert}` | {it.what} | {waits[it.alert]} | {after} | {it.summary} |")
    return "\n".join(lines)


def faults(quiet: Sequence[str], fired: Sequence[Fired]) -> list[str]:
    """In words; empty if all is as it should be."""
    return [
        *(f"{alert} fired while nothing was wrong" for alert in quiet),
        *(f"{it.alert} did not fire although {it.what} {it.summary}" for it in fired if it.after == float("inf")),
        *(f"nothing makes {alert} true" for alert in sorted(set(alerts()) - {it.alert for it in fired})),
    ]


def _groups() -> Sequence[Mapping[str, Sequence[Mapping[str, str]]]]:
    groups: Sequence[Mapping[str, Sequence[Mapping[str, str]]]] = yaml.safe_load(RULES.read_text())["groups"]
    return groups


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=float, default=15.0, help="how many times faster than the rules say (15)")
    asked = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        stand(Path(folder)) as it,
        watching(it.servers, Path(folder) / "prometheus", times=asked.times) as prometheus,
    ):
        quiet, fired = asyncio.run(observe(it, prometheus, asked.times, patience=90 * 60 / asked.times))
    wrong = faults(quiet, fired)
    sys.stdout.write("\n".join([table(fired, asked.times), *(f"WRONG: {each}" for each in wrong)]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
