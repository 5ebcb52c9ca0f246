"""Heavy work in one process of its own, so that what it imports (arch, pandas, skfolio, QuantLib, matplotlib) never
enters the gateway, and so that a library that hangs or crashes takes no request but its own with it.

The process starts at the first call and ends after some idle time. It inherits no socket, and ends by itself when
its standard input closes: whatever way the gateway goes, it is not left behind. The protocol is a length and a
pickle, both ways, between two processes of the same code and user.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar, TypeVarTuple

from errors import Timeout, Unavailable

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

IDLE_SECONDS = 120.0
MOST_WAITING = 32
BEGINNING = 60.0
"""Seconds that a new process has for its first call after its caller has given up."""
GARBAGE = 100_000
"""New objects between two searches for garbage, in the process: to look through what imports make, which stays, took an
eighth of the time that they take."""

_COMMAND = (sys.executable, str(Path(__file__).resolve()))
_LENGTH = struct.Struct(">Q")


class ProcessDied(Exception):
    """The process ended before it answered."""


class Offload:
    """Belongs to one event loop. Calls are done one after the other, in the order in which they came."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS, most_waiting: int = MOST_WAITING) -> None:
        self._idle_seconds = idle_seconds
        self._most_waiting = most_waiting
        self._turn = asyncio.Lock()
        self._callers = 0
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process that is up now, if there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self, function: Callable[[*Ts], R], *args: *Ts, timeout: float) -> R:  # noqa: ASYNC109
        """``function(*args)`` in the other process; ``function`` is one of a module, and all must pickle.

        Raises what the function raises; Unavailable where too many calls wait or the process died twice; Timeout
        after ``timeout`` seconds, waiting and start included, whereupon a call that was running is killed. The first
        call of a process has BEGINNING more: most of it are imports, which would begin anew each time.
        """
        if self._closed or self._callers > self._most_waiting:
            raise Unavailable("too much is being computed at the moment; ask again in a moment")
        call = pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL)
        self._callers += 1
        try:
            async with asyncio.timeout(timeout), self._turn:
                succeeded, value = await self._twice(call)
        except TimeoutError:
            raise Timeout(f"the computation took longer than {timeout:g} seconds") from None
        finally:
            self._callers -= 1
        if not succeeded:
            raise value
        return value

    async def close(self) -> None:
        """End the process; calls that run or wait get Unavailable."""
        self._closed = True
        await self._end()
        if self._beginning:
            await self._beginning

    async def _twice(self, call: bytes) -> tuple[bool, Any]:
        for _ in range(2):
            try:
                return await self._ask(call)
            except ProcessDied:
                if self._closed:
                    break
        raise Unavailable("the process that computes this died, twice; ask again in a moment")

    async def _ask(self, call: bytes) -> tuple[bool, Any]:
        """One call to the process, which is ended where the answer is not waited for: it would be the next one's."""
        if self._beginning:
            await asyncio.shield(self._beginning)
        if self._idle:
            self._idle.cancel()
        is_new = self.pid is None
        answering = asyncio.ensure_future(self._exchanged(call))
        try:
            answer = await asyncio.shield(answering)
        except asyncio.CancelledError:
            if is_new and not self._closed:
                self._beginning = asyncio.create_task(self._begin(answering))
            else:
                answering.cancel()
                await asyncio.shield(self._end())
            raise
        except BaseException:
            await asyncio.shield(self._end())
            raise
        self._rest()
        return pickle.loads(answer)

    async def _begin(self, answering: asyncio.Future[bytes]) -> None:
        """Let the process come to an answer that nobody waits for; end it where it does not."""
        try:
            await asyncio.wait_for(answering, BEGINNING)
            self._rest()
        except (TimeoutError, ProcessDied, OSError):
            await self._end()
        finally:
            self._beginning = None

    def _rest(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_if_idle)

    async def _exchanged(self, call: bytes) -> bytes:
        return await _exchange(await self._started(), call)

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=PIPE, stdout=PIPE, close_fds=True)
        return self._process

    def _end_if_idle(self) -> None:
        if not self._turn.locked() and self._process and self._process.stdin:
            self._process.stdin.close()
            self._process = None

    async def _end(self) -> None:
        if self._idle:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _exchange(process: Process, call: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(_LENGTH.pack(len(call)) + call)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ProcessDied from error


def _serve(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """The other side: calls come in and are answered until the input ends, whatever runs then."""
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, calls), daemon=True).start()
    while True:
        answer = _answer(calls.get())
        outgoing.write(_LENGTH.pack(len(answer)) + answer)
        outgoing.flush()


def _listen(incoming: IO[bytes], calls: queue.SimpleQueue[bytes]) -> None:
    while len(head := incoming.read(_LENGTH.size)) == _LENGTH.size:
        calls.put(incoming.read(_LENGTH.unpack(head)[0]))
    os._exit(0)


def _answer(call: bytes) -> bytes:
    """(True, value), or (False, exception) with the traceback as a note."""
    try:
        function, args = pickle.loads(call)
        return pickle.dumps((True, function(*args)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        error.add_note("in the other process:\n" + traceback.format_exc())
        return _as_failure(error)


def _as_failure(error: Exception) -> bytes:
    """An exception that cannot travel becomes a RuntimeError with its text."""
    try:
        failure = pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
        pickle.loads(failure)
    except Exception:
        return pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))
    return failure


def _main() -> None:
    """Keep the pipe to ourselves, so that a library that prints does not write into it, and let the gateway go first
    where both want the processor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    gc.set_threshold(GARBAGE)
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    _main()
