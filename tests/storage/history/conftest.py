"""The same tests on both databases: a SQLite file and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.history.database import Database, database_url
from storage.history.journal import Journal
from storage.history.metrics import history_metrics
from storage.history.writer import Writer
from tests.storage.history.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # not in a folder of pytest's: for root it runs as somebody else, whom another run of pytest would shut out of them
    with TemporaryDirectory() as folder, closing(Postgres(Path(folder))) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(database_url(url, tmp_path))
    yield opened
    await opened.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "history-journal")
    yield made
    made.rotate()


@pytest.fixture
def writer(database: Database, journal: Journal) -> Writer:
    return Writer(database, journal, history_metrics(), interval=0.02)
