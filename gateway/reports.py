"""What the read-only routes answer: filled in by the backend, and shown as they stand in OpenAPI."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gateway.schemas import ErrorInfo

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Report(BaseModel):
    """Frozen, and closed: a field nobody documented is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunnerCheck(Report):
    """One model runner."""

    name: str = Field(description="Model name, as in `models` of a forecast request.", examples=["xgboost"])
    state: Literal["ok", "failing"] = Field(description="`ok` when the last probe was answered.")
    version: str | None = Field(default=None, description="Version of the model behind the runner.")
    latency_ms: float | None = Field(default=None, description="Time of the last probe, in milliseconds.")
    detail: str | None = Field(default=None, description="Why it is failing, in words.")


class SourceCheck(Report):
    """One data source, in the order in which they are tried."""

    name: str = Field(description="Name of the source.", examples=["bundled"])
    state: Literal["ok", "failing", "open", "half_open", "unused"] = Field(
        description="`unused` when it has not been asked yet, `open` when it failed and is left alone for a while, "
        "`half_open` when it is being tried again."
    )
    latency_ms: float | None = Field(default=None, description="Time of the last answer, in milliseconds.")
    detail: str | None = Field(default=None, description="Why it is failing, in words.")


class CacheCheck(Report):
    """The cache, where there is one."""

    state: Literal["memory", "redis", "failing"] = Field(description="Which layer answers at the moment.")
    latency_ms: float | None = Field(default=None, description="Time of the last probe, in milliseconds.")
    detail: str | None = Field(default=None, description="Why it is failing, in words.")


class DatabaseCheck(Report):
    """Where forecasts are kept."""

    state: str = Field(
        description="`sqlite` or `postgresql` where it answers; `failing`: forecasts are made and wait to be stored.",
        examples=["sqlite"],
    )
    latency_ms: float | None = Field(default=None, description="Time of the last probe, in milliseconds.")
    detail: str | None = Field(default=None, description="What else to know, in words.")


class HealthChecks(Report):
    """Everything a forecast depends on."""

    runners: list[RunnerCheck] = Field(description="Every model runner.")
    sources: list[SourceCheck] = Field(description="Every data source.")
    cache: CacheCheck | None = Field(default=None, description="Null when there is no cache.")
    database: DatabaseCheck | None = Field(default=None, description="Null when no history is kept.")


class HealthFacts(Report):
    """What the backend knows about itself; the gateway derives the status from it."""

    checks: HealthChecks
    models_version: str | None = Field(description="Version of the loaded model set.", examples=["2024.06.1"])
    uptime_seconds: float = Field(ge=0, description="Seconds since the service started.", examples=[86.2])


class HealthReport(HealthFacts):
    """Whether forecasts can be made, and what that was read from."""

    status: Literal["ok", "degraded", "down"] = Field(
        description="`ok`: everything answers. `degraded`: forecasts are made, but something is missing. "
        "`down`: none can be made."
    )


class HealthDown(HealthReport):
    """The report when no forecast can be made: the error shape, with the checks beside it."""

    error: ErrorInfo


class MemberReport(Report):
    """One published model."""

    name: str = Field(description="Name to use in `models` and `weights`.", examples=["xgboost"])
    version: str = Field(description="Version of the model.")
    kind: str = Field(description="How it is stored.", examples=["xgboost", "onnx"])
    sha256: str = Field(description="Hash of the artefact, hexadecimal.")
    weights: list[Fraction] = Field(
        description="Published weight at each of `horizons` for shares with closes alone, a fraction. All zero for a "
        "model that is used only where it is named.",
        examples=[[0.3, 0.4]],
    )
    weights_by_kind: dict[str, list[Fraction]] = Field(
        default={}, description="The same for each kind of series: of the stock market or not, with ranges or without."
    )
    training_window: tuple[date, date] | None = Field(
        description="First and last bar it learned from.", examples=[["1990-01-02", "2015-12-31"]]
    )
    scores: dict[str, JsonValue] = Field(
        description="By kind of series and window: skill against EWMA of the model alone, and what it adds to the "
        "ensemble with its t, at each horizon, as measured when it was published; fractions."
    )


class ModelsReport(Report):
    """The published model set."""

    models_version: str = Field(description="Version of the whole set; it is in every forecast.")
    feature_fingerprint: str = Field(description="Fingerprint of the features that the models were trained on.")
    timeframes: list[str] = Field(description="Bar lengths it can forecast.", examples=[["1d"]])
    horizons: list[int] = Field(description="Horizons the models answer directly; those between are interpolated.")
    quantile_levels: list[float] = Field(description="Quantile levels the models answer directly.")
    members: list[MemberReport] = Field(description="The models, in published order.")
    scores: dict[str, JsonValue] = Field(description="Out-of-sample scores of the ensemble, as measured.")


class SymbolReport(Report):
    """What is known about a symbol."""

    symbol: str = Field(description="Symbol to use in a forecast request.", examples=["AAPL"])
    name: str | None = Field(description="Name, null where no source gives one.", examples=["Apple Inc."])
    exchange: str | None = Field(description="Exchange, null where no source gives one.", examples=["NASDAQ"])
    currency: str | None = Field(description="ISO 4217 code of the prices.", examples=["USD"])
    calendar: str = Field(description="Exchange calendar that target dates follow.", examples=["XNYS"])
    asset_class: Literal["equity", "index", "crypto", "currency"] = Field(description="Kind of asset.")


class SymbolDetail(SymbolReport):
    """A symbol with the state of its bars."""

    provider: str = Field(description="Source of the bars.", examples=["bundled"])
    first_bar: date = Field(description="Date of the oldest bar.", examples=["1990-01-02"])
    last_bar: date = Field(description="Date of the newest bar.", examples=["2022-12-28"])
    bars: int = Field(ge=0, description="Number of bars.", examples=[8313])
    stale: bool = Field(description="True when a newer session of the exchange has closed.")


class SymbolPage(Report):
    """One page of a search."""

    symbols: list[SymbolReport] = Field(description="The symbols, in alphabetical order.")
    total: int = Field(ge=0, description="Number of symbols that match, on all pages.")
    next_cursor: str | None = Field(description="Value of `cursor` for the next page, null on the last one.")
