"""The access log: a line of JSON about a request; of many alike a sample, each line of which says how many it is for.

The query string stays out: a key may be in it.
"""

from __future__ import annotations

import logging
from typing import Final

import orjson

from gateway.hot import HOT_PATHS
from gateway.sampling import Sampled

logger = logging.getLogger("deepfinance.access")

ANSWERS_A_LINE: Final = 100
"""Of so many kept answers one is logged, and says so: a line takes longer than an answer."""

_LONGEST_PATH: Final = 200


class AccessLog:
    """One for a gateway process; ``writes`` False for none."""

    def __init__(self, writes: bool = True) -> None:
        self._writes = writes
        self._kept_answers = 0
        self._forecasts = Sampled()

    def stands_for(self, path: str, status: int, *, is_kept: bool) -> int:
        """Requests that a line about this one speaks for, 0 where none is written: of kept answers every so many has a
        line, of forecasts that were made so many a second, and everything else."""
        if not self._writes:
            return 0
        if is_kept:
            self._kept_answers += 1
            return 0 if self._kept_answers % ANSWERS_A_LINE else ANSWERS_A_LINE
        if status == 200 and path in HOT_PATHS:
            return self._forecasts.stands_for()
        return 1

    def write(
        self,
        event: str,
        request_id: str,
        key: str | None,
        method: str,
        path: str,
        status: int,
        seconds: float,
        stands_for: int,
    ) -> None:
        """A line about a request, nothing where it would stand for none. ``key`` is the name of the key."""
        if stands_for and logger.isEnabledFor(logging.INFO):
            line = {
                "event": event,
                "request_id": request_id,
                "key": key,
                "method": method,
                "path": path[:_LONGEST_PATH],
                "status": status,
                "seconds": round(seconds, 6),
            }
            if stands_for > 1:
                line["one_of"] = stands_for
            logger.info(orjson.dumps(line).decode())
