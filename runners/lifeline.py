"""Notices at once when the process behind a runner dies, by its file descriptor (pidfd) in the event loop.

The supervisor holds a runner's socket open, so a call to a dead runner is not refused but waits. Where runners are no
processes of this machine, or the system has no pidfd, nobody is told and calls time out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection
from typing import Final

import psutil

log = logging.getLogger("deepfinance.runners")

LOOK_EVERY: Final = 0.5
"""Seconds between looks for processes while one is missing."""
REST: Final = 10.0
"""Seconds between looks while none is."""

Processes = Callable[[], dict[int, str]]
"""Process ids and the runner service that each serves."""


class Lifelines:
    """Belongs to one event loop. ``on_death`` is told the service whose last process has died."""

    def __init__(
        self, services: Collection[str], on_death: Callable[[str], None], processes: Processes | None = None
    ) -> None:
        self._services = services
        self._on_death = on_death
        self._processes = processes or sibling_processes
        self._alive: dict[int, tuple[str, int]] = {}
        self._missing = asyncio.Event()

    async def watch(self) -> None:
        """Until cancelled."""
        try:
            while True:
                for pid, service in (await asyncio.to_thread(self._processes)).items():
                    if service in self._services and pid not in self._alive:
                        self._hold(pid, service)
                self._missing.clear()
                complete = {service for service, _ in self._alive.values()} == set(self._services)
                if complete:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._missing.wait(), REST)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for pid in list(self._alive):
                self._let_go(pid)

    def _hold(self, pid: int, service: str) -> None:
        with contextlib.suppress(OSError, AttributeError):  # gone again, or no such call on this system
            descriptor = os.pidfd_open(pid)
            self._alive[pid] = service, descriptor
            asyncio.get_running_loop().add_reader(descriptor, self._died, pid)

    def _died(self, pid: int) -> None:
        service = self._let_go(pid)
        self._missing.set()
        log.warning("process %d of %s has died", pid, service)
        if service not in {each for each, _ in self._alive.values()}:
            self._on_death(service)

    def _let_go(self, pid: int) -> str:
        service, descriptor = self._alive.pop(pid)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        return service


def sibling_processes() -> dict[int, str]:
    """The processes that our supervisor started for runner services, living ones alone."""
    found = {}
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(os.getppid()).children():
            with contextlib.suppress(psutil.Error, ValueError, IndexError):
                if process.status() != psutil.STATUS_ZOMBIE:
                    command = process.cmdline()
                    found[process.pid] = command[command.index("--service-name") + 1]
    return found
