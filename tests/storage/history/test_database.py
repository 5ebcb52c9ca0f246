"""Addresses, and tables that are brought up to date once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from errors import ConfigurationError, HistoryUnavailable
from storage.history.database import Database, database_url
from storage.history.tables import METADATA

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("configured", "driver"),
    [
        (None, "sqlite+aiosqlite"),
        ("sqlite:///relative.db", "sqlite+aiosqlite"),
        ("sqlite:////absolute/history.db", "sqlite+aiosqlite"),
        ("postgres://me:secret@db.example:5433/prices", "postgresql+asyncpg"),
        ("postgresql://me:secret@db.example/prices", "postgresql+asyncpg"),
        ("postgresql+asyncpg://me:secret@db.example/prices", "postgresql+asyncpg"),
    ],
)
def test_usual_addresses_are_understood(configured: str | None, driver: str, tmp_path: Path):
    assert database_url(configured, tmp_path).drivername == driver


def test_without_an_address_it_is_a_file_of_the_service(tmp_path: Path):
    assert database_url(None, tmp_path).database == str(tmp_path / "history.db")


def test_the_usual_name_for_encryption_is_understood(tmp_path: Path):
    url = database_url("postgres://me:secret@db.example/prices?sslmode=require", tmp_path)
    assert dict(url.query) == {"ssl": "require"}


@pytest.mark.parametrize(
    "configured",
    [
        "mysql://me:secret@db/prices",
        "postgresql+psycopg://me:secret@db/prices",
        "secret",
        "postgresql://me:secret@db",
        "postgresql://me:secret@db:port/prices",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://secret/prices",
    ],
)
def test_a_malformed_address_is_refused_and_not_repeated(configured: str, tmp_path: Path):
    with pytest.raises(ConfigurationError) as refused:
        database_url(configured, tmp_path)
    assert "DATABASE_URL" in refused.value.message
    assert "secret" not in refused.value.message
    assert refused.value.__cause__ is None


async def test_models_and_migrations_agree(database: Database):
    async with database.transaction() as connection:
        differences = await connection.run_sync(
            lambda plain: compare_metadata(MigrationContext.configure(plain), METADATA)
        )
    assert differences == []


async def test_gateways_that_start_together_prepare_it_once(url: str, tmp_path: Path):
    several = [Database(database_url(url, tmp_path)) for _ in range(5)]
    await asyncio.gather(*(each.prepare() for each in several))
    async with several[0].transaction() as connection:
        versions = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalars().all()
    assert len(versions) == 1
    for each in several:
        await each.close()


def test_processes_that_start_together_prepare_it_once(url: str, tmp_path: Path):
    program = (
        "import asyncio, pathlib, sys\n"
        "from storage.history.database import Database, database_url\n"
        "async def main():\n"
        "    database = Database(database_url(sys.argv[1], pathlib.Path('.')))\n"
        "    await database.prepare()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, url], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)
    ]
    assert [(process.communicate(timeout=300)[1], process.returncode) for process in started] == [(b"", 0)] * 3


async def test_a_database_that_is_away_is_said_to_be(tmp_path: Path):
    nowhere = Database(database_url("postgresql://me:secret@127.0.0.1:1/prices", tmp_path))
    with pytest.raises(HistoryUnavailable) as away:
        await nowhere.prepare()
    assert "secret" not in away.value.message
    await nowhere.close()


async def test_tables_of_a_later_version_are_left_alone_and_said_to_be(tmp_path: Path):
    url = database_url(None, tmp_path)
    before = Database(url)
    async with before.transaction() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'of a later version'")
    await before.close()
    after = Database(url)
    with pytest.raises(HistoryUnavailable, match="later version"):
        await after.prepare()
    await after.close()


async def test_sqlite_readers_do_not_wait_for_a_writer(tmp_path: Path):
    database = Database(database_url(None, tmp_path))
    async with database.transaction() as connection:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
        patience = (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar_one()
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
    assert (mode, patience, synchronous) == ("wal", 5000, 1)
    await database.close()
