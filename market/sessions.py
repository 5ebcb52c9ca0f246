"""The sessions of one calendar over whole years, as two sorted arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from contracts import Times

ALWAYS_OPEN = "24/7"
WEEKDAYS = "24/5"


@dataclass(frozen=True, slots=True)
class Sessions:
    """``days`` datetime64[D] and ``closes`` datetime64[us] UTC, both (n_sessions,) and increasing.

    Complete from 1 January of ``first_year`` to 31 December of ``last_year``.
    """

    days: Times
    closes: Times
    first_year: int
    last_year: int


def build_sessions(calendar: str, first_year: int, last_year: int) -> Sessions:
    """Sessions of "24/7", "24/5" or an exchange (its code in exchange_calendars) in [first_year, last_year].

    Sessions of the first two end with the UTC day. For years in which exchange_calendars does not know an
    exchange's holidays (XTKS before 1997, XSHG after those announced) every weekday counts as one.

    Raises ValueError for a calendar that does not exist.
    """
    first, last = np.datetime64(f"{first_year}-01-01"), np.datetime64(f"{last_year}-12-31")
    if calendar == ALWAYS_OPEN:
        days, closes = _all_days(first, last)
    elif calendar == WEEKDAYS:
        days, closes = _weekdays(first, last)
    else:
        days, closes = _exchange_days(calendar, first, last)
    return Sessions(days, closes, first_year, last_year)


def _all_days(first: np.datetime64, last: np.datetime64) -> tuple[Times, Times]:
    days = np.arange(first, last + 1)
    return days, (days + 1).astype("datetime64[us]")


def _weekdays(first: np.datetime64, last: np.datetime64) -> tuple[Times, Times]:
    days, closes = _all_days(first, last)
    open_days = np.is_busday(days)
    return days[open_days], closes[open_days]


def _exchange_days(calendar: str, first: np.datetime64, last: np.datetime64) -> tuple[Times, Times]:
    # Imported here because it brings pandas, which runner processes must not pay for. The classes are taken
    # from the table itself: get_calendar() would keep every calendar with all its minutes alive.
    from exchange_calendars.calendar_utils import _default_calendar_factories as factories

    if calendar not in factories:
        raise ValueError(f"there is no calendar {calendar!r}")
    known_first, known_last = _known_range(factories[calendar], first, last)
    with warnings.catch_warnings():
        # exchange_calendars 4.13 still asks pandas 3 for what pandas 4 will answer otherwise.
        warnings.simplefilter("ignore", DeprecationWarning)
        known = factories[calendar](start=str(known_first), end=str(known_last))
    parts = [
        _weekdays(first, known_first - 1),
        (
            known.sessions.to_numpy().astype("datetime64[D]"),
            known.closes.dt.tz_convert(None).to_numpy().astype("datetime64[us]"),
        ),
        _weekdays(known_last + 1, last),
    ]
    return np.concatenate([days for days, _ in parts]), np.concatenate([closes for _, closes in parts])


def _known_range(factory: type, first: np.datetime64, last: np.datetime64) -> tuple[np.datetime64, np.datetime64]:
    """[first, last] cut to the days for which the library knows the holidays."""
    lower, upper = factory.bound_min(), factory.bound_max()  # type: ignore[attr-defined]
    if lower is not None:
        first = max(first, np.datetime64(lower.date()))
    if upper is not None:
        last = min(last, np.datetime64(upper.date()))
    return first, last
