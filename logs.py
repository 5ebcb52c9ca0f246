"""One line of JSON per event of ours on standard error. BentoML's and uvicorn's own few lines stay as they are, but
for secrets: whoever writes a line, no key and no password of ours is in it, nor a key that a caller has put into an
address.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import orjson


class JsonLines(logging.Formatter):
    """A record as one JSON object; a message that is one already, as the access log's, is passed through."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if message.startswith("{"):
            return message
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": message,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


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


def configure_logging(debug: bool = False, secrets: Iterable[str] = ()) -> None:
    """Give ``deepfinance`` loggers a handler of their own, and let no handler of anyone write a secret."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("deepfinance")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    logging.getLogger("deepfinance.access").addFilter(is_not_a_probe)
    secrets = tuple(secrets)
    for found in _handlers():
        inner = found.formatter or logging.Formatter()
        found.setFormatter(Masked(inner.inner if isinstance(inner, Masked) else inner, secrets))


def _handlers() -> set[logging.Handler]:
    """Every handler of this process."""
    loggers = [it for it in logging.root.manager.loggerDict.values() if isinstance(it, logging.Logger)]
    return {handler for logger in (logging.root, *loggers) for handler in logger.handlers}
