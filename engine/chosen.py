"""The engine that ENGINE and ENGINE_PROCESSES name. Read by commands, nobody else."""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.base import Engine
from engine.local import LocalEngine
from engine.serial import SerialEngine
from errors import ConfigurationError


def chosen_engine(environment: Mapping[str, str] = os.environ) -> Engine:
    """``local`` processes, one a core that this process may use unless ENGINE_PROCESSES says how many (0: none but
    this); or ``ray``. Raises ConfigurationError for anything else, and where Ray cannot be had."""
    match environment.get("ENGINE") or "local":
        case "local":
            processes = _processes(environment.get("ENGINE_PROCESSES"))
            return LocalEngine(processes) if processes else SerialEngine()
        case "ray":
            from engine.on_ray import RayEngine  # for those who want it

            return RayEngine()
        case other:
            raise ConfigurationError(f"ENGINE: expected local or ray, got {other!r}")


def _processes(said: str | None) -> int:
    if not said:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not said.isdecimal():
        raise ConfigurationError(f"ENGINE_PROCESSES: expected a whole number, 0 or more, got {said!r}")
    return int(said)
