"""From the signal to stop to the last answer.

    signal -> not ready, answers close their connections -> SECONDS_OF_NOTICE -> no new connections
           -> everything accepted is answered -> the shutdown hooks: history is flushed, runners are let go

During the notice requests are answered as ever: load balancers see that /readyz says no, and clients that keep
connections open get an answer and `Connection: close` instead of a connection that breaks under their next request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any, Final

log = logging.getLogger("deepfinance.service")

SECONDS_OF_NOTICE: Final = 1.0
A_MOMENT: Final = 0.05
LONGEST_ANSWER: Final = 15
"""Seconds after the notice until answers under way are given up. A whole number, as uvicorn takes it."""


class Draining:
    """Whether this process is about to end. One a process, as signals are."""

    def __init__(self) -> None:
        self.active = False
        self._on_begin: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Future[Any]] = set()

    def on_begin(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call back when draining begins: who holds connections open without end tells their callers now."""
        self._on_begin.append(callback)

    def take_over(self) -> None:
        """Put ourselves before uvicorn's handlers of SIGTERM and SIGINT, which begin with closing the door.

        Does nothing in a process that no server of ours runs, such as a test's.
        """
        server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if not hasattr(server, "server_state") or not hasattr(server, "handle_exit"):
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: FrameType | None) -> None:
            if not self.active:
                self.active = True
                loop.call_soon_threadsafe(self._begin, server, number)
            elif number == signal.SIGINT:  # Ctrl-C again: no more patience
                server.handle_exit(number, frame)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, begin)

    def _begin(self, server: Any, number: int) -> None:
        log.info("asked to stop, finishing what was accepted")
        for callback in self._on_begin:
            self._keep(asyncio.ensure_future(callback()))
        self._keep(asyncio.ensure_future(self._give_notice(server, number)))

    async def _give_notice(self, server: Any, number: int) -> None:
        for _ in range(round(SECONDS_OF_NOTICE / A_MOMENT)):
            if server.server_state.connections:
                await asyncio.sleep(A_MOMENT)
        await _stop_listening(server)
        await asyncio.sleep(A_MOMENT)  # what was sent over new connections comes in
        server.config.timeout_graceful_shutdown = LONGEST_ANSWER
        server.handle_exit(number, None)

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _stop_listening(server: Any) -> None:
    """For every process that holds the socket: who connects from now on is refused at once, not left waiting."""
    for listening in [each for one in server.servers for each in one.sockets]:
        with socket.socket(fileno=os.dup(listening.fileno())) as ours:
            arrived = _arrived(ours)
            with contextlib.suppress(OSError):  # another worker was first
                ours.shutdown(socket.SHUT_RDWR)
        for each in arrived:
            await asyncio.get_running_loop().connect_accepted_socket(_protocol_of(server), each)


def _arrived(listening: socket.socket) -> list[socket.socket]:
    """Connections that nobody took yet: they would be cut off with the socket."""
    listening.setblocking(False)
    arrived = []
    with contextlib.suppress(OSError):
        while True:
            arrived.append(listening.accept()[0])
    return arrived


def _protocol_of(server: Any) -> Callable[[], asyncio.Protocol]:
    """What uvicorn makes for each connection."""
    make: Any = server.config.http_protocol_class
    return partial(make, config=server.config, server_state=server.server_state, app_state=server.lifespan.state)


DRAINING: Final = Draining()
