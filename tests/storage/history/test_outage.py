"""A PostgreSQL that dies, comes back, and hangs: nothing is lost and nobody waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pytest

from errors import HistoryUnavailable
from records import HistoryQuery
from storage.history.store import HistoryOptions, HistoryStore
from tests.storage.history.making import Market, at, forecast, until
from tests.storage.history.postgres import Postgres


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    with TemporaryDirectory() as folder, closing(Postgres(Path(folder))) as server:
        yield server


async def number_of(history: HistoryStore) -> int:
    try:
        return len((await history.page(HistoryQuery("AAPL", 200))).entries)
    except HistoryUnavailable:
        return -1


async def record_some(history: HistoryStore, first: int, count: int) -> None:
    """It takes no time, whatever becomes of the database: all but a few, as others use the machine too."""
    took = []
    for i in range(first, first + count):
        started = time.perf_counter()
        history.record(forecast(), at(i))
        took.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)
    assert median(took) < 0.05


async def test_it_dies_and_comes_back_and_nothing_is_lost(mortal: Postgres, tmp_path: Path):
    history = HistoryStore(HistoryOptions(tmp_path / "state", mortal.new_database()), Market())
    await history.start()
    await record_some(history, 0, 50)
    await until(lambda: _is(history, 50))
    mortal.kill()
    await record_some(history, 50, 50)
    with pytest.raises(HistoryUnavailable):
        await history.page(HistoryQuery("AAPL"))
    assert (await history.health()).state == "failing"
    await asyncio.sleep(0.5)
    await asyncio.to_thread(mortal.bring_back)
    await record_some(history, 100, 50)
    await until(lambda: _is(history, 150))
    assert (await history.health()).state == "postgresql"
    await history.close()


async def _is(history: HistoryStore, count: int) -> bool:
    return await number_of(history) == count


async def test_it_hangs_and_the_end_does_not_wait_for_it(mortal: Postgres, tmp_path: Path):
    options = HistoryOptions(tmp_path / "state", mortal.new_database())
    history = HistoryStore(options, Market())
    await history.start()
    await record_some(history, 0, 20)
    await until(lambda: _is(history, 20))
    mortal.stop_answering()
    try:
        await record_some(history, 20, 20)
        clock = asyncio.get_running_loop().time
        started = clock()
        assert (await history.health()).state == "failing"
        assert clock() - started < 1.5
        started = clock()
        await history.close()
        assert clock() - started < 10
    finally:
        mortal.answer_again()
    again = HistoryStore(options, Market())
    await again.start()
    await until(lambda: _is(again, 40))
    await again.close()
