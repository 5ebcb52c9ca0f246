from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from contracts import Bars, Floats, Floats32, ForecastRequest, Grid, MemberSpec
from errors import UnknownSymbol
from gateway import request_id
from gathering import Gathering
from logs import ACCESS, JsonLines, Masked, configure_logging, is_not_a_probe
from pipeline import Outcome, Series
from runners.coalesce import CoalescingRunner, Limits

GRID = Grid(horizons=(1, 5), levels=(0.25, 0.5, 0.75))
SPEC = MemberSpec("lstm", "v1", "lstm.onnx", "0" * 64, "onnx", "flat", 3)


class Market:
    """Bars that are nothing but a fingerprint."""

    fingerprint = "f"

    async def bars(self, symbol: str, timeframe: str) -> Market:
        return self


@pytest.fixture
def ours() -> Iterator[logging.Logger]:
    """The project's logger, put back as it was."""
    logger, access = logging.getLogger("deepfinance"), logging.getLogger("deepfinance.access")
    kept = logger.handlers, logger.level, logger.propagate, list(access.filters)
    formatters = {handler: handler.formatter for handler in logging.root.handlers}
    yield logger
    logger.handlers, logger.level, logger.propagate, access.filters = kept
    for handler, formatter in formatters.items():
        handler.setFormatter(formatter)


def record(
    message: str, *values: object, error: BaseException | None = None, logger: str = "deepfinance.x"
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(logger, logging.WARNING, "x.py", 1, message, values, info)


def test_an_event_is_one_json_object():
    line = json.loads(JsonLines().format(record("lost %s of %d", "lstm", 3)))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "deepfinance.x", "event": "lost lstm of 3"}


def test_an_exception_is_kept_on_the_same_line():
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError as error:
        text = JsonLines().format(record("failed", error=error))
    assert "\n" not in text
    assert "RuntimeError" in json.loads(text)["exception"]


def test_a_line_of_the_access_log_is_completed():
    written = '{"event":"request","request_id":"r-1","status":200}'
    line = json.loads(JsonLines(lambda: "another").format(record(written, logger=ACCESS)))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": ACCESS, "event": "request", "request_id": "r-1", "status": 200}


def test_a_line_written_while_a_request_is_answered_names_it():
    assert json.loads(JsonLines(lambda: "r-1").format(record("lost")))["request_id"] == "r-1"
    assert "request_id" not in json.loads(JsonLines().format(record("lost")))


@pytest.mark.parametrize(("path", "kept"), [("/readyz", False), ("/livez", False), ("/api/v1/health", True)])
def test_probes_are_not_logged(path: str, kept: bool):
    assert is_not_a_probe(record(f'{{"event":"request","path":"{path}","status":200}}')) is kept


def test_debug_lines_are_written_when_asked_for(ours: logging.Logger, capsys: pytest.CaptureFixture[str]):
    configure_logging(debug=False)
    ours.debug("hidden")
    configure_logging(debug=True)
    ours.debug("shown")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["shown"]


async def test_what_is_logged_while_several_are_answered_names_the_first(ours: logging.Logger, capsys):
    """Also where the work is started by the end of somebody else's."""
    configure_logging(request_id=request_id.current)

    async def call(rows: Floats32) -> Floats:
        await asyncio.sleep(0)
        ours.warning("a call with %d rows", len(rows))
        return np.zeros((len(rows), *GRID.shape))

    runner = CoalescingRunner(SPEC, GRID, call, Limits(calls_in_flight=1))

    async def work(requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Sequence[Outcome]:
        ours.warning("a pass of %d", len(requests))
        await runner.predict([it.symbol for it in requests], np.zeros((len(requests), SPEC.row_width), np.float32))
        return [UnknownSymbol("none") for _ in requests]

    gathering = Gathering(work, Market(), at_once=1)  # type: ignore[arg-type]

    async def ask(name: str) -> None:
        request_id.begin(name.encode())
        await gathering.forecast([ForecastRequest(name.upper(), 5)])

    await asyncio.create_task(ask("warm"))
    tasks = [asyncio.create_task(ask("one"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, ask("two"), ask("three"))
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    assert [(it["event"], it["request_id"]) for it in lines] == [
        (event, name)
        for name, rows in (("warm", 1), ("one", 1), ("two", 2))
        for event in (f"a pass of {rows}", f"a call with {rows} rows")
    ]


async def test_what_is_logged_in_a_call_that_had_to_wait_names_who_waited(ours: logging.Logger, capsys):
    configure_logging(request_id=request_id.current)

    async def call(rows: Floats32) -> Floats:
        ours.warning("a call with %d rows", len(rows))
        await asyncio.sleep(0.01)
        return np.zeros((len(rows), *GRID.shape))

    runner = CoalescingRunner(SPEC, GRID, call, Limits(calls_in_flight=1))

    async def ask(name: str, wait: float) -> None:
        request_id.begin(name.encode())
        await asyncio.sleep(wait)
        await runner.predict([name], np.zeros((1, SPEC.row_width), np.float32))

    await asyncio.gather(ask("one", 0), ask("two", 0.003), ask("three", 0.006))
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    assert [(it["event"], it["request_id"]) for it in lines] == [
        ("a call with 1 rows", "one"),
        ("a call with 2 rows", "two"),
    ]


def test_a_line_of_bentoml_says_which_process_it_is_of():
    said = record("initialized")
    said.component = "[service:LstmRunner:1]"
    assert json.loads(JsonLines().format(said))["component"] == "service:LstmRunner:1"


SECRET = 'p&ss"word/1'


@pytest.mark.parametrize(
    "line",
    [
        f"connecting with {SECRET}",
        "cannot reach redis://user:p%26ss%22word%2F1@cache:6379/0",
        '{"event":"refused","key":"p&ss\\"word/1"}',
        '127.0.0.1:5 - "WebSocket /api/v1/stream?api_key=mistyped-key-1&x=y" [accepted]',
        "GET https://provider.example/query?symbol=AAPL&apikey=mistyped-key-1",
        "GET https://provider.example/quote?token=mistyped-key-1&symbol=AAPL",
    ],
)
def test_no_line_holds_a_secret(line: str):
    text = Masked(logging.Formatter(), [SECRET]).format(record("%s", line))
    assert "***" in text
    assert not [it for it in (SECRET, "ss%22word", 'ss\\"word', "mistyped") if it in text]
    assert all(it in text for it in ("AAPL", "x=y", "user", "event") if it in line)


def test_what_is_no_secret_is_left_alone():
    line = '{"event":"request","path":"/api/v1/predict","key":"desk","seconds":0.000123}'
    assert Masked(logging.Formatter(), [SECRET, "", "desk"]).format(record("%s", line)) == line


def test_secrets_are_masked_in_traces_and_in_the_lines_of_libraries(
    ours: logging.Logger, capsys: pytest.CaptureFixture[str]
):
    library = logging.getLogger("library")
    library.addHandler(logging.StreamHandler(sys.stdout))
    library.propagate = False
    try:
        for _ in range(2):  # a service is made anew in one process, in tests
            configure_logging(secrets=[SECRET])
        library.warning("cannot log in with %s", SECRET)
        try:
            raise RuntimeError(f"redis://:{SECRET}@cache")
        except RuntimeError:
            ours.exception("failed")
    finally:
        library.handlers.clear()
    ours_said, library_said = capsys.readouterr()[::-1]
    assert SECRET not in ours_said + library_said
    assert "redis://:***@cache" in ours_said
    assert json.loads(library_said)["event"] == "cannot log in with ***"
