"""What may lie in the directory of price files, and what is said about a file that is wrong."""

import asyncio
import gzip
import os
from datetime import UTC, date, datetime

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from errors import SourceUnavailable, UnknownSymbol, UnusableSeries
from market.files import FilesSource

HEADER = "date,open,high,low,close,adj_close,volume"
ROWS = ["2020-01-02,10,11,9,10.5,5.25,100", "2020-01-03,10.5,11.5,10,11,5.5,120"]


def write_csv(directory, name, rows=ROWS, header=HEADER):
    (directory / name).write_text("\n".join([header, *rows]) + "\n")


def source(directory):
    return FilesSource(directory, clock=lambda: datetime(2021, 1, 1, tzinfo=UTC))


async def read(directory, symbol="AAPL", timeframe="1d"):
    return await source(directory).bars(symbol, timeframe)


async def test_all_columns_of_a_daily_csv_arrive(tmp_path):
    write_csv(tmp_path, "AAPL.csv")
    bars = await read(tmp_path)
    assert (bars.symbol, bars.timeframe, bars.provider) == ("AAPL", "1d", "files")
    assert [str(time) for time in bars.times] == ["2020-01-02", "2020-01-03"]
    columns = (bars.open, bars.high, bars.low, bars.close, bars.adj_close, bars.volume)
    assert [list(column) for column in columns] == [
        [10, 10.5],
        [11, 11.5],
        [9, 10],
        [10.5, 11],
        [5.25, 5.5],
        [100, 120],
    ]


async def test_only_date_and_close_are_needed_in_any_case_and_order(tmp_path):
    write_csv(tmp_path, "AAPL.csv", ["2020-01-02,7,5", "2020-01-03,7,6"], "\ufeffDate,Note, CLOSE ")
    bars = await read(tmp_path)
    assert list(bars.close) == [5, 6]
    assert not bars.has_ranges


async def test_yahoo_spells_adjusted_close_with_a_blank(tmp_path):
    write_csv(tmp_path, "AAPL.csv", ["2020-01-02,5,4"], "Date,Close,Adj Close")
    assert list((await read(tmp_path)).total_return_close) == [4]


async def test_gzip_blank_lines_and_quotes_make_no_difference(tmp_path):
    write_csv(tmp_path, "AAPL.csv")
    plain = await read(tmp_path)
    text = "\r\n".join([HEADER, ROWS[1], "", ROWS[0].replace("2020-01-02", '"2020-01-02"')])
    (tmp_path / "MSFT.csv.gz").write_bytes(gzip.compress(text.encode()))
    zipped = await read(tmp_path, "MSFT")
    assert list(zipped.close) == list(plain.close)
    assert zipped.issues == ()


async def test_parquet_answers_what_csv_answers(tmp_path):
    write_csv(tmp_path, "AAPL.csv")
    from_csv = await read(tmp_path)
    columns = {
        "Date": [date(2020, 1, 2), date(2020, 1, 3)],
        "Open": [10, 10.5],
        "High": [11, 11.5],
        "Low": [9, 10],
        "Close": ["10.5", "11"],
        "Adj Close": [5.25, 5.5],
        "Volume": [100, 120],
        "Note": ["a", "b"],
    }
    (tmp_path / "AAPL.csv").unlink()
    parquet.write_table(pyarrow.table(columns), tmp_path / "AAPL.parquet")
    assert (await read(tmp_path)).fingerprint == from_csv.fingerprint


@pytest.mark.parametrize(
    "dates",
    [
        pyarrow.array([datetime(2020, 1, 2), datetime(2020, 1, 3)], pyarrow.timestamp("ns")),
        pyarrow.array(["2020-01-02", "2020-01-03"]),
    ],
    ids=["timestamp", "text"],
)
async def test_parquet_dates_may_be_timestamps_at_midnight_or_text(tmp_path, dates):
    parquet.write_table(pyarrow.table({"date": dates, "close": [1, 2]}), tmp_path / "AAPL.parquet")
    assert [str(time) for time in (await read(tmp_path)).times] == ["2020-01-02", "2020-01-03"]


