"""Processes of this machine. One that is killed is replaced, and its task begun again; the others do not notice.

That is why this is not concurrent.futures: its pool loses every task under way, and the processes of one whose owner
was killed wait for ever. Here they end with the pipe that they are told their tasks through.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.base import (
    ATTEMPTS,
    Done,
    Failed,
    Item,
    Make,
    Result,
    Shared,
    attempt,
    in_order,
    lost,
    nobody,
    ready,
)
from engine.mapped import read_mapped, write_mapped

T = TypeVar("T")

_SPAWN = get_context("spawn")  # a fork would copy threads' locks and a parent of gigabytes
# Processes share the cores; a linear algebra library that takes all of them in each only gets in its own way.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class _InFile(Generic[T]):
    path: Path

    def get(self) -> T:
        value: T = read_mapped(self.path)
        return value


class LocalEngine:
    """``processes`` of this machine at most; as many as there are items if that is fewer."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    @contextmanager
    def sharing(self, value: T) -> Iterator[Shared[T]]:
        with tempfile.TemporaryDirectory(prefix="deepfinance-") as folder:
            path = Path(folder) / "shared"
            write_mapped(value, path)
            del value
            yield _InFile(path)

    def run(
        self, make: Make[Item, Result], items: Iterable[tuple[str, Item]], done: Done[Result] = nobody
    ) -> dict[str, Result]:
        crew = _Crew(make, items, done)
        try:
            return crew.work(self._processes)
        finally:
            crew.dismiss()


@dataclass(slots=True, eq=False)
class _Task:
    name: str
    item: Any
    begun: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection


class _Crew:
    """The processes of one run, and what each is doing."""

    def __init__(self, make: Make[Any, Any], items: Iterable[tuple[str, Any]], done: Done[Any]) -> None:
        self._make = make
        self._waiting = (_Task(name, item) for name, item in items)
        self._again: list[_Task] = []
        self._done = done
        self._busy: dict[_Worker, _Task] = {}
        self._names: list[str] = []
        self._outcomes: dict[str, Any] = {}

    def work(self, processes: int) -> dict[str, Any]:
        while len(self._busy) < processes and (task := self._next()) is not None:
            self._give(self._hire(), task)
        while self._busy:
            pipes = {worker.pipe: worker for worker in self._busy}
            for pipe in wait(list(pipes)):
                self._hear(pipes[pipe])  # type: ignore[index]  # what was waited for
        return in_order(self._names, self._outcomes)

    def dismiss(self) -> None:
        """Whatever ends the run ends them too."""
        for worker in self._busy:
            worker.process.terminate()
            worker.process.join()
            worker.pipe.close()

    def _next(self) -> _Task | None:
        if self._again:
            return self._again.pop()
        task = next(self._waiting, None)
        if task is not None:
            self._names.append(task.name)
        return task

    def _hire(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        with _environment(_ONE_THREAD):
            process.start()
        theirs.close()  # so that ours ends when the process does
        try:
            # no argument of it: start() waits until those have been read, for ever where the process dies before
            ours.send(self._make)
        except OSError:  # it has died, which the pipe says when it is read
            pass
        except BaseException:  # it does not pickle
            ours.close()
            process.join()
            raise
        return _Worker(process, ours)

    def _give(self, worker: _Worker, task: _Task) -> None:
        task.begun += 1
        self._busy[worker] = task
        with suppress(OSError):  # where it has died meanwhile, the pipe says so when it is read
            worker.pipe.send(task.item)

    def _hear(self, worker: _Worker) -> None:
        task = self._busy.pop(worker)
        try:
            outcome = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, task)
            return
        self._settle(task, outcome)
        self._give_next(worker)

    def _give_next(self, worker: _Worker) -> None:
        if (task := self._next()) is None:
            worker.pipe.close()  # which ends it
            worker.process.join()
        else:
            self._give(worker, task)

    def _bury(self, worker: _Worker, task: _Task) -> None:
        worker.pipe.close()
        worker.process.join()
        if task.begun < ATTEMPTS:
            self._again.append(task)
        else:
            self._settle(task, lost())
        if (following := self._next()) is not None:
            self._give(self._hire(), following)

    def _settle(self, task: _Task, outcome: Any) -> None:
        self._outcomes[task.name] = outcome
        if not isinstance(outcome, Failed):
            self._done(task.name, outcome)


def _serve(pipe: Connection) -> None:
    """One worker: what makes the work and then an item in, its outcome out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it without a traceback
    work = None
    try:
        make: Make[Any, Any] = pipe.recv()
    except EOFError:
        return
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        work = work or ready(make)
        outcome = attempt(work, item)
        try:
            pipe.send(outcome)
        except BrokenPipeError:  # nobody waits for it any more
            return
        except Exception as error:  # it does not pickle
            pipe.send(Failed(f"its result cannot be sent: {error}"))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """What a process that is started meanwhile finds in its environment, unless something was said there."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
