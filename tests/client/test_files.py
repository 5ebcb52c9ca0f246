"""What is read from a file, what is asked for it, and what is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepfinance_client.cli.tables import Table, read_table, write_table
from deepfinance_client.cli.work import work_of
from deepfinance_client.cli.wrong import WrongInput


def _csv(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "in.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def _asked(tmp_path: Path, text: str, **defaults: Any) -> list[Any]:
    return list(work_of(read_table(_csv(tmp_path, text)), defaults).requests)


def test_a_row_says_what_it_says_and_the_rest_is_the_default(tmp_path: Path) -> None:
    text = "symbol,horizon,models,confidence_level,timeframe\nAAPL,,,,\n jpm ,5,xgboost+har,0.8,1h\n"
    assert _asked(tmp_path, text, horizon=20) == [
        {"symbol": "AAPL", "horizon": 20},
        {"symbol": "jpm", "horizon": 5, "models": ["xgboost", "har"], "confidence_level": 0.8, "timeframe": "1h"},
    ]


@pytest.mark.parametrize(
    ("cell", "sent"), [("x", "x"), ("5.5", "5.5"), ("-1", -1), ("1e9", "1e9"), ("99999999999", "99999999999")]
)
def test_a_horizon_that_makes_no_sense_is_sent_as_it_is(tmp_path: Path, cell: str, sent: Any) -> None:
    assert _asked(tmp_path, f"symbol,horizon\nAAPL,{cell}\n") == [{"symbol": "AAPL", "horizon": sent}]


@pytest.mark.parametrize(("cell", "sent"), [("nan", "nan"), ("inf", "inf"), ("ninety", "ninety"), ("2", 2.0)])
def test_a_level_that_makes_no_sense_is_sent_as_it_is(tmp_path: Path, cell: str, sent: Any) -> None:
    assert _asked(tmp_path, f"symbol,confidence_level\nAAPL,{cell}\n")[0]["confidence_level"] == sent


def test_a_row_without_a_symbol_is_a_row(tmp_path: Path) -> None:
    assert _asked(tmp_path, "id,symbol\n1,\n2,AAPL\n") == [{"symbol": ""}, {"symbol": "AAPL"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ticker\nAAPL\n", "a column `symbol` is needed; there are: ticker"),
        ("", "a column `symbol` is needed; there are: none"),
        ("symbol,symbol\nA,B\n", "a column twice"),
        ("symbol,horizon\nAAPL\n", "line 2: 1 cells, expected 2"),
        ("symbol,status\nAAPL,1\n", "`status` would be written twice"),
        (b"symbol\n\xff\xfe\n", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(WrongInput, match=problem):
        work_of(read_table(_csv(tmp_path, text)), {})


def test_a_byte_order_mark_and_blank_lines_are_not_data(tmp_path: Path) -> None:
    assert _asked(tmp_path, "\ufeffsymbol\r\nAAPL\r\n\r\n") == [{"symbol": "AAPL"}]


def test_a_parquet_file_says_the_same_as_a_csv(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    columns = {"symbol": ["AAPL", "JPM"], "horizon": [5.0, None], "models": [["har"], None], "id": [7, 8]}
    pq.write_table(pa.table(columns), file)
    work = work_of(read_table(file), {"horizon": 20})
    assert list(work.requests) == [
        {"symbol": "AAPL", "horizon": 5, "models": ["har"]},
        {"symbol": "JPM", "horizon": 20},
    ]
    assert work.kinds["id"] == pa.int64()


def test_what_is_asked_names_the_work(tmp_path: Path) -> None:
    def name(text: str, **defaults: Any) -> str:
        return work_of(read_table(_csv(tmp_path, text)), defaults).name

    assert name("symbol,horizon\nA,5\n") == name("note,symbol,horizon\nx,A,5\n") == name("symbol\nA\n", horizon=5)
    assert len({name("symbol\nA\n"), name("symbol\nB\n"), name("symbol\nA\nB\n"), name("symbol\nA\n", horizon=5)}) == 4


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("text")
    with pytest.raises(WrongInput, match="not a Parquet file"):
        read_table(tmp_path / "in.parquet")
    with pytest.raises(WrongInput, match=r"should end in \.csv or \.parquet"):
        read_table(tmp_path / "in.xlsx")
    with pytest.raises(WrongInput, match="No such file"):
        read_table(tmp_path / "none.csv")


def test_without_pyarrow_parquet_is_refused_and_csv_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(WrongInput, match="pip install"):
        read_table(tmp_path / "in.parquet")
    assert isinstance(read_table(_csv(tmp_path, "symbol\nA\n")), Table)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_is_whole_or_what_it_was(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out.{ending}"
    write_table(file, {"a": int, "b": str}, [[1, "x"], [None, None]])
    before = file.read_bytes()

    def interrupted() -> Any:
        yield [2, "y"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(file, {"a": int, "b": str}, interrupted())
    assert file.read_bytes() == before


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_no_rows_make_a_file_with_columns(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out.{ending}"
    write_table(file, {"symbol": str}, [])
    assert read_table(file).columns == {"symbol": []}