async def test_hourly_bars_have_a_file_of_their_own_and_are_turned_to_utc(tmp_path):
    write_csv(tmp_path, "AAPL_1h.csv", ["2020-01-02T15:00:00Z,1", "2020-01-02T11:00-05:00,2"], "date,close")
    bars = await read(tmp_path, timeframe="1h")
    assert [str(time) for time in bars.times] == ["2020-01-02T15:00:00", "2020-01-02T16:00:00"]
    with pytest.raises(UnknownSymbol):
        await read(tmp_path)


async def test_hourly_parquet_is_turned_to_utc(tmp_path):
    moments = pyarrow.array([datetime(2020, 1, 2, 15, tzinfo=UTC)], pyarrow.timestamp("us", "America/New_York"))
    parquet.write_table(pyarrow.table({"date": moments, "close": [1.0]}), tmp_path / "AAPL_1h.parquet")
    assert [str(time) for time in (await read(tmp_path, timeframe="1h")).times] == ["2020-01-02T15:00:00"]


async def test_an_empty_cell_is_a_missing_value(tmp_path):
    rows = [f"2020-01-{day:02},10" for day in range(1, 31)]
    write_csv(tmp_path, "AAPL.csv", [*rows, "2020-01-31,"], "date,close")
    bars = await read(tmp_path)
    assert [(issue.time, issue.problem) for issue in bars.issues] == [("2020-01-31", "dropped: close is missing")]


async def test_a_bar_from_the_future_is_dropped(tmp_path):
    write_csv(tmp_path, "AAPL.csv")
    early = FilesSource(tmp_path, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UnusableSeries, match="2020-01-03 its time lies in the future"):
        await early.bars("AAPL", "1d")


@pytest.mark.parametrize(
    ("text", "timeframe", "message"),
    [
        ("", "1d", "AAPL.csv, line 1: there is no column date"),
        ("date,open\n", "1d", "AAPL.csv, line 1: there is no column close"),
        ("date,close,Close\n", "1d", "AAPL.csv, line 1: column close comes twice"),
        ("date,close\n", "1d", "AAPL: there are no 1d bars"),
        (
            "date,close\n2020-01-02,1\n\n2020-01-03,x\n",
            "1d",
            "AAPL.csv, line 4, column close: 'x' is not a number",
        ),
        ("date,close\n2020-01-02,1,2\n", "1d", "AAPL.csv, line 2: 3 cells under 2 column titles"),
        ("date,close\n2020-01-02\n", "1d", "AAPL.csv, line 2: 1 cells under 2 column titles"),
        (
            "date,close\n2020-02-30,1\n",
            "1d",
            "AAPL.csv, line 2, column date: '2020-02-30' is not a date like 2024-01-31",
        ),
        (
            "date,close\n02/01/2020,1\n",
            "1d",
            "AAPL.csv, line 2, column date: '02/01/2020' is not a date like 2024-01-31",
        ),
        (
            "date,close\n2020-01-02T10:00:00,1\n",
            "1h",
            "AAPL_1h.csv, line 2, column date: '2020-01-02T10:00:00' is not a time like 2024-01-31T15:00:00Z",
        ),
        ("date,close\n2020-01,1\n", "1d", "AAPL.csv, line 2, column date: '2020-01' is not a date like 2024-01-31"),
        ('date,close\n"2020-01-02,1\n', "1d", "AAPL.csv, line 2: 1 cells under 2 column titles"),
    ],
)
async def test_a_malformed_file_is_refused_with_file_line_and_column(tmp_path, text, timeframe, message):
    (tmp_path / ("AAPL.csv" if timeframe == "1d" else "AAPL_1h.csv")).write_text(text)
    with pytest.raises(UnusableSeries) as refusal:
        await read(tmp_path, timeframe=timeframe)
    assert refusal.value.message == message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("AAPL.csv", b"date,close\n2020-01-02,\xff\n", "AAPL.csv is not UTF-8 text"),
        ("AAPL.csv.gz", b"date,close\n", "AAPL.csv.gz is not a complete gzip file"),
        (
            "AAPL.csv.gz",
            gzip.compress(b"date,close\n" * 999, mtime=0)[:-12],
            "AAPL.csv.gz is not a complete gzip file",
        ),
        ("AAPL.parquet", b"PAR1 not really PAR1", "AAPL.parquet is not a readable Parquet file"),
        ("AAPL.parquet", b"", "AAPL.parquet is not a readable Parquet file"),
        (
            "AAPL.csv",
            b"date,close\n2020-01-02," + b"1" * 200_000,
            "AAPL.csv is not CSV: field larger than field",
        ),
    ],
)
async def test_a_broken_file_is_refused_without_its_path(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnusableSeries) as refusal:
        await read(tmp_path)
    assert refusal.value.message.startswith(message)
    assert str(tmp_path) not in refusal.value.message


