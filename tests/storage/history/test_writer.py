"""Every forecast is stored once: in bursts, while the database is away, at the end, and after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage.history import writer as writer_module
from storage.history.database import Database, database_url
from storage.history.journal import Journal
from storage.history.metrics import history_metrics
from storage.history.rows import from_line, record_of, row_of, to_line
from storage.history.store import HistoryOptions, HistoryStore
from storage.history.tables import FORECASTS
from storage.history.writer import FLUSH_INTERVAL, Writer
from tests.storage.history.making import MADE_AT, Market, forecast, until

ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def at_work(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ids(database: Database) -> list[str]:
    async with database.transaction() as connection:
        return list((await connection.execute(sa.select(FORECASTS.c.forecast_id))).scalars())


def lines(folder: Path) -> list[bytes]:
    return [line for file in (folder / "history-journal").glob("*.jsonl") for line in file.read_bytes().splitlines()]


@pytest.fixture
def nowhere(tmp_path: Path) -> Database:
    """A database that is away for good."""
    return Database(database_url("postgresql://me@127.0.0.1:1/prices", tmp_path))


def test_a_line_of_the_journal_is_the_row():
    row = row_of(forecast(), MADE_AT)
    assert from_line(to_line(row)) == row


async def test_what_is_stored_is_what_was_made(writer: Writer, database: Database):
    made = forecast(degraded=("lstm",), currency=None)
    writer.put(made, MADE_AT)
    await writer.drain(5)
    async with database.transaction() as connection:
        (row,) = (await connection.execute(sa.select(FORECASTS))).mappings().all()
    record = record_of(row)
    assert record.made_at == MADE_AT
    for name in ("forecast_id", "as_of", "target_date", "current_price", "quantiles", "lower", "degraded", "currency"):
        assert getattr(record, name) == getattr(made, name)
    assert [(m.model, m.version, m.weight, m.price_target, m.status) for m in record.members] == [
        (m.model, m.version, m.weight, m.price_target, m.status) for m in made.members
    ]
    assert (record.provider, record.fingerprint) == (made.data.provider, made.data.fingerprint)


async def test_a_burst_is_stored_in_full_and_once(writer: Writer, database: Database):
    made = [forecast() for _ in range(450)]
    async with at_work(writer):
        for each in [*made, *made]:
            writer.put(each, MADE_AT)
        await until(lambda: _has(database, 450))
    await writer.drain(5)
    assert sorted(await ids(database)) == sorted(each.forecast_id for each in made)


async def _has(database: Database, count: int) -> bool:
    return len(await ids(database)) == count


async def test_two_gateways_store_the_same_forecast_once(database: Database, url: str, tmp_path: Path):
    made = [forecast() for _ in range(150)]
    other = Database(database_url(url, tmp_path))
    writers = [Writer(each, Journal(tmp_path / str(i)), history_metrics()) for i, each in enumerate((database, other))]
    for each in writers:
        for one in made:
            each.put(one, MADE_AT)
    await asyncio.gather(*(each.drain(10) for each in writers))
    assert sorted(await ids(database)) == sorted(one.forecast_id for one in made)
    await other.close()


async def test_while_the_database_is_away_the_journal_has_it_within_an_interval(
    nowhere: Database, journal: Journal, tmp_path: Path
):
    writer = Writer(nowhere, journal, history_metrics(), interval=0.02)
    made = [forecast() for _ in range(3)]
    async with at_work(writer):
        for each in made:
            writer.put(each, MADE_AT)
        await until(lambda: asyncio.sleep(0, len(lines(tmp_path)) == 3))
    assert [from_line(line)["forecast_id"] for line in lines(tmp_path)] == [each.forecast_id for each in made]
    assert writer.queued == 0


async def test_the_journal_of_a_process_that_is_gone_is_replayed_at_the_start(
    writer: Writer, database: Database, tmp_path: Path
):
    gone = Journal(tmp_path / "history-journal")
    made = [forecast() for _ in range(250)]
    gone.append([row_of(each, MADE_AT) for each in made])
    gone.rotate()
    async with at_work(writer):
        await until(lambda: _has(database, 250))
        await until(lambda: asyncio.sleep(0, not lines(tmp_path)))
    assert sorted(await ids(database)) == sorted(each.forecast_id for each in made)


async def test_the_journal_of_a_living_process_is_left_to_it(writer: Writer, database: Database, tmp_path: Path):
    living = Journal(tmp_path / "history-journal")
    living.append([row_of(forecast(), MADE_AT)])
    async with at_work(writer):
        await asyncio.sleep(0.2)
    assert len(lines(tmp_path)) == 1
    assert await ids(database) == []
    living.rotate()


async def test_half_a_line_costs_that_forecast_and_no_other(writer: Writer, database: Database, tmp_path: Path):
    whole, torn = forecast(), forecast()
    (tmp_path / "history-journal").mkdir()
    content = to_line(row_of(whole, MADE_AT)) + to_line(row_of(torn, MADE_AT))[:-40]
    (tmp_path / "history-journal" / "1-0.jsonl").write_bytes(content)
    async with at_work(writer):
        await until(lambda: _has(database, 1))
    assert await ids(database) == [whole.forecast_id]


async def test_what_the_database_refuses_does_not_hold_up_the_rest(writer: Writer, database: Database):
    made = [forecast() for _ in range(5)]
    for each in made[:2]:
        writer.put(each, MADE_AT)
    writer.put(forecast(current_price=None), MADE_AT)
    for each in made[2:]:
        writer.put(each, MADE_AT)
    await writer.drain(5)
    assert sorted(await ids(database)) == sorted(each.forecast_id for each in made)


async def test_a_full_queue_goes_to_the_journal_and_comes_back(database: Database, journal: Journal, tmp_path: Path):
    writer = Writer(database, journal, history_metrics(), capacity=10, interval=0.02)
    made = [forecast() for _ in range(25)]
    for each in made:
        writer.put(each, MADE_AT)
    assert (writer.queued, len(lines(tmp_path))) == (10, 15)
    async with at_work(writer):
        await until(lambda: _has(database, 25))
        await until(lambda: asyncio.sleep(0, not lines(tmp_path)))


async def test_at_the_end_what_the_database_does_not_take_in_time_is_in_the_journal(
    database: Database, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def hangs(*_: object) -> None:
        await asyncio.sleep(3600)

    writer = Writer(database, journal, history_metrics())
    monkeypatch.setattr(writer, "_insert", hangs)
    made = [forecast() for _ in range(150)]
    for each in made:
        writer.put(each, MADE_AT)
    clock = asyncio.get_running_loop().time
    started = clock()
    await writer.drain(0.2)
    assert clock() - started < 2
    assert sorted(from_line(line)["forecast_id"] for line in lines(tmp_path)) == sorted(x.forecast_id for x in made)


async def test_a_disk_that_is_full_does_not_reach_the_caller(nowhere: Database, tmp_path: Path):
    blocked = tmp_path / "history-journal"
    blocked.write_text("not a folder")
    writer = Writer(nowhere, Journal(blocked), history_metrics(), capacity=1)
    lost = history_metrics().lost.__self__._value.get()  # type: ignore[attr-defined]
    for _ in range(3):
        writer.put(forecast(), MADE_AT)
    assert history_metrics().lost.__self__._value.get() == lost + 2  # type: ignore[attr-defined]


async def test_what_nothing_takes_is_counted_as_waiting(nowhere: Database, tmp_path: Path):
    blocked = tmp_path / "history-journal"
    blocked.write_text("not a folder")
    waiting: list[float] = []
    writer = Writer(nowhere, Journal(blocked), replace(history_metrics(), queued=waiting.append), interval=0.02)
    async with at_work(writer):
        for _ in range(70):
            writer.put(forecast(), MADE_AT)
        await until(lambda: asyncio.sleep(0, 70 in waiting))


async def test_what_nothing_takes_at_the_end_is_counted_as_lost(nowhere: Database, tmp_path: Path):
    (tmp_path / "blocked").write_text("not a folder")
    lost: list[int] = []
    writer = Writer(nowhere, Journal(tmp_path / "blocked" / "journal"), replace(history_metrics(), lost=lost.append))
    for _ in range(70):
        writer.put(forecast(), MADE_AT)
    await writer.drain(5)
    assert lost == [70]


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[HistoryStore]:
    """One whose database answers; it writes nothing by itself."""
    store = HistoryStore(HistoryOptions(tmp_path), Market())
    await until(lambda: has_state(store, "sqlite"))
    yield store
    await store.close()


async def has_state(history: HistoryStore, state: str) -> bool:
    return (await history.health()).state == state


async def test_that_nothing_can_be_written_is_said_once_until_it_can(
    history: HistoryStore,
    nowhere: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    writer = Writer(nowhere, Journal(tmp_path / "blocked" / "journal"), history_metrics(), interval=0.01)
    monkeypatch.setattr(history, "_writer", writer)
    (tmp_path / "blocked").write_text("not a folder")
    async with at_work(writer):
        writer.put(forecast(), MADE_AT)
        await until(lambda: has_state(history, "failing"))
        await asyncio.sleep(0.1)
        failing = await history.health()
        assert failing.detail == "nothing can be written; 1 forecasts in memory and 0 in the journal wait to be stored"
        assert len([it for it in caplog.records if "cannot be written" in it.message]) == 1
        (tmp_path / "blocked").unlink()
        await until(lambda: has_state(history, "sqlite"))
    await writer.drain(5)


async def test_a_journal_that_is_cut_short_by_the_disk_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path / "history-journal")
    rows = [row_of(forecast(), MADE_AT) for _ in range(2)]
    journal.append(rows[:1])
    written = journal._file
    assert written is not None

    class Full:
        def write(self, content: bytes) -> int:
            return written.write(content[:10])

        def __getattr__(self, name: str) -> Any:
            return getattr(written, name)

    monkeypatch.setattr(journal, "_file", Full())
    with pytest.raises(OSError, match="in part"):
        journal.append(rows[1:])
    monkeypatch.undo()
    journal.append(rows[1:])
    assert [from_line(line) for line in lines(tmp_path)] == rows
    journal.rotate()


async def test_recording_takes_microseconds(writer: Writer):
    taken = []
    for each in [forecast() for _ in range(2000)]:
        started = time.perf_counter()
        writer.put(each, MADE_AT)
        taken.append(time.perf_counter() - started)
    assert statistics.median(taken) < 50e-6  # the machine may do something else for a while
    await writer.drain(10)


CRASH = """
import asyncio, itertools, pathlib, sys
from dataclasses import replace
from datetime import UTC, datetime
from storage.history.store import HistoryOptions, HistoryStore
from tests.steady_loop import SteadyLoop
from tests.storage.history.making import Market, forecast

