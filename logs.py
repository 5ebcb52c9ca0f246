"""One line of JSON per event of ours on standard error. BentoML's own few lines stay as they are."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

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


def is_not_a_probe(record: logging.LogRecord) -> bool:
    """Orchestrators ask every few seconds; their lines would bury the others."""
    message = record.getMessage()
    return '"path":"/readyz"' not in message and '"path":"/livez"' not in message


def configure_logging(debug: bool = False) -> None:
    """Give ``deepfinance`` loggers a handler of their own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("deepfinance")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    logging.getLogger("deepfinance.access").addFilter(is_not_a_probe)