@pytest.mark.parametrize(
    ("timeframe", "columns", "message"),
    [
        ("1d", {"date": ["2020-01-02"]}, "AAPL.parquet, line 1: there is no column close"),
        ("1d", {"date": [1], "close": [1]}, "column date: int64 is neither date, timestamp nor text"),
        ("1d", {"date": ["2020-01-02", "x"], "close": [1, 2]}, "row 2, column date: 'x' is not a date"),
        ("1d", {"date": ["2020-01-02"], "close": ["x"]}, "row 1, column close: 'x' is not a number"),
        ("1d", {"date": ["2020-01-02"], "close": [b"x"]}, "column close: binary holds no numbers"),
        ("1d", {"date": [datetime(2020, 1, 2, 5)], "close": [1]}, "daily bars need dates, not moments"),
        (
            "1d",
            {"date": [datetime(2020, 1, 2, tzinfo=UTC)], "close": [1]},
            "daily bars need dates, not moments",
        ),
        ("1h", {"date": [date(2020, 1, 2)], "close": [1]}, "hourly bars need times, not dates"),
        ("1h", {"date": [datetime(2020, 1, 2, 5)], "close": [1]}, "hourly times need a time zone"),
    ],
)
async def test_a_malformed_parquet_file_is_refused(tmp_path, timeframe, columns, message):
    stem = "AAPL" if timeframe == "1d" else "AAPL_1h"
    parquet.write_table(pyarrow.table(columns), tmp_path / f"{stem}.parquet")
    with pytest.raises(UnusableSeries) as refusal:
        await read(tmp_path, timeframe=timeframe)
    assert message in refusal.value.message


@pytest.mark.parametrize(
    "symbol",
    ["../secret", "..", "/etc/passwd", "sub/AAPL", "aapl", "AAPL\n", "", "A" * 16, "AAPL\0", "AAPL_1H"],
)
async def test_a_symbol_cannot_lead_out_of_the_directory(tmp_path, symbol):
    inside = tmp_path / "prices"
    (inside / "sub").mkdir(parents=True)
    for name in ("secret.csv", "prices/sub/AAPL.csv", "prices/aapl.csv", "prices/AAPL.csv"):
        write_csv(tmp_path, name)
    for ask in (source(inside).bars, source(inside).version):
        with pytest.raises(UnknownSymbol, match="is not spelt like a symbol"):
            await ask(symbol, "1d")


async def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    inside = tmp_path / "prices"
    inside.mkdir()
    write_csv(tmp_path, "AAPL.csv")
    (inside / "AAPL.csv").symlink_to(tmp_path / "AAPL.csv")
    assert source(inside).symbols() == []
    with pytest.raises(UnknownSymbol):
        await read(inside)