async def main():
    url = sys.argv[2] if len(sys.argv) > 2 else None
    history = HistoryStore(HistoryOptions(pathlib.Path(sys.argv[1]), url), Market())
    await history.start()
    for number in itertools.count():
        history.record(replace(forecast(), forecast_id=f"{number:032x}"), datetime.now(UTC))
        print(number, asyncio.get_running_loop().time(), flush=True)
        await asyncio.sleep(0.002)
with asyncio.Runner(loop_factory=SteadyLoop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("url", [(), ("postgresql://me@127.0.0.1:1/prices",)], ids=["stored", "journalled"])
def test_a_process_that_is_killed_loses_no_more_than_an_interval(url: tuple[str, ...], tmp_path: Path):
    made: dict[str, float] = {}
    command = [sys.executable, "-c", CRASH, str(tmp_path), *url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, moment = line.split()
            made[f"{int(number):032x}"] = float(moment)
            if len(made) == 800:
                os.kill(process.pid, signal.SIGKILL)
    if url:
        kept = {from_line(line)["forecast_id"] for line in lines(tmp_path)}
    else:
        with sqlite3.connect(tmp_path / "history.db") as connection:
            kept = {row[0] for row in connection.execute("SELECT forecast_id FROM forecasts")}
    lost = [moment for forecast_id, moment in made.items() if forecast_id not in kept]
    assert kept
    last = max(made.values())
    # an interval, and the writing of the batch that was in hand
    assert all(last - moment < FLUSH_INTERVAL + 0.5 for moment in lost)


def test_an_interval_is_what_the_documentation_says():
    assert writer_module.FLUSH_INTERVAL == 0.25
    assert "every quarter of a second" in (ROOT / "docs" / "history.md").read_text()
