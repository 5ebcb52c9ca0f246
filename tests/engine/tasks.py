"""Tasks for the engines, in a module that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from contracts import Floats
from engine.base import Shared


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers; fails on 13."""

    def __call__(self) -> Callable[[int], int]:
        return self.double

    def double(self, number: int) -> int:
        if number == 13:
            raise ValueError("thirteen is not doubled")
        return 2 * number


@dataclass(frozen=True)
class Deadly:
    """The process of a task that is in ``fatal`` is killed, as often as that says; every beginning leaves a file."""

    folder: Path
    fatal: dict[str, int]

    def __call__(self) -> Callable[[str], str]:
        return self.survive

    def survive(self, name: str) -> str:
        begun = len(list(self.folder.glob(f"{name}-*")))
        (self.folder / f"{name}-{begun}").write_text(str(os.getpid()))
        if begun < self.fatal.get(name, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return name.upper()


@dataclass(frozen=True)
class Summing:
    """Sums slices of a shared array. Every beginning leaves a file."""

    shared: Shared[Floats]
    folder: Path

    def __call__(self) -> Callable[[slice], float]:
        numbers = self.shared.get()
        return lambda part: self.add(numbers, part)

    def add(self, numbers: Floats, part: slice) -> float:
        (self.folder / f"{part.start}-{os.getpid()}").touch()
        self.wait()
        return float(np.sqrt(numbers[part]).sum())

    def wait(self) -> None:
        """Nothing to wait for."""


@dataclass(frozen=True)
class Held(Summing):
    """None ends before there is a file `released` beside the folder."""

    def wait(self) -> None:
        _until((self.folder.parent / "released").exists)


@dataclass(frozen=True)
class OnDoomedNode(Summing):
    """The first task that runs under ``raylet`` kills that and itself; the others wait until then."""

    raylet: int = 0

    def wait(self) -> None:
        fallen = self.folder / "fallen"
        if self.raylet in [parent.pid for parent in psutil.Process().parents()]:
            fallen.touch()
            for process in (self.raylet, os.getpid()):
                os.kill(process, signal.SIGKILL)
        _until(fallen.exists)


def _until(check: Callable[[], bool], patience: float = 120) -> None:
    """Or no longer than that."""
    deadline = time.monotonic() + patience
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)


class NotMade:
    def __call__(self) -> Callable[[int], int]:
        raise RuntimeError("no such model")


class NotSent:
    """Its results do not pickle."""

    def __call__(self) -> Callable[[int], object]:
        return lambda number: lambda: number


class Forgetful:
    """Counts what this very process has made."""

    made = 0

    def __call__(self) -> Callable[[int], tuple[int, int]]:
        type(self).made += 1
        return lambda number: (os.getpid(), type(self).made)


class DeadOnArrival:
    """Ends the process that it is sent to before that has read all of it: more than a pipe holds comes after."""

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, ([_End(), b"x" * 10_000_000],)

    def __call__(self) -> Callable[[int], int]:
        raise AssertionError("it does not arrive")


class _End:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)
