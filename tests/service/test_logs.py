from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from logs import JsonLines, Masked, configure_logging, is_not_a_probe


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


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("deepfinance.x", logging.WARNING, "x.py", 1, message, values, info)


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


def test_a_line_that_is_json_already_is_passed_through():
    assert JsonLines().format(record('{"event":"request"}')) == '{"event":"request"}'


@pytest.mark.parametrize(("path", "kept"), [("/readyz", False), ("/livez", False), ("/api/v1/health", True)])
def test_probes_are_not_logged(path: str, kept: bool):
    assert is_not_a_probe(record(f'{{"event":"request","path":"{path}","status":200}}')) is kept


def test_debug_lines_are_written_when_asked_for(ours: logging.Logger, capsys: pytest.CaptureFixture[str]):
    configure_logging(debug=False)
    ours.debug("hidden")
    configure_logging(debug=True)
    ours.debug("shown")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["shown"]


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
    library.addHandler(logging.StreamHandler(sys.stderr))
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
    text = capsys.readouterr().err
    assert SECRET not in text
    assert "cannot log in with ***" in text
    assert "redis://:***@cache" in text
