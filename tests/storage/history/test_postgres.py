"""The server that tests use leaves nothing behind, however it is found at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.storage.history import postgres as module
from tests.storage.history.postgres import Postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not one of pytest's, out of which another run of it would shut the user that the server runs as."""
    with TemporaryDirectory() as name:
        yield Path(name)


def runs(server: Postgres) -> None:
    pass


def hangs(server: Postgres) -> None:
    server.stop_answering()


def was_brought_back(server: Postgres) -> None:
    server.kill()
    server.bring_back()


def started_too_late(server: Postgres) -> None:
    """As where the library has given it up: it comes up later, and nobody has noted its process."""
    folder, noted = server._server.pgdata, server._server._postmaster_info
    was_brought_back(server)
    server._server._postmaster_info = noted
    assert str(folder) in " ".join(server.processes()[0].cmdline())


@pytest.mark.parametrize("state", [runs, hangs, was_brought_back, started_too_late])
def test_nothing_of_it_is_left(folder: Path, state: Callable[[Postgres], None]):
    server = Postgres(folder / "postgres")
    state(server)
    family = server.processes()
    assert len(family) > 3
    server.close()
    assert [it for it in family if it.is_running() and it.status() != psutil.STATUS_ZOMBIE] == []
    assert server.processes() == []


def test_a_start_that_takes_longer_than_the_library_waits_is_waited_for(folder: Path):
    server = Postgres(folder / "postgres")
    server.kill()
    start, tries = server._server.ensure_postgres_running, list[int]()

    def slow_at_first() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        start()

    server._server.ensure_postgres_running = slow_at_first
    server.bring_back()
    server.new_database()
    assert len(tries) == 2
    server.close()


def test_one_that_never_starts_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    monkeypatch.setattr(module.PostgresServer, "ensure_postgres_running", _never)
    with pytest.raises(subprocess.TimeoutExpired):
        Postgres(folder / "postgres")
    assert not any(str(folder) in " ".join(it.info["cmdline"] or []) for it in psutil.process_iter(["cmdline"]))


def _never(server: object) -> None:
    raise subprocess.TimeoutExpired("pg_ctl", 10)
