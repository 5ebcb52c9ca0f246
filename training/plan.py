"""What a training run is told: windows, grid, seed, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from backtest.splits import Window
from contracts import Grid, Timeframe

GRID = Grid(
    horizons=(1, 2, 3, 5, 10, 20, 40, 60, 90),
    levels=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995),
)
# How much each horizon of the grid counts while fitting. Outcomes of long horizons overlap, so a row of them says
# less, and what they say about drift is easily learned by heart.
HORIZON_WEIGHTS = (3.0, 2.0, 1.5, 1.5, 1.0, 1.0, 0.6, 0.5, 0.5)
FIRST_DAY = date(1990, 1, 1)
STOPPING_YEARS = 3
WINDOW_YEARS = 4


@dataclass(frozen=True, slots=True)
class Windows:
    """Three windows, one after the other. Networks stop early on the last part of the first, from ``stopping`` on."""

    training: Window = field(default=Window(FIRST_DAY, date(2014, 12, 31)))
    stopping: date = date(2012, 1, 1)
    calibration: Window = field(default=Window(date(2015, 1, 1), date(2018, 12, 31)))
    evidence: Window = field(default=Window(date(2019, 1, 1), date(2022, 12, 31)))


def windows_between(train_end: date, calibrate_end: date, evidence_end: date) -> Windows:
    """Windows with these last days, each beginning the day after the one before; ValueError unless they increase."""
    if not FIRST_DAY < train_end < calibrate_end < evidence_end:
        raise ValueError(
            f"the windows must end one after the other, after {FIRST_DAY}: training {train_end}, "
            f"calibration {calibrate_end}, evidence {evidence_end}"
        )
    day = timedelta(days=1)
    return Windows(
        training=Window(FIRST_DAY, train_end),
        stopping=years_before(train_end + day, STOPPING_YEARS),
        calibration=Window(train_end + day, calibrate_end),
        evidence=Window(calibrate_end + day, evidence_end),
    )


def windows_until(last: date) -> Windows:
    """Evidence on the four years that end on ``last``, calibration on the four before, training on what is earlier."""
    return windows_between(years_before(last, 2 * WINDOW_YEARS), years_before(last, WINDOW_YEARS), last)


def stopping_within(windows: Windows, first: date) -> Windows:
    """The same for prices that begin on ``first``: networks stop on no more than the last third of what there is."""
    span = windows.training.end - max(first, windows.training.start)
    return replace(windows, stopping=max(windows.stopping, windows.training.end - span / 3))


def years_before(day: date, years: int) -> date:
    """The same day of an earlier year; 28 February for 29 February."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


@dataclass(frozen=True, slots=True)
class Plan:
    """``fast`` shrinks every fit so that the whole run takes seconds; its scores mean nothing."""

    windows: Windows = field(default_factory=Windows)
    grid: Grid = GRID
    seed: int = 20141231
    fast: bool = False
    timeframe: Timeframe = "1d"
