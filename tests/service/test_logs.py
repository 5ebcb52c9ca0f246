from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from logs import JsonLines, configure_logging, is_not_a_probe


@pytest.fixture
def ours() -> Iterator[logging.Logger]:
    """The project's logger, put back as it was."""
    logger, access = logging.getLogger("deepfinance"), logging.getLogger("deepfinance.access")
    kept = logger.handlers, logger.level, logger.propagate, list(access.filters)
    yield logger
    logger.handlers, logger.level, logger.propagate, access.filters = kept


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
