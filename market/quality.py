"""The one door into ``Bars``: sort, check, drop what is wrong and say so, or refuse the series.

Every issue starts with what was done: ``dropped:`` the bar is not in the series, ``kept:`` it is and looks
odd, ``ignored:`` a whole column was left out. Prices are never altered.

Row rules: a readable time that is not in the future, no second bar of that time with other values, prices
finite and positive, volume not negative, high >= low, open and close within [low, high] give or take
``RANGE_TOLERANCE`` (vendors round each column on its own).

Jumps: a move of more than ``JUMP`` (log return of ``close`` or ``adj_close``, any kind of asset) that is undone
by the next bar is a vendor's misprint and is dropped. One that stays is news, an unadjusted split or the
last bar, which nobody can judge yet: it is kept and reported if it is in the returns, or the last. So is a high
or low that far from both open and close, which may be a trade that was taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contracts import BarIssue, Bars, Floats, Timeframe, Times
from errors import ErrorDetail, UnusableSeries

MAX_BAD_SHARE = 0.05
RANGE_TOLERANCE = 0.005
JUMP = 0.5
SPIKE_REMAINDER = 0.2
OFFENDERS_NAMED = 5

Mask = NDArray[np.bool_]
_PRICES = ("open", "high", "low", "close", "adj_close")
_RANGE = ("open", "high", "low")
_UNIT = {"1d": "datetime64[D]", "1h": "datetime64[s]"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows under check: ``times`` and every column have shape (n_rows,)."""

    times: Times
    columns: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.times)

    def take(self, which: Mask | NDArray[np.intp]) -> _Rows:
        return _Rows(self.times[which], {name: column[which] for name, column in self.columns.items()})

    def without(self, *names: str) -> _Rows:
        return _Rows(self.times, {name: column for name, column in self.columns.items() if name not in names})

    def total_return_close(self) -> Floats:
        return self.columns.get("adj_close", self.columns["close"])


def checked_bars(
    symbol: str,
    timeframe: Timeframe,
    provider: str,
    times: ArrayLike,
    close: ArrayLike,
    open: ArrayLike | None = None,
    high: ArrayLike | None = None,
    low: ArrayLike | None = None,
    adj_close: ArrayLike | None = None,
    volume: ArrayLike | None = None,
    *,
    now: datetime | None = None,
) -> Bars:
    """Bars from raw columns (n_rows,) in any order; ``times`` are datetime64 in UTC, session dates for 1d.

    None and NaN mean missing; so does 0 in open, high, low, because vendors write it for "not recorded". An
    optional column that is missing throughout becomes None, as does a volume that is 0 throughout. Where
    open, high, low or volume is missing in more than ``MAX_BAD_SHARE`` of the rows the column goes (open,
    high and low together), else those rows go. Identical duplicates collapse into one bar and do not count
    as bad.

    ``now`` (aware) is needed to notice bars from the future; an exchange may be a day ahead of UTC.

    Raises UnusableSeries when no bar survives or more than ``MAX_BAD_SHARE`` had to be dropped, ValueError
    when the columns differ in length.
    """
    given = {"open": open, "high": high, "low": low, "close": close, "adj_close": adj_close, "volume": volume}
    rows, ignored = _usable_columns(_sorted_rows(timeframe, times, given))
    rows, collapsed = _collapse_identical(rows)
    sound, dropped = _drop(rows, _row_rules(rows, _latest_allowed(timeframe, now)))
    sound, spikes = _drop(sound, [("a misprint, undone by the next bar", _spikes(sound))])
    _refuse_if_poor(symbol, timeframe, len(rows), len(sound), sorted(dropped + spikes, key=_time_of))
    issues = ignored + sorted(collapsed + dropped + spikes + _jumps(sound), key=_time_of)
    return Bars(
        symbol=symbol,
        timeframe=timeframe,
        times=sound.times,
        provider=provider,
        issues=tuple(issues),
        close=sound.columns["close"],
        open=sound.columns.get("open"),
        high=sound.columns.get("high"),
        low=sound.columns.get("low"),
        adj_close=sound.columns.get("adj_close"),
        volume=sound.columns.get("volume"),
    )


