"""The bar still forming: a price, not a bar. It is cut, because its close is not one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from contracts import Calendar, Timeframe, Times
from market.sessions import ALWAYS_OPEN

SETTLING = timedelta(minutes=20)
"""Vendors are up to a quarter of an hour late, and print the closing auction some minutes after the close."""


def completed(
    times: Times, timeframe: Timeframe, calendar_name: str, calendar: Calendar, now: datetime
) -> NDArray[np.bool_]:
    """(n_rows,) which bars were over at ``now`` (aware): days whose session has closed (``SETTLING`` ago, where there
    is a close), hours that have ended. A time that cannot be read counts as over: the checks on bars report it."""
    if timeframe == "1h":
        moment = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "s")
        return ~np.asarray(times.astype("datetime64[s]") + np.timedelta64(1, "h") > moment)
    settled = now if calendar_name == ALWAYS_OPEN else now - SETTLING
    return ~np.asarray(times > np.datetime64(calendar.last_completed_session(calendar_name, settled), "D"))
