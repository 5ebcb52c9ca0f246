"""A runner's side of an orderly stop: it ends when the supervisor says so, and not before (see supervisor.py)."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

STOP_RUNNER: Final = signal.SIGUSR1
SUPERVISOR: Final = "DEEPFINANCE_SUPERVISOR"
"""Environment variable of runners: the process id of their supervisor."""


def leave_stopping_to_supervisor() -> None:
    """In a runner, once its server has set its handlers: end when the supervisor says so. Elsewhere nothing."""
    supervisor = int(os.environ.get(SUPERVISOR) or 0)
    if not supervisor or os.getppid() != supervisor:
        return
    end = signal.getsignal(signal.SIGTERM)
    if not callable(end):
        return

    def stop(_: int, frame: FrameType | None) -> None:
        end(signal.SIGTERM, frame)

    def wait_for_supervisor(number: int, frame: FrameType | None) -> None:
        if os.getppid() != supervisor:  # it died: nobody else will stop us
            end(number, frame)

    signal.signal(STOP_RUNNER, stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, wait_for_supervisor)
