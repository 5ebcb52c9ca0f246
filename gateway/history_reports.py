"""What the routes of the history answer, and how a record becomes that."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from gateway.reports import Fraction, Report
from records import HistoryEntry, LiveScore, LiveScores

FEW = 100
"""Outcomes below which a score says little."""

_ERROR = "Realised minus forecast, as a fraction of `current_price`; null until settled."


class StoredInterval(Report):
    """The interval as it was given."""

    confidence_level: Fraction = Field(description="Share of outcomes that it was meant to cover.", examples=[0.9])
    lower: float = Field(description="Its lower end.", examples=[117.9])
    upper: float = Field(description="Its upper end.", examples=[134.6])


class StoredMember(Report):
    """One model's part in a stored forecast."""

    model: str = Field(description="Name of the model.", examples=["xgboost"])
    version: str = Field(description="Version of the model.")
    weight: float = Field(ge=0, description="Weight that was used; 0 for one that failed or was left out.")
    price_target: float | None = Field(description="Its own target, null where it did not answer.")
    status: str = Field(description="`ok`, `failed` or `left_out`.", examples=["ok"])
    error: float | None = Field(description=_ERROR)


class StoredForecast(Report):
    """A forecast as it was made and, once its target date is over, how it came out."""

    forecast_id: str = Field(description="Name of the forecast, as in the answer that gave it.")
    symbol: str = Field(description="Symbol of the asset.", examples=["AAPL"])
    timeframe: str = Field(description="Length of a bar.", examples=["1d"])
    as_of: date = Field(description="Date of the bar that it was made from.")
    made_at: datetime = Field(description="When it was computed, UTC.")
    horizon: int = Field(description="Bars ahead.", examples=[5])
    target_date: date = Field(description="The day that it is about.")
    current_price: float = Field(description="Price at `as_of`.")
    currency: str | None = Field(description="ISO 4217 code of the prices.", examples=["USD"])
    price_target: float = Field(description="Median of the price at the target date.")
    expected_return: float = Field(description="`price_target / current_price - 1`.")
    direction: str = Field(description="`bullish`, `bearish` or `neutral`.", examples=["neutral"])
    probability_up: Fraction = Field(description="Probability that the price rises.")
    confidence: Fraction = Field(description="Probability that the likelier sign is right.")
    interval: StoredInterval
    quantiles: dict[str, float] = Field(description="Price by quantile level.", examples=[{"0.5": 126.2}])
    members: list[StoredMember] = Field(description="The models, in published order.")
    models_version: str = Field(description="Version of the model set.")
    provider: str = Field(description="Source of the bars.", examples=["bundled"])
    fingerprint: str = Field(description="Hash of the bars that it was made from.")
    degraded: list[str] = Field(description="Models that should have answered and did not.")
    state: Literal["pending", "settled", "unsettleable"] = Field(
        description="`pending`: no bar of the target date yet. `unsettleable`: there will be none; `reason` says why."
    )
    reason: str | None = Field(default=None, description="Why it will not be settled.")
    settled_at: datetime | None = Field(description="When the outcome was filled in, UTC.")
    realised_date: date | None = Field(
        description="The bar that it is compared with: of the target date, or the next one where that has none."
    )
    bars_ahead: int | None = Field(description="Bars between `as_of` and `realised_date`; `horizon` as a rule.")
    realised_price: float | None = Field(
        description="`current_price` times the change of the adjusted closes since: in the scale of `as_of`, whatever "
        "was split since, dividends included as in the forecast."
    )
    realised_return: float | None = Field(description="`realised_price / current_price - 1`.")
    error: float | None = Field(description=_ERROR)
    inside_interval: bool | None = Field(description="Whether the realised price lies in `interval`, ends included.")
    pinball: float | None = Field(description="Mean quantile loss of `quantiles`, of log returns.")
    pinball_random_walk: float | None = Field(
        description="The same of the quantiles of all returns over that horizon that were known at `as_of`."
    )


