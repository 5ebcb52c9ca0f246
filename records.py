"""What is kept of a forecast, how it came out, and the port behind which both are kept. Imports contracts alone.

Times are aware and UTC. Errors are fractions of the price at ``as_of``, realised minus forecast; pinball losses are of
log returns, the mean over the stored quantile levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from contracts import Forecast, PartHealth, Timeframe

OutcomeState = Literal["pending", "settled", "unsettleable"]
ENSEMBLE = "ensemble"


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A member of a stored forecast; ``error`` once it is settled, None also for a member that did not answer."""

    model: str
    version: str
    weight: float
    price_target: float | None
    status: str
    error: float | None = None


@dataclass(frozen=True, slots=True)
class ForecastRecord:
    """A forecast as it was made: everything needed to judge it later."""

    forecast_id: str
    symbol: str
    timeframe: Timeframe
    as_of: date
    made_at: datetime
    horizon: int
    target_date: date
    current_price: float
    currency: str | None
    price_target: float
    expected_return: float
    direction: str
    probability_up: float
    confidence: float
    confidence_level: float
    lower: float
    upper: float
    quantiles: Mapping[str, float]
    members: tuple[MemberRecord, ...]
    models_version: str
    provider: str
    fingerprint: str
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a forecast came out. ``realised_price`` is in the price scale of ``as_of``; ``bars_ahead`` is how many bars
    the series has between ``as_of`` and ``realised_date``, the horizon unless the calendar was wrong.
    ``pinball_random_walk`` is None where the series was too short for the quantiles of its own past."""

    settled_at: datetime
    realised_date: date
    bars_ahead: int
    realised_price: float
    realised_return: float
    error: float
    inside_interval: bool
    pinball: float
    pinball_random_walk: float | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """``settlement`` is there when ``state`` is settled, ``reason`` when it is unsettleable."""

    record: ForecastRecord
    state: OutcomeState
    settlement: Settlement | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history of a symbol: just after this forecast, going back in time."""

    made_at: datetime
    forecast_id: str


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """``first`` and ``last`` bound ``as_of``, both included; ``settled`` None asks for all."""

    symbol: str
    limit: int = 50
    horizon: int | None = None
    settled: bool | None = None
    first: date | None = None
    last: date | None = None
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first; ``next`` is where the following page begins, None on the last."""

    entries: tuple[HistoryEntry, ...]
    next: Position | None


@dataclass(frozen=True, slots=True)
class ScoreQuery:
    """None asks for all, but ``models_version`` None for the set that is published now. Without ``symbol`` the scores
    are pooled over the symbols."""

    models_version: str | None = None
    symbol: str | None = None
    horizon: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class LiveScore:
    """Settled forecasts of one model at one horizon, each day of a symbol once.

    ``model`` is ``ensemble`` or a member, ``members`` who was in the ensemble. ``absolute_error_random_walk`` is that
    of saying that the price does not change. What needs quantiles is None for a member: only its target is stored.
    """

    model: str
    members: tuple[str, ...]
    horizon: int
    n: int
    symbols: int
    first: date
    last: date
    mean_error: float
    absolute_error: float
    absolute_error_random_walk: float
    coverage_50: float | None
    coverage_90: float | None
    pinball: float | None
    pinball_random_walk: float | None


@dataclass(frozen=True, slots=True)
class LiveScores:
    """The scores of one model set."""

    models_version: str
    rows: Sequence[LiveScore]


class History(Protocol):
    """Forecasts, kept. ``record`` belongs to the request's path; nothing else does."""

    def record(self, forecast: Forecast, made_at: datetime) -> None:
        """Keep a forecast, once by its id. Returns at once, never raises, loses nothing that it can help to lose."""
        ...

    async def page(self, query: HistoryQuery) -> HistoryPage:
        """Raises HistoryUnavailable."""
        ...

    async def scores(self, query: ScoreQuery) -> Sequence[LiveScore]:
        """Of the set that the query names: by horizon, the ensemble first. Raises HistoryUnavailable."""
        ...

    async def health(self) -> PartHealth:
        """Answers within a second, whatever the database does; ``detail`` says how much waits to be stored."""
        ...

    async def start(self) -> None:
        """Begin to write, to settle and to tidy; returns at once, whether the database is there or not."""
        ...

    async def close(self) -> None:
        """Write what is queued, in some seconds at most; what the database does not take stays in the journal."""
        ...
