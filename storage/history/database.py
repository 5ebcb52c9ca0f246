"""The one place that knows which database it is: addresses, connections, migrations, and what its failures mean."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from errors import ConfigurationError, HistoryUnavailable

log = logging.getLogger("deepfinance.history")

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_EXPECTED = "DATABASE_URL: expected postgresql://user:password@host:port/name or sqlite:///path/to/file"
_MIGRATION_LOCK = 0x64656570  # any number, the same in every gateway
_MIGRATION_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 3.0

_ENGINE: dict[str, Any] = {
    "pool_size": 3,
    "max_overflow": 0,
    "json_serializer": lambda value: orjson.dumps(value).decode(),
    "json_deserializer": orjson.loads,
}
_AWAY = (SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
Refused = (DataError, IntegrityError)
"""What the database says of a row that it will never take, in contrast to being away."""


def database_url(configured: str | None, state_dir: Path) -> URL:
    """The address to use; without ``configured`` a file in ``state_dir``. Raises ConfigurationError, which repeats
    nothing of the address: it may hold a password."""
    if configured is None:
        return URL.create("sqlite+aiosqlite", database=str(state_dir / "history.db"))
    try:
        url = make_url(configured)
        driver = _DRIVERS[url.drivername]
    except (ArgumentError, KeyError, ValueError):
        raise ConfigurationError(_EXPECTED) from None
    url = url.set(drivername=driver)
    if not url.database or (driver == "sqlite+aiosqlite" and (url.host or url.database == ":memory:")):
        raise ConfigurationError(_EXPECTED)
    if "sslmode" in url.query:  # libpq's name for what asyncpg calls ssl
        ssl = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": ssl})
    return url


class Database:
    """Connections to it, each transaction within ``timeout`` seconds. The first use brings the tables up to date.

    Belongs to one event loop. Opens nothing until it is used.
    """

    def __init__(self, url: URL, *, timeout: float = 5.0) -> None:
        self._url = url
        self._timeout = timeout
        self._engine = _engine(url, timeout)
        self._migrated = False
        self._migrating = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Committed at the end of the block, rolled back where it raises. Raises HistoryUnavailable where the database
        is away, full or too slow; what ``Refused`` names goes through as it is."""
        await self.prepare()
        try:
            async with asyncio.timeout(self._timeout), self._engine.begin() as connection:
                yield connection
        except Refused:
            raise
        except _AWAY as error:
            raise _unavailable(error) from error

    async def prepare(self) -> None:
        """Bring the tables up to date, once; gateways that start together do it in turn. Raises HistoryUnavailable."""
        if self._migrated:
            return
        async with self._migrating:
            if self._migrated:
                return
            try:
                async with asyncio.timeout(_MIGRATION_TIMEOUT), self._turn(), self._engine.begin() as connection:
                    await _lock(connection)
                    await connection.run_sync(_upgrade)
            except _AWAY as error:
                raise _unavailable(error) from error
            self._migrated = True

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Of processes that open the same new SQLite file, one at a time turns its journal to WAL: it would tell the
        others at once that the file is locked, however patient they are. PostgreSQL needs no such turns."""
        if self._engine.dialect.name != "sqlite":
            yield
            return
        with open(f"{self._url.database}.lock", "ab") as lock:  # noqa: ASYNC230 (an empty file, at the start)
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield

    def insert_once(self, table: sa.Table) -> sa.Executable:
        """INSERT that leaves alone what is there already; execute it with a list of rows."""
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        return insert(table).on_conflict_do_nothing()

    async def close(self) -> None:
        await self._engine.dispose()


def _engine(url: URL, timeout: float) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        assert url.database
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(url, **_ENGINE, connect_args={"timeout": timeout})
        sa.event.listen(engine.sync_engine, "connect", _set_pragmas)
        return engine
    options = {"timeout": _CONNECT_TIMEOUT, "command_timeout": timeout}
    return create_async_engine(url, **_ENGINE, pool_pre_ping=True, connect_args=options)


def _set_pragmas(connection: Any, _: object) -> None:
    """Readers do not wait for the writer, and a crash of the process loses nothing that was committed."""
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def _lock(connection: AsyncConnection) -> None:
    """Until the end of the transaction nobody else migrates."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    else:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection) -> None:
    """Raises HistoryUnavailable where another version has made the tables."""
    from alembic import command  # some 100 ms, and only needed here
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # the revision of the tables is none of ours
        raise HistoryUnavailable("the tables of the history are of another, perhaps later version") from error


def _unavailable(error: Exception) -> HistoryUnavailable:
    log.debug("the database failed", exc_info=error)
    return HistoryUnavailable("the history cannot be reached now")
