"""A real PostgreSQL of the tests' own, that can be killed and brought back."""

from __future__ import annotations

import signal
import warnings
from contextlib import suppress
from pathlib import Path

import psutil

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of a folder that the machine does not have
    import pgserver
    from pgserver import PostgresServer


class Postgres:
    """A server with its data in ``folder``, reached through a socket there."""

    def __init__(self, folder: Path) -> None:
        self._server: PostgresServer = pgserver.get_server(folder)
        self._names = 0

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
        """Start it on what it left, recovering as after a crash."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.ensure_postgres_running()

    def stop_answering(self) -> None:
        for process in [self.process, *self.process.children(recursive=True)]:
            process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        for process in [self.process, *self.process.children(recursive=True)]:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Without a last checkpoint: nobody will read it again."""
        with suppress(psutil.NoSuchProcess):
            process = self.process
            process.send_signal(signal.SIGQUIT)
            psutil.wait_procs([process], timeout=10)
        self._server.cleanup()


__all__ = ["Postgres"]
