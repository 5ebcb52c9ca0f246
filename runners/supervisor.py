"""How the processes of the service are kept and stopped: BentoML's supervisor, with the order that we need.

Left alone it asks all processes to end at once and takes the runners' sockets away first, so that forecasts under way
lose their models; it looks for dead processes every ten seconds; and in a container it does not replace a dead runner
but ends everything. Here

- the gateway is stopped first, and the runners once it has answered and stored everything;
- a dead process is replaced within CHECK_EVERY seconds, in a container as well.

Runners take SIGTERM and SIGINT from nobody while their supervisor lives, because a process manager may send them to all
processes at once; the supervisor stops them with STOP_RUNNER.

The class is private to BentoML: tests/runners/test_supervisor.py fails where a new version moves what is used here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any, Final

import bentoml._internal.utils.circus as supervision
from circus.util import tornado_sleep
from circus.watcher import Watcher
from tornado import gen

from runners.stopping import STOP_RUNNER, SUPERVISOR

log = logging.getLogger("deepfinance.supervisor")

CHECK_EVERY: Final = 1.0
GATEWAY: Final = "service"
"""What BentoML calls the watcher of the entry service."""
GATEWAY_PATIENCE: Final = 25.0
RUNNER_PATIENCE: Final = 5.0
"""Seconds until a process that does not end is killed."""


class OrderlyArbiter(supervision.Arbiter):  # type: ignore[misc]
    """Stops the gateway before the runners, and replaces what died."""

    _stopping: bool

    def __init__(self, watchers: Iterable[Watcher], **options: Any) -> None:
        super().__init__(watchers, **{**options, "check_delay": CHECK_EVERY})
        for watcher in self.watchers:
            watcher.respawn = True
            watcher.graceful_timeout = GATEWAY_PATIENCE
            if watcher.name != GATEWAY:
                watcher.graceful_timeout = RUNNER_PATIENCE
                watcher.stop_signal = STOP_RUNNER
                watcher.env[SUPERVISOR] = str(os.getpid())

    def manage_watchers(self) -> Any:
        """Look after the processes, unless something else is being done to them right now."""
        return None if self._exclusive_running_command else super().manage_watchers()

    @gen.coroutine
    def stop(self) -> Any:
        """Let the gateway finish, then stop everything."""
        if self._stopping:
            return
        self._stopping = True  # nothing is replaced from now on
        while self._exclusive_running_command:
            yield tornado_sleep(0.05)
        yield self.get_watcher(GATEWAY)._stop(close_output_streams=True)
        yield super().stop()


def supervise_in_order() -> None:
    """Have the server that this process is about to start kept by ``OrderlyArbiter``."""
    supervision.Arbiter = OrderlyArbiter