def _sorted_rows(timeframe: Timeframe, times: ArrayLike, given: dict[str, ArrayLike | None]) -> _Rows:
    """Oldest first, unreadable times (NaT) last; rows of one time keep their order."""
    stamps = np.asarray(times).astype(_UNIT[timeframe])
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in given.items() if values is not None}
    for name, column in columns.items():
        if stamps.ndim != 1 or column.shape != stamps.shape:
            raise ValueError(f"{name} has shape {column.shape}, times has {stamps.shape}")
    return _Rows(stamps, columns).take(np.argsort(stamps, kind="stable"))


def _usable_columns(rows: _Rows) -> tuple[_Rows, list[BarIssue]]:
    """Leave out optional columns that hold nothing, and those with too many holes to drop the rows."""
    columns = dict(rows.columns)
    for name in _RANGE:
        if name in columns:
            columns[name] = np.where(columns[name] == 0, np.nan, columns[name])
    rows = _Rows(rows.times, columns)
    empty = [name for name, column in columns.items() if name != "close" and _holds_nothing(column)]
    rows = rows.without(*empty)
    holed = [name for name in (*_RANGE, "volume") if _has_many_holes(rows.columns.get(name))]
    left_out = {*holed, *(_RANGE if set(holed) & set(_RANGE) else ())} & set(rows.columns)
    return rows.without(*left_out), [_column_issue(rows, name, holed) for name in sorted(left_out)]


def _holds_nothing(column: Floats) -> bool:
    return bool(np.all(np.isnan(column) | (column == 0)))


def _has_many_holes(column: Floats | None) -> bool:
    return column is not None and bool(np.mean(np.isnan(column)) > MAX_BAD_SHARE)


def _column_issue(rows: _Rows, name: str, holed: list[str]) -> BarIssue:
    why = "it is missing in too many bars" if name in holed else f"{' and '.join(holed)} had to go"
    return BarIssue(f"{rows.times[0]}/{rows.times[-1]}", f"ignored: column {name}, {why}")


def _collapse_identical(rows: _Rows) -> tuple[_Rows, list[BarIssue]]:
    """Keep the first of neighbours that agree in time and in every column."""
    repeated = _same_time_as_previous(rows)
    for column in rows.columns.values():
        repeated[1:] &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
    issues = [BarIssue(str(time), "dropped: an identical bar came before") for time in rows.times[repeated]]
    return rows.take(~repeated), issues


def _same_time_as_previous(rows: _Rows) -> Mask:
    same = np.zeros(len(rows), dtype=bool)
    same[1:] = rows.times[1:] == rows.times[:-1]
    return same


def _row_rules(rows: _Rows, latest: np.datetime64 | None) -> Iterator[tuple[str, Mask]]:
    """(problem, rows that have it), the most telling rule first."""
    yield "its time cannot be read", np.isnat(rows.times)
    if latest is not None:
        yield "its time lies in the future", rows.times > latest
    again = _same_time_as_previous(rows)
    yield "bars of the same time disagree", again | np.append(again[1:], False)
    for name in (*_PRICES, "volume"):
        if name in rows.columns:
            yield from _value_rules(name, rows.columns[name])
    if "high" in rows.columns and "low" in rows.columns:
        yield "high is below low", rows.columns["high"] < rows.columns["low"]
    for name in ("open", "close"):
        if name in rows.columns:
            yield f"{name} is outside low to high", _outside_range(rows, rows.columns[name])


def _value_rules(name: str, column: Floats) -> Iterator[tuple[str, Mask]]:
    yield f"{name} is missing", np.isnan(column)
    yield f"{name} is not finite", np.isinf(column)
    if name == "volume":
        yield "volume is negative", column < 0
    else:
        yield f"{name} is not positive", column <= 0


