"""Where the models run, in a process each, together in one process, or in the gateway's own, and how many workers the
gateway has.

The measurements behind the rule are in docs/capacity.md.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Name = Literal["per_model", "combined", "embedded"]

MOST_CORES_EMBEDDED: Final = 4
"""Up to here one process with its threads answers more than a gateway that hands every row on to others."""

CORES_A_WORKER: Final[dict[Name, float]] = {"embedded": 1.0, "combined": 2.0, "per_model": 2.0}
"""What a gateway worker keeps busy, in cores: its event loop, and the models in its threads or beside it."""

CGROUPS: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Layout:
    """``reason`` is for whoever runs the service; ``workers`` are those of the gateway."""

    name: Name
    reason: str
    workers: int = 1


USUAL: Final = Layout("per_model", "it is the usual one")


def chosen_layout(asked: Literal["auto"] | Name, cores: float) -> Layout:
    """The layout asked for; for ``auto`` the one that answers most requests on so many cores."""
    if asked != "auto":
        return Layout(asked, f"RUNNER_LAYOUT is {asked}")
    if cores <= MOST_CORES_EMBEDDED:
        return Layout("embedded", f"on {cores:g} cores it answers most: no call leaves the gateway")
    return Layout("per_model", f"{cores:g} cores are more than one process can use")


def chosen_workers(asked: int | Literal["auto"], layout: Name, cores: float) -> int:
    """Gateway workers asked for; for ``auto`` as many as so many cores keep busy."""
    return asked if asked != "auto" else max(1, int(cores / CORES_A_WORKER[layout]))


def cores_at_hand() -> float:
    """Processor cores that this process may use: those that it is bound to, or its control group's share of time
    where that is less."""
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # a system without
        bound = os.cpu_count() or 1
    return min(float(bound), _quota(_own_group(), CGROUPS))


def _own_group() -> str:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")


def _quota(group: str, root: Path) -> float:
    """Cores' worth of time that the group and those above it are granted (cgroup v2), infinite where not limited."""
    folder, granted = root / group, math.inf
    while folder.is_relative_to(root):
        try:
            share, period = (folder / "cpu.max").read_text().split()
            granted = min(granted, int(share) / int(period))
        except (OSError, ValueError):  # no such file, or "max"
            pass
        folder = folder.parent
    return granted
