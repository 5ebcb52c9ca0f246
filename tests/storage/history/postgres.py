"""A real PostgreSQL of the tests' own, that can be killed and brought back."""

from __future__ import annotations

import signal
import subprocess
import time
import warnings
from contextlib import suppress
from pathlib import Path

import psutil

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of a folder that the machine does not have
    import pgserver
    from pgserver import PostgresServer

PATIENCE = 240.0
"""Seconds that a start may take. The library waits for ten, which a busy or cold disk needs longer than."""
NOT_YET = (subprocess.TimeoutExpired, AssertionError)
"""What it raises of a server that is still starting."""


class Postgres:
    """A server with its data in ``folder``, reached through a socket there."""

    def __init__(self, folder: Path) -> None:
        with suppress(*NOT_YET):
            pgserver.get_server(folder)
        self._server: PostgresServer = pgserver.get_server(folder)  # the same one, whether it has started or not
        self._names = 0
        try:
            self.bring_back()
        except BaseException:
            self.close()
            raise

    def new_database(self) -> str:
        """The address of an empty one."""
        self._names += 1
        name = f"history_{self._names}"
        self._server.psql(f"CREATE DATABASE {name};")
        return str(self._server.get_uri(name))

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._server.get_pid())

    def kill(self) -> None:
        """As a crash would: every process of it at once."""
        family = [self.process, *self.process.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)

    def bring_back(self) -> None:
        """Start it on what it left, recovering as after a crash; nothing where it runs."""
        end = time.monotonic() + PATIENCE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while True:
                try:
                    return self._server.ensure_postgres_running()
                except NOT_YET:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)

    def stop_answering(self) -> None:
        for process in [self.process, *self.process.children(recursive=True)]:
            process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        for process in [self.process, *self.process.children(recursive=True)]:
            process.send_signal(signal.SIGCONT)

    def processes(self) -> list[psutil.Process]:
        """All that serve the folder, those of a start that was given up among them."""
        folder = str(self._server.pgdata)
        first = [it for it in psutil.process_iter(["name", "cmdline"]) if _serves(it, folder)]
        return [*first, *(child for it in first for child in it.children(recursive=True))]

    def close(self) -> None:
        """Without a last checkpoint: nobody will read it again."""
        family = self.processes()
        for number in (signal.SIGCONT, signal.SIGQUIT):  # one that is halted hears nothing else
            _signal(family, number)
        _, left = psutil.wait_procs(family, timeout=10)
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=10)
        self._server.cleanup()


def _serves(process: psutil.Process, folder: str) -> bool:
    command: list[str] = process.info["cmdline"] or []
    return process.info["name"] == "postgres" and "-D" in command and folder in command


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


__all__ = ["Postgres"]
