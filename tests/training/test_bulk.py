"""`make bulk`: a file in, the answers of the service out, whatever engine runs it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as parquet
import pytest

from contracts import Forecast, ForecastRequest, ModelSet
from deepfinance_client import columns
from deepfinance_client.responses import BatchForecast
from engine.local import LocalEngine
from engine.serial import SerialEngine
from errors import ConfigurationError, DeepFinanceError
from gateway.answers import from_forecast
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Outcome, Ports, forecast_many
from runners.embedded import EmbeddedMembers
from runners.model_set import load_model_set
from training import bulk
from training.bulk import forecast_bulk
from training.bulk_table import COLUMNS, read_requests, row_of, write_rows
from training.shared import DEFAULT_TARGET

# Two of a series that stand apart, a series with an index's own kind, a symbol that nobody has, a model that is not.
REQUESTS = [
    ForecastRequest("AAPL", 5),
    ForecastRequest("JPM", 20, models=("xgboost", "har"), confidence_level=0.8),
    ForecastRequest("NOPE", 1),
    ForecastRequest("^GSPC", 90, confidence_level=0.99),
    ForecastRequest("KO", 5, models=("prophet",)),
    ForecastRequest("AAPL", 33),
]


@pytest.fixture(scope="module")
def model_set() -> ModelSet:
    return load_model_set(DEFAULT_TARGET)


@pytest.fixture(scope="module")
def outcomes(model_set: ModelSet) -> list[Outcome]:
    return forecast_bulk(REQUESTS, SourceChain([BundledSource()]), model_set, DEFAULT_TARGET, SerialEngine())


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "symbols.csv").write_text(text)
        return tmp_path / "symbols.csv"

    return write


async def test_each_request_has_the_answer_of_the_service_in_its_place(model_set: ModelSet, outcomes: list[Outcome]):
    """What the gateway answers, read by the client, as the row that its command line writes."""
    members = EmbeddedMembers(DEFAULT_TARGET)

    class Runner:
        def __init__(self, name: str) -> None:
            self.spec = members.load(name).spec

        async def predict(self, keys, rows):
            return (await members.send([(self.spec.name, rows)]))[0]

    runners = {name: Runner(name) for name in model_set.names}
    ports = Ports(SourceChain([BundledSource()]), ExchangeCalendars(), runners)
    served = await forecast_many(REQUESTS, ports=ports, model_set=model_set, now=datetime.now(UTC))
    for request, ours, theirs in zip(REQUESTS, outcomes, served, strict=True):
        if isinstance(theirs, DeepFinanceError):
            assert isinstance(ours, DeepFinanceError)
            assert (ours.code, ours.message) == (theirs.code, theirs.message)
            continue
        assert from_forecast(ours) == from_forecast(theirs)
        body = orjson.loads(orjson.dumps(from_forecast(theirs), option=orjson.OPT_SERIALIZE_NUMPY))
        asked: dict[str, Any] = {"symbol": request.symbol, "models": list(request.models or ())}
        expected = columns.row_of(asked, BatchForecast(status=200, forecast=body))
        assert dict(zip(COLUMNS, row_of(request, ours), strict=True)) == expected
    assert [getattr(outcome, "code", 200) for outcome in outcomes] == [
        200, 200, "unknown_symbol", 200, "unknown_model", 200,
    ]  # fmt: skip


def test_the_columns_are_those_of_the_client():
    assert dict(columns.COLUMNS) == dict(COLUMNS)


@pytest.mark.parametrize("a_batch", [1, 2])
def test_processes_and_batches_change_nothing(model_set, outcomes, a_batch: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bulk, "SERIES_A_BATCH", a_batch)
    again = forecast_bulk(REQUESTS, SourceChain([BundledSource()]), model_set, DEFAULT_TARGET, LocalEngine(2))
    for request, one, other in zip(REQUESTS, outcomes, again, strict=True):
        assert row_of(request, one) == row_of(request, other)
        if isinstance(one, Forecast):
            assert from_forecast(one) == from_forecast(other)


def test_both_kinds_of_file_hold_the_same(outcomes: list[Outcome], tmp_path: Path):
    rows = [row_of(*pair) for pair in zip(REQUESTS, outcomes, strict=True)]
    for name in ("a.csv", "a.parquet", "b.parquet"):
        write_rows(rows, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [list(row.values()) for row in table] == rows
    assert table[0]["as_of"] == date(2022, 12, 28)
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["symbol"] for line in lines] == [request.symbol for request in REQUESTS]
    assert float(lines[0]["lower"]) == table[0]["lower"]
    assert [line["status"] for line in lines] == ["200", "200", "404", "200", "404", "200"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet", "b.parquet"]


def test_a_line_wins_over_the_options(file):
    path = file("horizon, symbol,models,confidence_level\n20,aapl,xgboost+har,0.8\n,JPM,,\n")
    usual = ForecastRequest("", horizon=7, confidence_level=0.95)
    assert read_requests(path, usual) == [
        ForecastRequest("AAPL", 20, models=("xgboost", "har"), confidence_level=0.8),
        ForecastRequest("JPM", 7, confidence_level=0.95),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ticker\nAAPL\n", "expected a column symbol"),
        ("symbol,price\nAAPL,1\n", "expected a column symbol, and beside it horizon, timeframe"),
        ("symbol,horizon\nAAPL,5\nJPM,91\n", "line 3, column horizon: expected a whole number from 1 to 90, got '91'"),
        ("symbol,horizon\nAAPL,5.5\n", "line 2, column horizon"),
        ("symbol,confidence_level\nAAPL,nan\n", "line 2, column confidence_level: expected a number from 0.5 to 0.99"),
        ("symbol,timeframe\nAAPL,5m\n", "line 2, column timeframe: expected 1d or 1h"),
        ("symbol,horizon\n,5\n", "line 2, column symbol: it is empty"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_line_and_column(file, text: str, problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        read_requests(file(text), ForecastRequest(""))


def test_the_command_writes_the_file_and_counts_what_failed(file, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("ENGINE_PROCESSES", "0")
    monkeypatch.setenv("DATA_PROVIDERS", "bundled")
    out = tmp_path / "out.csv"
    call = ["bulk", "--symbols", str(file("symbol\nKO\nNOPE\n")), "--horizon", "3", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", call)
    assert bulk.main() == 0
    assert "1 forecasts, 1 unknown_symbol" in capsys.readouterr().out
    with out.open(newline="") as lines:
        assert [line["horizon"] for line in csv.DictReader(lines)] == ["3", "3"]
    with pytest.raises(SystemExit):
        bulk.main()
    assert "say --overwrite" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*call, "--overwrite", "--horizon", "0"])
    assert bulk.main() == 1
    assert "the options, column horizon: expected a whole number" in capsys.readouterr().out