def _outside_range(rows: _Rows, price: Floats) -> Mask:
    outside = np.zeros(len(rows), dtype=bool)
    with np.errstate(over="ignore"):
        if "high" in rows.columns:
            outside |= price > rows.columns["high"] * (1 + RANGE_TOLERANCE)
        if "low" in rows.columns:
            outside |= price < rows.columns["low"] * (1 - RANGE_TOLERANCE)
    return outside


def _drop(rows: _Rows, rules: Iterator[tuple[str, Mask]] | list[tuple[str, Mask]]) -> tuple[_Rows, list[BarIssue]]:
    """Rows that break no rule, and one issue for each that does: the first rule it breaks."""
    bad = np.zeros(len(rows), dtype=bool)
    issues = []
    for problem, broken in rules:
        issues += [BarIssue(str(time), f"dropped: {problem}") for time in rows.times[broken & ~bad]]
        bad |= broken
    return rows.take(~bad), issues


def _spikes(rows: _Rows) -> Mask:
    """(n_rows,) bars that jump away from the bar before and are back at its level with the bar after."""
    spikes = np.zeros(len(rows), dtype=bool)
    for column in (rows.columns["close"], rows.total_return_close()):
        moves = np.diff(np.log(column))
        away, back = moves[:-1], moves[1:]
        spikes[1:-1] |= (np.abs(away) > JUMP) & (np.abs(back) > JUMP) & (np.abs(away + back) <= SPIKE_REMAINDER)
    return spikes


def _jumps(rows: _Rows) -> list[BarIssue]:
    """In the returns; of the newest bar also in the close alone, which is the price that a forecast starts from."""
    moves = np.diff(np.log(rows.total_return_close()))
    closes = np.diff(np.log(rows.columns["close"]))
    found = np.abs(moves) > JUMP
    found[-1:] |= np.abs(closes[-1:]) > JUMP
    moves[-1:] = np.where(np.abs(moves[-1:]) > JUMP, moves[-1:], closes[-1:])
    at = np.flatnonzero(found)
    jumps = [BarIssue(str(rows.times[i + 1]), f"kept: a jump of {np.expm1(moves[i]):+.0%} in one bar") for i in at]
    return [*jumps, *_far_ends(rows)]


def _far_ends(rows: _Rows) -> list[BarIssue]:
    """Highs and lows more than ``JUMP`` from whatever else the bar has."""
    ends = [rows.columns[name] for name in ("open", "close") if name in rows.columns]
    far = {
        "high": np.log(rows.columns["high"]) - np.log(np.max(ends, axis=0)) if "high" in rows.columns else [],
        "low": np.log(rows.columns["low"]) - np.log(np.min(ends, axis=0)) if "low" in rows.columns else [],
    }
    return [
        BarIssue(str(rows.times[i]), f"kept: {name} is {np.expm1(by[i]):+.0%} from open and close")
        for name, by in far.items()
        for i in np.flatnonzero(np.abs(by) > JUMP)
    ]


def _latest_allowed(timeframe: Timeframe, now: datetime | None) -> np.datetime64 | None:
    if now is None:
        return None
    slack = timedelta(days=1) if timeframe == "1d" else timedelta(0)
    moment = (now.astimezone(UTC) + slack).replace(tzinfo=None)
    return np.datetime64(moment, "D" if timeframe == "1d" else "s")


def _refuse_if_poor(symbol: str, timeframe: Timeframe, rows: int, sound: int, dropped: list[BarIssue]) -> None:
    if rows == 0:
        raise UnusableSeries(f"{symbol}: there are no {timeframe} bars")
    if sound > 0 and len(dropped) <= MAX_BAD_SHARE * rows:
        return
    named = [ErrorDetail(issue.time, issue.problem.removeprefix("dropped: ")) for issue in dropped[:OFFENDERS_NAMED]]
    first = "; ".join(f"{detail.field} {detail.problem}" for detail in named)
    found = f"{len(dropped)} of {rows} {timeframe} bars are unusable, at most {MAX_BAD_SHARE:.0%} may be"
    raise UnusableSeries(f"{symbol}: {found}; first: {first}", named)


def _time_of(issue: BarIssue) -> str:
    return issue.time