class HistoryReport(Report):
    """One page of a symbol's forecasts, newest first."""

    symbol: str = Field(description="Symbol of the asset.", examples=["AAPL"])
    forecasts: list[StoredForecast] = Field(description="Newest first. Empty where none was made.")
    next_cursor: str | None = Field(description="Value of `cursor` for the next page, null on the last one.")


class LiveScoreRow(Report):
    """What one model scored at one horizon. Errors are fractions of the price; null where nothing was measured."""

    model: str = Field(description="`ensemble`, or a member.", examples=["ensemble"])
    members: list[str] = Field(description="Who had a weight in the ensemble; empty for a member.")
    horizon: int = Field(description="Bars ahead.", examples=[5])
    n: int = Field(ge=1, description="Outcomes: each day of a symbol once, however often it was forecast.")
    symbols: int = Field(ge=1, description="Symbols among them.")
    first: date = Field(description="First `as_of` among them.")
    last: date = Field(description="Last `as_of` among them.")
    mean_error: float = Field(description="Mean of realised minus forecast: above 0 where forecasts were too low.")
    absolute_error: float = Field(ge=0, description="Mean absolute error of the target.")
    absolute_error_random_walk: float = Field(ge=0, description="That of saying that the price does not change.")
    skill_vs_no_change: float | None = Field(
        description="1 - `absolute_error / absolute_error_random_walk`: positive is better than no change."
    )
    coverage_50: Fraction | None = Field(description="Share inside the central 50 % interval.")
    coverage_90: Fraction | None = Field(description="Share inside the central 90 % interval.")
    pinball: float | None = Field(description="Mean quantile loss, of log returns, where the random walk's is known.")
    pinball_random_walk: float | None = Field(
        description="That of the quantiles of the symbol's own past at each `as_of`."
    )
    skill_vs_random_walk: float | None = Field(description="1 - `pinball / pinball_random_walk`.")
    note: str | None = Field(description="What a reader must know of this row.")


class LiveScoreboard(Report):
    """Running scores of the forecasts that this service made, as their outcomes come in."""

    models_version: str = Field(description="The model set that made them.")
    symbol: str | None = Field(description="The symbol, null for all of them pooled.", examples=["AAPL"])
    rows: list[LiveScoreRow] = Field(description="By horizon; the ensembles first, then the members.")
    notes: list[str] = Field(description="How to read them.")


NOTES = [
    "Forecasts over several bars overlap from day to day, and symbols move together: so n overstates the evidence.",
    "Which symbols and horizons are here is what callers asked for, so rows are not comparable with one another.",
]


def stored_forecast(entry: HistoryEntry) -> StoredForecast:
    """An entry as a caller reads it."""
    record, settlement = asdict(entry.record), entry.settlement
    interval = {name: record.pop(name) for name in ("confidence_level", "lower", "upper")}
    outcome = dict.fromkeys(OUTCOME_FIELDS) if settlement is None else asdict(settlement)
    return StoredForecast.model_validate(
        {**record, "interval": interval, "state": entry.state, "reason": entry.reason, **outcome}
    )


OUTCOME_FIELDS = (
    "settled_at",
    "realised_date",
    "bars_ahead",
    "realised_price",
    "realised_return",
    "error",
    "inside_interval",
    "pinball",
    "pinball_random_walk",
)


def live_scoreboard(scores: LiveScores, symbol: str | None) -> LiveScoreboard:
    """Scores as a caller reads them."""
    rows = [_row(score) for score in scores.rows]
    return LiveScoreboard(models_version=scores.models_version, symbol=symbol, rows=rows, notes=NOTES)


def _row(score: LiveScore) -> LiveScoreRow:
    return LiveScoreRow.model_validate(
        {
            **asdict(score),
            "skill_vs_no_change": _skill(score.absolute_error, score.absolute_error_random_walk),
            "skill_vs_random_walk": _skill(score.pinball, score.pinball_random_walk),
            "note": f"Few outcomes: below {FEW} these numbers are mostly chance." if score.n < FEW else None,
        }
    )


def _skill(own: float | None, reference: float | None) -> float | None:
    return None if own is None or not reference else 1.0 - own / reference