async def test_a_link_within_the_directory_is_as_new_as_what_it_leads_to(tmp_path):
    write_csv(tmp_path, "AAPL-2020.csv")
    (tmp_path / "AAPL.csv").symlink_to("AAPL-2020.csv")
    first = await source(tmp_path).version("AAPL", "1d")
    assert len(await read(tmp_path)) == 2
    write_csv(tmp_path, "AAPL-2020.csv", [*ROWS, "2020-01-06,10,11,9,10,5,1"])
    assert await source(tmp_path).version("AAPL", "1d") != first


async def test_a_link_that_leads_nowhere_is_no_file(tmp_path):
    (tmp_path / "AAPL.csv").symlink_to("MSFT.csv")
    with pytest.raises(UnknownSymbol):
        await source(tmp_path).version("AAPL", "1d")
    (tmp_path / "LOOP.csv").symlink_to("LOOP.csv")
    with pytest.raises(SourceUnavailable):
        await source(tmp_path).version("LOOP", "1d")


def test_symbols_are_those_with_a_daily_file(tmp_path):
    for name in ("MSFT.csv", "MSFT.parquet", "BRK-B.csv.gz", "^GSPC.parquet", "X.CSV.csv"):
        (tmp_path / name).touch()
    for name in ("AAPL_1h.csv", "lower.csv", "NOTES.txt", ".csv", "T.gz", "CSV"):
        (tmp_path / name).touch()
    assert source(tmp_path).symbols() == ["BRK-B", "MSFT", "X.CSV", "^GSPC"]


async def test_the_version_follows_time_and_size_of_the_file(tmp_path):
    files = source(tmp_path)
    with pytest.raises(UnknownSymbol):
        await files.version("AAPL", "1d")
    write_csv(tmp_path, "AAPL.csv")
    first = await files.version("AAPL", "1d")
    assert await files.version("AAPL", "1d") == first
    moment = (tmp_path / "AAPL.csv").stat().st_mtime_ns
    write_csv(tmp_path, "AAPL.csv", [*ROWS, "2020-01-06,10,11,9,10,5,1"])
    os.utime(tmp_path / "AAPL.csv", ns=(moment, moment))
    longer = await files.version("AAPL", "1d")
    os.utime(tmp_path / "AAPL.csv", ns=(moment, moment + 1))
    assert len({first, longer, await files.version("AAPL", "1d")}) == 3


async def test_a_change_is_seen_at_the_next_look(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("market.files.monotonic", lambda: now)
    files = FilesSource(tmp_path, look_every=1.0)
    write_csv(tmp_path, "AAPL.csv")
    first = await files.version("AAPL", "1d")
    write_csv(tmp_path, "AAPL.csv", [*ROWS, "2020-01-06,10,11,9,10,5,1"])
    now += 0.9
    assert await files.version("AAPL", "1d") == first
    now += 0.2
    assert await files.version("AAPL", "1d") != first
    (tmp_path / "AAPL.csv").unlink()
    now += 1.1
    for _ in range(2):
        with pytest.raises(UnknownSymbol):
            await files.version("AAPL", "1d")


async def test_a_directory_that_has_gone_is_a_source_that_cannot_answer(tmp_path):
    gone = source(tmp_path / "gone")
    for ask in (gone.bars, gone.version):
        with pytest.raises(SourceUnavailable) as failure:
            await ask("AAPL", "1d")
        assert str(tmp_path) not in failure.value.message
    with pytest.raises(SourceUnavailable):
        gone.symbols()


async def test_reading_leaves_the_event_loop_free(tmp_path):
    days = np.datetime64("1930-01-01") + np.arange(30_000)
    write_csv(tmp_path, "AAPL.csv", [f"{day},1" for day in days], "date,close")
    reading = asyncio.create_task(read(tmp_path))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert len(await reading) == 30_000
    assert turns > 100
