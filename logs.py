"""One line of JSON per event: ours on standard error, and in the same shape those of BentoML and uvicorn, wherever
they write to. Whoever writes a line, no key and no password of ours is in it, nor a key that a caller has put into an
address.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import orjson

ACCESS = "deepfinance.access"
"""Its messages are JSON objects already, with the request's id in them."""


class JsonLines(logging.Formatter):
    """A record as one JSON object. ``request_id`` names the request that is being answered, "" outside of one."""

    def __init__(self, request_id: Callable[[], str] = str) -> None:
        super().__init__()
        self._request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        message = record.getMessage()
        if record.name == ACCESS:
            return f"{orjson.dumps(line).decode()[:-1]},{message[1:]}"
        line["event"] = message
        if request_id := self._request_id():
            line["request_id"] = request_id
        if component := getattr(record, "component", None):  # BentoML's lines: which of its processes
            line["component"] = str(component).strip("[]")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


MASK = "***"
_SHORTEST_SECRET = 6  # masking shorter ones would blacken the log and so tell them
_IN_ADDRESS = re.compile(r"(?i)\b((?:api_?key|token|password|secret)=)[^&\s\"'\\;,)\]}]+")


class Masked(logging.Formatter):
    """Another formatter, whose text passes through here last: traces, and the lines of libraries, included."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self.inner = inner
        self._secrets = sorted({form for it in secrets for form in _forms(it)}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        text = self.inner.format(record)
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return _IN_ADDRESS.sub(rf"\1{MASK}", text) if "=" in text else text


def _forms(secret: str) -> Iterator[str]:
    """As it is, as it stands in an address, and as it stands in JSON."""
    if len(secret) >= _SHORTEST_SECRET:
        yield from (secret, quote(secret, safe=""), quote_plus(secret), orjson.dumps(secret).decode()[1:-1])


def is_not_a_probe(record: logging.LogRecord) -> bool:
    """Orchestrators ask every few seconds; their lines would bury the others."""
    message = record.getMessage()
    return '"path":"/readyz"' not in message and '"path":"/livez"' not in message


def configure_logging(debug: bool = False, secrets: Iterable[str] = (), request_id: Callable[[], str] = str) -> None:
    """Give ``deepfinance`` loggers a handler of their own, have JSON written by whoever writes to standard output or
    error, and let no handler of anyone write a secret."""
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("deepfinance")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    logging.getLogger(ACCESS).addFilter(is_not_a_probe)
    lines, secrets = JsonLines(request_id), tuple(secrets)
    for found in _handlers():
        found.setFormatter(Masked(lines if _is_shown(found) else _unmasked(found), secrets))


def _handlers() -> set[logging.Handler]:
    """Every handler of this process."""
    loggers = [it for it in logging.root.manager.loggerDict.values() if isinstance(it, logging.Logger)]
    return {handler for logger in (logging.root, *loggers) for handler in logger.handlers}


def _is_shown(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr)


def _unmasked(handler: logging.Handler) -> logging.Formatter:
    formatter = handler.formatter or logging.Formatter()
    return formatter.inner if isinstance(formatter, Masked) else formatter
